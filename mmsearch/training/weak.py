"""Weak pairs: what a library's own names, folders, sidecars and tags say of its files, as pairs to train on.

Nobody has checked them: a text that too many files share is left out, and so is what cameras and programs write.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmsearch.catalog import Catalog, Snapshot
from mmsearch.catalog.file_groups import FileText, file_texts
from mmsearch.errors import InvalidInput
from mmsearch.evaluate import JudgedPairs, Pair
from mmsearch.training.serving import checkpoint
from mmsearch.training.serving.folder import ModelFolder
from mmsearch.types import Modality

FILE_NAME = "weak.tsv"
"""In the model's folder: the pairs that were found, to look at."""

SHARE = 0.25
"""Share of the files beyond which a text says nothing of any of them."""

LONGEST = 300
"""Characters of a sidecar's text: text encoders look at no more than a few sentences."""

_MACHINE = frozenset(
    re.findall(
        r"\w+",
        "am app at bild burst capture copy dcim dsc dscf dscn dvc edited file final foto from gopr gx hdr image images "
        "img imgp jpeg jpg kopie mov mp mvi pano photo photos pic picture pict pm png pxl scan screenshot screenshots "
        "snapshot tmp unnamed untitled vid video wa whatsapp wp",
    )
)
"""Words of cameras, phones and programs."""

_DIGITS = "0123456789"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HASH = re.compile(r"(?=.*\d)(?=.*[a-f])[0-9a-f]{8,}", re.IGNORECASE)
_RUN = re.compile(r"[^\W_]+")
_HUMPS = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def words(name: str) -> str:
    """What people wrote of a file's or folder's name, in lower case: "Red-Fox2_IMG_1234" says "red fox".

    Cut at everything that is neither letter nor digit, and at camel case; digits at a word's ends fall away, and so do
    words with digits inside, hashes, single letters and what machines write.
    """
    runs = [run for run in _RUN.findall(_UUID.sub(" ", name)) if not _HASH.fullmatch(run)]
    bare = [run.strip(_DIGITS) for run in runs]
    parts = [part for run in bare if run.isalpha() and run.lower() not in _MACHINE for part in _HUMPS.split(run)]
    return " ".join(part for part in map(str.lower, parts) if part not in _MACHINE and not _initial(part))


def _initial(word: str) -> bool:
    # A single ideograph is a word; it has no upper case.
    return len(word) == 1 and word != word.upper()


def _of_name(file: FileText) -> list[str]:
    return [words(os.path.splitext(os.path.basename(os.fsdecode(file.path)))[0])]


def _of_folder(file: FileText) -> list[str]:
    return [words(os.path.basename(os.path.dirname(os.fsdecode(file.path))))]


def _of_sidecars(file: FileText) -> list[str]:
    return [" ".join(text.split())[:LONGEST] for text in file.texts]


def _of_tags(file: FileText) -> list[str]:
    return [" ".join(tag.split()) for tag in file.tags]


SOURCES: Mapping[str, Callable[[FileText], list[str]]] = {
    "names": _of_name,
    "folders": _of_folder,
    "sidecars": _of_sidecars,
    "tags": _of_tags,
}


@dataclass(frozen=True, slots=True)
class WeakPairs:
    """What one source gave."""

    source: str
    pairs: Mapping[str, tuple[Path, ...]]
    """Text -> its files, in the order of their paths."""
    common: tuple[str, ...]
    """Texts that too many files share."""

    @property
    def count(self) -> int:
        return sum(map(len, self.pairs.values()))

    def __str__(self) -> str:
        example = f', such as "{next(iter(self.pairs))}"' if self.pairs else ""
        common = f"; too common: {', '.join(self.common[:5])}" if self.common else ""
        return f"weak pairs from {self.source}: {self.count} of {len(self.pairs)} texts{example}{common}"


