"""Interpret, embed, search, fuse, resolve: from a query to hits."""

import math
import os
import shutil
import tempfile
import wave
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmsearch.calibration import Judge
from mmsearch.catalog import Catalog, Found, ListKey, Snapshot
from mmsearch.catalog import read as catalog_read
from mmsearch.criteria import Filter
from mmsearch.errors import FAILURES, InvalidInput, MediaError, NoSharedSpace, NotEmbedded
from mmsearch.indexing import IndexSet
from mmsearch.media.pool import DecodePool, Failed, Job, Piece, Skipped
from mmsearch.rankings import AtHand, Ranked
from mmsearch.types import (
    Hit,
    Metadata,
    Modality,
    Neighbours,
    Part,
    Prepared,
    Query,
    Segment,
    Space,
    Span,
    Stored,
    Vectors,
)

_SEGMENTS: Mapping[Modality, Sequence[Modality]] = {
    "image": ("image",),
    "audio": ("audio",),
    "video": ("image", "audio"),
}
"""What a medium is cut into. Of text it depends on the passage whether torch is needed."""

OVER = 30
"""Segments asked for beyond the wanted hits, at first: several may lie in one file."""


def embed(query: Query, space: Space, pool: DecodePool) -> Vectors:
    """One unit vector, float32 (1, dim): the weighted sum of the unit vectors of the query's parts.

    Raises: InvalidInput for an empty query, NoSharedSpace, MediaError for a file that can't be decoded.
    """
    if not query.parts:
        raise InvalidInput("the query is empty", hint="give words, a picture, a sound or a video")
    if not all(math.isfinite(part.weight) for part in query.parts):
        raise InvalidInput("a weight must be a finite number")
    rows = [part.weight * _part(part.modality, part.value, space, pool) for part in query.parts]
    return _unit(np.sum(rows, axis=0))[np.newaxis]


def _part(modality: Modality, value: Any, space: Space, pool: DecodePool) -> Vectors:
    """float32 (dim,), unit length."""
    if isinstance(value, Stored):
        return value.vector
    if modality == "text" and isinstance(value, str):
        if not value.strip():
            raise InvalidInput("the query is empty", hint="give some words")
        encoder = _encoder(space, "text")
        return np.asarray(encoder.encode([encoder.prepare(Segment("text", value))], query=True)[0])
    for needed in _SEGMENTS.get(modality, ()):
        if needed in space.encoders:
            # An encoder that can't be used says so at once: starting a decode worker takes longer than that.
            space.encoders[needed].encode([], query=True)
    with _as_file(modality, value) as path:
        pieces = _decoded(path, modality, pool, space)
    by_modality: dict[Modality, list[Prepared]] = {}
    for piece in pieces:
        by_modality.setdefault(piece.modality, []).append(piece.array)
    return mean({m: _encoded(_encoder(space, m), arrays) for m, arrays in by_modality.items()})


def mean(vectors: Mapping[Modality, Vectors]) -> Vectors:
    """What a file means as a whole, float32 (dim,), unit length, from its segments' vectors (n, dim) by modality."""
    # A video's frames and its sound weigh the same, however many there are of each.
    return _unit(np.sum([_unit(rows.mean(axis=0)) for _, rows in sorted(vectors.items())], axis=0))


def _encoded(encoder: Any, arrays: list[Prepared]) -> Vectors:
    size = encoder.spec.batch_size
    return np.concatenate([encoder.encode(arrays[i : i + size], query=True) for i in range(0, len(arrays), size)])


def _encoder(space: Space, modality: Modality) -> Any:
    if modality not in space.encoders:
        raise _not_embedded(space, modality)
    return space.encoders[modality]


def _not_embedded(space: Space, modality: Modality) -> NoSharedSpace:
    known = ", ".join(sorted(space.encoders))
    return NoSharedSpace(
        f"the space {space.name!r} embeds no {modality}, so nothing can be found by it",
        hint=f"it embeds {known}: describe in words what you look for, or ingest into a library of a space with "
        f"{modality}, such as starter: --space starter --library PATH",
    )


def _unit(vector: Any) -> Vectors:
    norm = float(np.linalg.norm(vector))
    if norm < 1e-6:
        raise InvalidInput("the parts of the query cancel each other out", hint="change the weights, or leave one out")
    return np.asarray(vector / norm, np.float32)


