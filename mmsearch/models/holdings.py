"""How much there is to embed: in a library, or below folders that it has not taken in yet."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmsearch.catalog import Catalog
from mmsearch.context.resources import DEFAULT_SPACE, PREVIEW_SPACE
from mmsearch.core import registry
from mmsearch.core.config import Settings
from mmsearch.ingest.estimate import new_files
from mmsearch.media.events import DecodeJob, FileDone, PreparedSegment
from mmsearch.media.pool import DecodePool
from mmsearch.types import Modality, SourceFile, Windowing

LETTERS = 6.0
"""Characters of a word and what parts it from the next, about."""
LEAST_OF_PASSAGE = 0.2
"""What a passage of one word costs, as a share of a whole one, about."""
LOOKED_AT: Mapping[Modality, int] = {"audio": 48, "video": 48, "text": 12}
"""Files of a kind of which a folder's are told: the headers of sounds and videos, the passages of documents."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much there is to embed."""

    pictures: int = 0
    sound_s: float = 0.0
    video_s: float = 0.0
    passages: int = 0
    sounds: int = 0
    """Files of sound: of a short one less is embedded twice."""
    videos: int = 0
    letters: int = 0
    """Characters of documents."""
    texts: int = 0
    """Pages of documents, and documents that have none: no passage reaches from one into the next."""
    passage_words: int = 0
    """Words of a passage as they were counted; 0 where that isn't known."""

    def passages_of(self, words: int, overlap: int) -> float:
        """How many whole passages of so many words there would be, about, if neighbours share `overlap` of them. A
        short note is a part of one."""
        if not self.texts or not words:
            return self.passages
        written = self.letters / LETTERS
        count: float = self.passages
        if words != self.passage_words:
            mean = written / self.texts
            count = self.texts * (1 if mean <= words else (mean - overlap) / max(1, words - overlap) + 0.5)
        embedded = written + max(0.0, count - self.texts) * overlap
        return min(count, max(embedded / words, LEAST_OF_PASSAGE * count))


def folder_holdings(catalog: Catalog | None, roots: Sequence[Path], settings: Settings) -> Holdings:
    """What is below folders and not in a library as it is, by names and sizes and a look at some files of each kind.

    Args:
        catalog: None where there is no library yet.
    """
    files: dict[Modality, list[SourceFile]] = {}
    for modality, file in new_files(catalog, roots):
        files.setdefault(modality, []).append(file)
    seconds = {kind: _seconds(files.get(kind, ()), kind, settings) for kind in ("audio", "video")}
    return Holdings(
        len(files.get("image", ())),
        seconds["audio"],
        seconds["video"],
        sounds=len(files.get("audio", ())),
        videos=len(files.get("video", ())),
        **_documents(files.get("text", ()), settings),
    )


def _spread(files: Sequence[SourceFile], count: int) -> list[SourceFile]:
    """So many of them, or all, evenly over their sizes."""
    ordered = sorted(files, key=lambda one: (one.size, one.path))
    if len(ordered) <= count:
        return ordered
    return [ordered[(2 * number + 1) * len(ordered) // (2 * count)] for number in range(count)]


def _seconds(files: Sequence[SourceFile], kind: Modality, settings: Settings) -> float:
    """Of sounds or videos, by the headers of some."""
    some = _spread(files, LOOKED_AT[kind])
    if not some:
        return 0.0
    told = {file.path: 0.0 for file in some}
    with DecodePool(PREVIEW_SPACE, Windowing(), settings.limits, settings.decode_workers) as pool:
        for event in pool.run(DecodeJob(Path(os.fsdecode(file.path)), payload=file, headers=True) for file in some):
            if isinstance(event, FileDone):
                told[event.job.payload.path] = float(event.metadata.get("duration") or 0.0)
    return _scaled(files, some, sum(told.values()))


def _documents(files: Sequence[SourceFile], settings: Settings) -> dict[str, int]:
    """Passages, letters and texts of documents, by those of some."""
    some = _spread(files, LOOKED_AT["text"])
    if not some:
        return {}
    # Cuts documents into passages as most spaces do.
    count, target = 0, registry.target_of("spaces", DEFAULT_SPACE)
    windowing = registry.load_part("spaces", target)("cpu", "fp32").windowing
    lengths: dict[tuple[bytes, int | None], int] = {}
    with DecodePool(target, windowing, settings.limits, settings.decode_workers) as pool:
        for event in pool.run(DecodeJob(Path(os.fsdecode(file.path)), payload=file.path) for file in some):
            if isinstance(event, PreparedSegment) and event.modality == "text":
                count, text = count + 1, (event.job.payload, event.span.page)
                lengths[text] = max(lengths.get(text, 0), event.span.char_end or 0)
    return {
        "passages": round(_scaled(files, some, count)),
        "letters": round(_scaled(files, some, sum(lengths.values()))),
        "texts": round(len(files) * len(lengths) / len(some)),
        "passage_words": windowing.passage_words,
    }


def _scaled(files: Sequence[SourceFile], some: Sequence[SourceFile], found: float) -> float:
    """What all files have, if some have so much: by their sizes."""
    size = sum(one.size for one in some)
    return found * sum(one.size for one in files) / size if size else 0.0