def collect(snapshot: Snapshot, sources: Sequence[str], modality: Sequence[Modality] = ()) -> list[WeakPairs]:
    """The pairs that each source gives; of files with segments of these modalities, or of all.

    Copies of a file are one, under the first of their paths.

    Raises: InvalidInput for an unknown source, or if none of them gives a pair.
    """
    if unknown := [source for source in sources if source not in SOURCES]:
        raise InvalidInput(f"there are no weak pairs from {', '.join(unknown)}", hint=f"known: {', '.join(SOURCES)}")
    files = [file for file in file_texts(snapshot) if not modality or file.kinds & set(modality)]
    by_source = [_weak(source, files) for source in dict.fromkeys(sources)]
    if not any(one.pairs for one in by_source):
        common = [text for one in by_source for text in one.common]
        why = f"; too many files share {', '.join(map(repr, common[:3]))}" if common else ""
        raise InvalidInput(
            f"the {' and '.join(one.source for one in by_source)} of {len(files)} files give no pairs{why}",
            hint=f"other sources are {', '.join(SOURCES)}; or write pairs of your own",
        )
    return by_source


def _weak(source: str, files: Sequence[FileText]) -> WeakPairs:
    by_text: dict[str, dict[int, Path]] = defaultdict(dict)
    for file in files:
        for text in filter(None, SOURCES[source](file)):
            by_text[text].setdefault(file.content_id, Path(os.fsdecode(file.path)))
    most = SHARE * len({file.content_id for file in files})
    # What one file alone says is never too common, however small the library is.
    kept = {text: tuple(of.values()) for text, of in by_text.items() if len(of) <= max(1, most)}
    return WeakPairs(source, kept, tuple(text for text in by_text if text not in kept))


@dataclass(frozen=True, slots=True)
class GatheredPairs:
    """Given pairs and weak ones together."""

    judged: JudgedPairs
    weak: tuple[JudgedPairs | None, int]
    """The weak ones alone, and how many of them are not given too."""
    notes: tuple[str, ...]
    """What each source gave."""


def gather(
    given: JudgedPairs | None,
    sources: Sequence[str],
    modality: Sequence[Modality],
    catalog: Catalog,
    folder: ModelFolder,
) -> GatheredPairs:
    """What there is to learn from; weak pairs are written into the model's folder, to look at.

    Raises: InvalidInput as `collect`, or if nothing is given and nothing asked for; LibraryLocked, LibraryError.
    """
    if not sources:
        if given is None:
            raise InvalidInput("nothing to learn from", hint=f"give pairs, or take weak ones from {', '.join(SOURCES)}")
        return GatheredPairs(given, (None, 0), ())
    with catalog.reading() as snapshot:
        by_source = collect(snapshot, sources, modality)
    path = folder.path / FILE_NAME
    with folder.writing():
        checkpoint.write_whole(_table(by_source).encode("utf-8", "replace"), path)
    judged = _merged(given, by_source, path)
    more = _count(judged) - (_count(given) if given else 0)
    return GatheredPairs(judged, (_merged(None, by_source, path), more), tuple(map(str, by_source)))


def _count(judged: JudgedPairs) -> int:
    return sum(len(pair.relevant) for pair in judged.pairs)


def _table(by_source: Iterable[WeakPairs]) -> str:
    rows = [(text, str(path), one.source) for one in by_source for text, paths in one.pairs.items() for path in paths]
    lines = ["\t".join(" ".join(cell.split()) for cell in row) for row in rows]
    return "\n".join(["query\trelevant\tsource", *lines]) + "\n"


def _merged(given: JudgedPairs | None, by_source: Iterable[WeakPairs], source: Path) -> JudgedPairs:
    """Given pairs and weak ones, which count the same; a text that both have is one question."""
    by_query = {pair.query: pair for pair in given.pairs} if given else {}
    line = 2
    for one in by_source:
        for text, paths in one.pairs.items():
            known = by_query.get(text) or Pair(text, (), line, source)
            by_query[text] = replace(known, relevant=tuple(dict.fromkeys((*known.relevant, *paths))))
            line += len(paths)
    return JudgedPairs(given.source if given else source, tuple(by_query.values()), given.unused if given else ())