def _decoded(path: Path, modality: Modality, pool: DecodePool, space: Space) -> list[Piece]:
    pieces: list[Piece] = []
    for event in pool.run([Job(path)]):
        if isinstance(event, Piece):
            pieces.append(event)
        elif isinstance(event, Failed) and event.failure == NotEmbedded.failure:
            raise _not_embedded(space, modality)
        elif isinstance(event, Failed):
            kind = FAILURES.get(event.failure, MediaError)
            raise kind(f"can't read the query {path.name}: {event.reason}", hint="try another file, or words")
        elif isinstance(event, Skipped) or event.modality != modality:
            raise InvalidInput(f"{path.name} is of modality {event.modality}, not {modality}")
    return pieces


@contextmanager
def _as_file(modality: Modality, value: Any) -> Iterator[Path]:
    """The query's medium as a file: everything a user hands over takes the one guarded way through the decoders."""
    if isinstance(value, str | os.PathLike):
        path = Path(value)
        if not path.exists():
            raise InvalidInput(f"no such file: {path}", hint="for words instead of a file use text")
        yield path
        return
    # No TemporaryDirectory: a forked child that ends would take its parent's away.
    folder = Path(tempfile.mkdtemp(prefix="mmsearch-"))
    try:
        path = folder / f"query-{modality}"
        if isinstance(value, bytes | bytearray | memoryview):
            path.write_bytes(value)
        elif modality == "image" and hasattr(value, "save"):
            # TIFF takes every mode Pillow has, with its profile and orientation.
            value.save(path, "TIFF", exif=value.getexif(), icc_profile=value.info.get("icc_profile"))
        elif modality == "audio" and isinstance(value, tuple) and len(value) == 2:
            _write_wave(path, *value)
        else:
            raise InvalidInput(f"a {modality} query can't be a {type(value).__name__}", hint="see mmsearch.Query")
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_wave(path: Path, samples: Any, rate: int) -> None:
    """Samples float (n,) or (n, channels) in [-1, 1] as 32-bit PCM."""
    array = np.asarray(samples, np.float64)
    array = array[:, np.newaxis] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size or not np.isfinite(array).all() or int(rate) <= 0:
        raise InvalidInput("a sound needs finite samples (n,) or (n, channels), n > 0, and a rate in Hz")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(array.shape[1])
        file.setsampwidth(4)
        file.setframerate(int(rate))
        file.writeframes((np.clip(array, -1, 1) * (2**31 - 1)).astype("<i4").tobytes())


