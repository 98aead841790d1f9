"""Evidence of a whole library's contents, read and made as it is asked for."""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.catalog import Snapshot
from mmsearch.catalog.evidence import ContentFile, files_without_evidence, first_files, stored_evidence
from mmsearch.context.context import LibraryContext
from mmsearch.context.proofs import as_witness
from mmsearch.errors import LibraryError
from mmsearch.media import detail, fine
from mmsearch.media.events import DecodeJob, FileDone, PreparedSegment
from mmsearch.media.pool import DecodePool
from mmsearch.media.sameness.pictures import ROUGHLY
from mmsearch.media.sameness.proof import SAME, Proof, Witness, is_doubtful, prove
from mmsearch.media.sameness.sounds import LENGTH_S, LENGTH_SHARE, may_be_same, outline
from mmsearch.types import Ids, Modality

HELD = 512
"""Contents whose evidence is kept unpacked: 32 MB at most."""
FINE_HELD = 16
"""Fine copies that are looked at together, and kept: 74 MB at most."""
RESEMBLES = 0.7
"""As `ROUGHLY`, of what may be a part."""


@dataclass(frozen=True, slots=True, eq=False)
class _Outline:
    """What is kept of every content, so that most pairs are told apart by it."""

    coarse: NDArray[np.float32] | None
    duration_s: float | None
    digest: bytes | None
    heard: NDArray[np.uint8] | None
    """Of a sound: `sounds.outline`."""