class _Candidate(NamedTuple):
    """A path in one list, and the segment that put it there."""

    order: float
    """Smaller is better, in whatever list."""
    score: float
    found: Found

    @property
    def place(self) -> tuple[float, float, bytes]:
        return self.order, -self.score, self.found.path


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What a query vector, float32 (1, dim), finds.

    Raw scores of two lists are never compared, since pictures, sounds and words lie at different distances from
    any query (the modality gap, Liang et al., 2022): lists are merged by how unusual a score is in its own list
    (`mmsearch.calibration`), or, while nothing is known of that, by the place an item has in its own. Ties are
    broken by (-score, path), so the answer is the same every time.
    """

    vector: Vectors
    catalog: Catalog
    indexes: IndexSet
    judge: Judge
    within: Collection[Modality] | None = None
    where: Filter | None = None
    at_hand: AtHand = field(default_factory=AtHand)
    """What was read for it so far."""

    def ranked(self, k: int) -> list[Ranked]:
        """The k best items; fewer only if fewer can be found. What only a shown one needs `shown` adds."""
        if k < 1:
            raise InvalidInput(f"k must be at least 1, not {k}")
        lists, sizes = self._lists(k)
        # A filter changes what may be shown, not how unusual a score is.
        whole = sizes if self.where is None else self.indexes.sizes(self.within)
        searched = sum(whole.get(key, 0) for key in sizes)
        filled = [key for key in sizes if whole.get(key)]
        known = bool(filled) and self.judge.knows(filled)
        candidates = [
            _Candidate(self.judge.tail(key, score) if known else place, score, found)
            for key, paths in lists.items()
            for place, (score, found) in enumerate(paths)
        ]
        best = _merged(candidates, k)
        if not known:
            return [_ranked(candidate, None, 0.0) for candidate in best]
        accidents, needed = self.judge.accidents(filled), self.judge.needed
        return [_ranked(one, accidents.confidence(one.order, searched), needed) for one in best]

    def _lists(self, k: int) -> tuple[dict[ListKey, list[tuple[float, Found]]], dict[ListKey, int]]:
        """Of every list the k best items at least, or all; and its length."""
        wanted = k + OVER
        while True:
            neighbours, sizes = self.indexes.search(
                self.vector, wanted, self.within, among=self.where, at_hand=self.at_hand
            )
            lists = _resolved(neighbours, k, self.catalog, self.where)
            if all(len(found) >= k or wanted >= sizes[key] for key, found in lists.items()):
                return lists, sizes
            wanted *= 4


def _resolved(
    neighbours: Mapping[ListKey, Neighbours], k: int, catalog: Catalog, where: Filter | None
) -> dict[ListKey, list[tuple[float, Found]]]:
    """Per list, the paths that its segments belong to, each with its best segment and score, best first; where more
    than k are to be had, the k best at least."""
    with catalog.reading() as snapshot:
        return {key: _first(snapshot, key, found, k, where) for key, found in neighbours.items()}


def _first(
    snapshot: Snapshot, key: ListKey, neighbours: Neighbours, k: int, where: Filter | None
) -> list[tuple[float, Found]]:
    ids, scores = neighbours.ids[0], neighbours.scores[0].tolist()
    looked = k
    while True:
        some = ids[:looked]
        resolved = (
            catalog_read.placed(snapshot, key, some) if where is None else catalog_read.resolve(snapshot, some, where)
        )
        paths = _paths(dict(zip(some.tolist(), scores, strict=False)), resolved)
        # Further segments score less than what is found, or may tie with it.
        if looked >= len(ids) or (len(paths) >= k and scores[looked] < paths[k - 1][0]):
            return paths
        looked = len(ids)


def _paths(scores: Mapping[int, float], resolved: Iterable[Found]) -> list[tuple[float, Found]]:
    best: dict[int, tuple[float, Found]] = {}
    for found in resolved:
        score = scores[found.segment_id]
        known = best.get(found.item_id)
        if known is None or (-score, found.segment_id) < (-known[0], known[1].segment_id):
            best[found.item_id] = (score, found)
    return sorted(best.values(), key=lambda pair: (-pair[0], pair[1].content_id, pair[1].path))


def _merged(candidates: Iterable[_Candidate], k: int) -> list[_Candidate]:
    """The k best, each item once."""
    best: dict[int, _Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.found.item_id)
        if known is None or candidate.place < known.place:
            best[candidate.found.item_id] = candidate
    return sorted(best.values(), key=lambda candidate: candidate.place)[:k]


def _ranked(candidate: _Candidate, confidence: float | None, needed: float) -> Ranked:
    found = candidate.found
    return Ranked(
        found.item_id, found.segment_id, found.path, found.modality, candidate.score, found.matched,
        confidence, confidence is not None and confidence < needed,
    )  # fmt: skip


def shown(ranked: Sequence[Ranked], catalog: Catalog, first: int = 1) -> list[Hit]:
    """These places of a ranking as hits, with their metadata and places in their files.

    Args:
        first: The rank of the first.
    """
    with catalog.reading() as snapshot:
        known = catalog_read.shown(
            snapshot, {one.item_id for one in ranked}, {one.segment_id for one in ranked if one.segment_id >= 0}
        )
    return [
        _hit(rank, one, known.spans.get(one.segment_id, Span()), known.metadata.get(one.item_id, {}))
        for rank, one in enumerate(ranked, first)
    ]


def _hit(rank: int, one: Ranked, span: Span, metadata: Metadata) -> Hit:
    return Hit(
        rank=rank,
        path=_path(one.path),
        modality=one.modality,
        score=one.score,
        confidence=one.confidence,
        weak=one.weak,
        start=span.start,
        end=span.end,
        page=span.page,
        passage=span.text,
        matched=one.matched,
        item_id=one.item_id,
        segment_id=one.segment_id,
        metadata=metadata,
        by=one.by,
        folded=tuple(map(_path, one.folded)),
        members=tuple(map(_path, one.members)),
        part=None if one.part is None else _path(one.part),
    )


def _path(stored: bytes) -> Path:
    return Path(os.fsdecode(stored))


def interpret(value: str, pool: Callable[[], DecodePool]) -> Query:
    """What a shell's word means: an existing media file is that medium, anything else is words.

    Args:
        pool: Asked only if the word names a file, which is looked into where a hostile one does no harm.

    Raises: MediaError if there is such a file, but it is no medium.
    """
    path = Path(value)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # too long for a name, or a null byte: words, then
        is_file = False
    if not is_file:
        return Query(text=value)
    # Nothing is wanted of it, so it is skipped as soon as its modality is known.
    event = next(iter(pool().run([Job(path, only=frozenset())])))
    if isinstance(event, Failed):
        raise FAILURES.get(event.failure, MediaError)(
            f"{value} is a file, but no query: {event.reason}", hint=f"for the words themselves: --text {value!r}"
        )
    modality = event.modality
    return Query(mixed=(Part(modality, path),))