class Witnesses:
    """The contents of a library, in one snapshot of it."""

    def __init__(self, snapshot: Snapshot, files: "MediaFiles") -> None:
        self._snapshot, self._files = snapshot, files
        self._fine: dict[int, NDArray[np.uint8]] = {}
        """Fine copies of pages."""
        self._made: dict[int, bytes] = {}
        """Evidence that the snapshot has not."""
        self._held: OrderedDict[int, Witness] = OrderedDict()
        self._outlines: dict[int, _Outline] = {}
        self._surveyed: dict[int, Modality] = {}
        self._coarse: dict[Modality, tuple[Ids, NDArray[np.float32]]] = {}
        self._lengths: dict[Modality, tuple[Ids, NDArray[np.float64]]] = {}
        self._heard = np.empty((0, 0), np.uint8)
        """Outlines of the sounds, in the order of their lengths."""
        self._digests: dict[bytes, list[int]] = {}

    def survey(self, contents: Sequence[tuple[Modality, int]]) -> None:
        """Look at all contents, so that `near` finds what is alike whatever their vectors say."""
        for start in range(0, len(contents), HELD):
            self._read([content for _, content in contents[start : start + HELD]])
        for modality in sorted({modality for modality, _ in contents}):
            ids = [one for kind, one in contents if kind == modality and one in self._outlines]
            self._surveyed |= dict.fromkeys(ids, modality)
            drawn = [one for one in ids if self._outlines[one].coarse is not None]
            lasting = [one for one in ids if self._outlines[one].duration_s is not None]
            if drawn:
                rows = np.stack([_row(self._outlines[one].coarse) for one in drawn])
                self._coarse[modality] = np.array(drawn, np.int64), rows
            lengths = np.array([self._outlines[one].duration_s for one in lasting], np.float64)
            self._lengths[modality] = np.array(lasting, np.int64), lengths
            heard = [one for one in (self._outlines[content].heard for content in lasting) if one is not None]
            if modality == "audio" and heard:
                self._heard = np.stack(heard)
        for content, known in self._outlines.items():
            if known.digest is not None:
                self._digests.setdefault(known.digest, []).append(content)

    def near(self, content: int, *, related: bool) -> set[int]:
        """Of what was surveyed, the contents of the same modality that an outline says may be the same."""
        modality, own = self._surveyed.get(content), self._outlines.get(content)
        if modality is None or own is None:
            return set()
        if own.coarse is not None and modality in self._coarse:
            ids, rows = self._coarse[modality]
            return set(ids[rows @ own.coarse >= (RESEMBLES if related else ROUGHLY)].tolist())
        if own.duration_s is not None:
            ids, lengths = self._lengths[modality]
            slack = LENGTH_S + 0.1 + 0.005 * own.duration_s if modality == "video" else LENGTH_S
            near = np.abs(lengths - own.duration_s) <= slack + LENGTH_SHARE * lengths
            if own.heard is not None:
                near[near] = may_be_same(own.heard, self._heard[near])
            return set(ids[near].tolist())
        return set() if own.digest is None else set(self._digests.get(own.digest, ()))

    def plausible(self, content: int, candidates: Sequence[int], *, related: bool) -> list[int]:
        """Those of the candidates that may be the same as a content, as far as little tells."""
        if not candidates:
            return []
        unknown = [one for one in (content, *candidates) if one not in self._outlines]
        for start in range(0, len(unknown), HELD):
            self._read(unknown[start : start + HELD])
        own = self._outlines.get(content)
        if own is None:
            return list(candidates)
        return [one for one in candidates if _may_match(own, self._outlines.get(one), related)]

    def prove(self, content: int, candidates: Sequence[int], *, related: bool) -> dict[int, Proof]:
        """Those of the candidates that are proved to be the same as a content, or, if `related`, to resemble it."""
        found: dict[int, Proof] = {}
        for start in range(0, len(candidates), HELD // 2):
            some = [content, *candidates[start : start + HELD // 2]]
            self._fill(some)
            held = self._read(some)
            own = held.get(content)
            if own is None:
                continue
            proofs = {other: prove(own, held[other], related=related) for other in some[1:] if other in held}
            made = {
                other: one for other, one in proofs.items() if one is not None and (one.kind in SAME) is not related
            }
            doubtful = [other for other, one in made.items() if is_doubtful(own, held[other], one)]
            found |= {other: one for other, one in made.items() if other not in doubtful}
            found |= {other: made[other] for other in self._without_doubt(content, doubtful)}
        return found

    def _without_doubt(self, content: int, doubtful: Sequence[int]) -> list[int]:
        """Those that show the same as a content in full detail."""
        same: list[int] = []
        for start in range(0, len(doubtful), FINE_HELD):
            some = doubtful[start : start + FINE_HELD]
            files = first_files(self._snapshot, [one for one in (content, *some) if one not in self._fine])
            self._fine |= self._files.fine_copies(files)
            own = self._fine.pop(content, None)
            same += [
                one
                for one in some
                if own is not None and one in self._fine and fine.show_the_same(own, self._fine[one])
            ]
            while len(self._fine) >= FINE_HELD:
                self._fine.pop(next(iter(self._fine)))
            if own is not None:
                self._fine[content] = own
        return same

    def shorter_sides(self, contents: Sequence[int]) -> dict[int, int]:
        """Content id -> pixels of the shorter side, of pictures that something was proved of."""
        stored = stored_evidence(self._snapshot, contents)
        return {content: min(one.width, one.height) for content, one in stored.items()}

    def _fill(self, contents: Sequence[int]) -> None:
        missing = [one for one in contents if one not in self._held and one not in self._made]
        files = [one for one in files_without_evidence(self._snapshot, missing) if one.content_id not in self._made]
        if files:
            self._made |= {one.content_id: b"" for one in files}
            self._made |= self._files.evidence(files)

    def _read(self, contents: Sequence[int]) -> dict[int, Witness]:
        held = {one: self._held[one] for one in contents if one in self._held}
        for content, stored in stored_evidence(self._snapshot, [one for one in contents if one not in held]).items():
            data = self._made.get(content) if stored.data is None else stored.data
            witness = as_witness(stored._replace(data=data))
            if witness is not None:
                held[content] = self._held[content] = witness
                self._outlines[content] = _outline(witness)
                if len(self._held) > HELD:
                    self._held.popitem(last=False)
        return held


def _outline(witness: Witness) -> _Outline:
    pictures, sound = witness.evidence.pictures, witness.evidence.sound
    image = witness.facts.modality == "image"
    text = witness.evidence.text
    length = witness.facts.duration if witness.facts.modality == "video" else None
    return _Outline(
        pictures[0].coarse if image and pictures else None,
        length if sound is None else sound.duration_s,
        None if text is None else text.digest,
        outline(sound) if sound is not None and witness.facts.modality == "audio" else None,
    )


def _row(coarse: NDArray[np.float32] | None) -> NDArray[np.float32]:
    return np.zeros(64, np.float32) if coarse is None else coarse


def _may_match(one: _Outline, other: _Outline | None, related: bool) -> bool:
    if other is None:
        return True
    if one.coarse is not None and other.coarse is not None:
        return float(one.coarse @ other.coarse) >= (RESEMBLES if related else ROUGHLY)
    if one.heard is not None and other.heard is not None:
        return bool(may_be_same(one.heard, other.heard[np.newaxis])[0])
    return True


class MediaFiles:
    """Files of a library, decoded once more; of what is not there as it was taken in, or failed, nothing is known."""

    def __init__(self, context: LibraryContext) -> None:
        self._context = context

    def evidence(self, files: Sequence[ContentFile]) -> dict[int, bytes]:
        """Content id -> evidence, which is kept; a library that can't be written is told all the same."""
        jobs = _jobs(files)
        if not jobs:
            return {}
        events = self._context.decoding().run(jobs)
        made = {event.job.key: event.evidence for event in events if isinstance(event, FileDone)}
        with suppress(LibraryError):
            self._context.catalog().keep_evidence(made)
        return made

    def detail(self, files: Sequence[ContentFile]) -> dict[int, NDArray[np.float32]]:
        """Content id -> the detail of its picture (`mmsearch.media.detail`)."""
        return {key: np.asarray(one, np.float32) for key, one in self._measured(files, detail.TARGET)}

    def fine_copies(self, files: Sequence[ContentFile]) -> dict[int, NDArray[np.uint8]]:
        """Content id -> the fine copy of its picture (`mmsearch.media.fine`)."""
        return {key: np.asarray(one, np.uint8) for key, one in self._measured(files, fine.TARGET)}

    def _measured(self, files: Sequence[ContentFile], target: str) -> Iterator[tuple[int, NDArray[Any]]]:
        """Content id, and what is measured of the first picture of its file in full detail."""
        jobs = _jobs(files)
        if not jobs:
            return
        with DecodePool(target, detail.WINDOWING, self._context.settings.limits, 1) as pool:
            for event in pool.run(jobs):
                if isinstance(event, PreparedSegment) and event.index == 0:
                    yield event.job.key, np.asarray(event.array)


def _jobs(files: Sequence[ContentFile]) -> list[DecodeJob]:
    there = [(file, Path(os.fsdecode(file.path))) for file in files]
    return [DecodeJob(path, file.content_id, file.size, file.mtime_ns) for file, path in there if os.path.isfile(path)]
