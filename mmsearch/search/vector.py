"""Interpret, embed, search, fuse, resolve: from a query to hits."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mmsearch.calibration import ScoreCalibrator
from mmsearch.catalog import Catalog, ListKey, ResolvedSegment, Snapshot
from mmsearch.catalog.segments import placed_segments, resolve_segments
from mmsearch.errors import InvalidInput
from mmsearch.filters.ast import Filter
from mmsearch.indexing.lists import Lists
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.search.ranking import RankedItem
from mmsearch.types import Modality, Neighbours, Vectors

_SEGMENTS: Mapping[Modality, Sequence[Modality]] = {
    "image": ("image",),
    "audio": ("audio",),
    "video": ("image", "audio"),
}
"""What a medium is cut into. Of text it depends on the passage whether torch is needed."""

OVER = 30
"""Segments asked for beyond the wanted hits, at first: several may lie in one file."""


class _Candidate(NamedTuple):
    """A path in one list, and the segment that put it there."""

    order: float
    """Smaller is better, in whatever list."""
    score: float
    found: ResolvedSegment

    @property
    def place(self) -> tuple[float, float, bytes]:
        return self.order, -self.score, self.found.path


@dataclass(frozen=True, slots=True, eq=False)
class VectorSearch:
    """What a query vector, float32 (1, dim), finds.

    Raw scores of two lists are never compared, since pictures, sounds and words lie at different distances from
    any query (the modality gap, Liang et al., 2022): lists are merged by how unusual a score is in its own list
    (`mmsearch.calibration`), or, while nothing is known of that, by the place an item has in its own. Ties are
    broken by (-score, path), so the answer is the same every time.
    """

    vector: Vectors
    catalog: Catalog
    indexes: Lists
    judge: ScoreCalibrator
    modalities: Collection[Modality] | None = None
    filter: Filter | None = None
    at_hand: VectorCache = field(default_factory=VectorCache)
    """What was read for it so far."""

    def ranked(self, k: int) -> list[RankedItem]:
        """The k best items; fewer only if fewer can be found. What only a shown one needs `shown` adds."""
        if k < 1:
            raise InvalidInput(f"k must be at least 1, not {k}")
        lists, sizes = self._lists(k)
        # A filter changes what may be shown, not how unusual a score is.
        whole = sizes if self.filter is None else self.indexes.sizes(self.modalities)
        searched = sum(whole.get(key, 0) for key in sizes)
        filled = [key for key in sizes if whole.get(key)]
        known = bool(filled) and self.judge.covers(filled)
        candidates = [
            _Candidate(self.judge.tail(key, score) if known else place, score, found)
            for key, paths in lists.items()
            for place, (score, found) in enumerate(paths)
        ]
        best = _merged(candidates, k)
        if not known:
            return [_ranked(candidate, None, 0.0) for candidate in best]
        null, min_confidence = self.judge.null_distribution(filled), self.judge.min_confidence
        return [_ranked(one, null.confidence(one.order, searched), min_confidence) for one in best]

    def _lists(self, k: int) -> tuple[dict[ListKey, list[tuple[float, ResolvedSegment]]], dict[ListKey, int]]:
        """Of every list the k best items at least, or all; and its length."""
        wanted = k + OVER
        while True:
            neighbours, sizes = self.indexes.search(
                self.vector, wanted, self.modalities, filter=self.filter, vector_cache=self.at_hand
            )
            lists = _resolved(neighbours, k, self.catalog, self.filter)
            if all(len(found) >= k or wanted >= sizes[key] for key, found in lists.items()):
                return lists, sizes
            wanted *= 4


def _resolved(
    neighbours: Mapping[ListKey, Neighbours], k: int, catalog: Catalog, filter: Filter | None
) -> dict[ListKey, list[tuple[float, ResolvedSegment]]]:
    """Per list, the paths that its segments belong to, each with its best segment and score, best first; where more
    than k are to be had, the k best at least."""
    with catalog.reading() as snapshot:
        return {key: _first(snapshot, key, found, k, filter) for key, found in neighbours.items()}


def _first(
    snapshot: Snapshot, key: ListKey, neighbours: Neighbours, k: int, filter: Filter | None
) -> list[tuple[float, ResolvedSegment]]:
    ids, scores = neighbours.ids[0], neighbours.scores[0].tolist()
    looked = k
    while True:
        some = ids[:looked]
        resolved = placed_segments(snapshot, key, some) if filter is None else resolve_segments(snapshot, some, filter)
        paths = _paths(dict(zip(some.tolist(), scores, strict=False)), resolved)
        # Further segments score less than what is found, or may tie with it.
        if looked >= len(ids) or (len(paths) >= k and scores[looked] < paths[k - 1][0]):
            return paths
        looked = len(ids)


def _paths(scores: Mapping[int, float], resolved: Iterable[ResolvedSegment]) -> list[tuple[float, ResolvedSegment]]:
    best: dict[int, tuple[float, ResolvedSegment]] = {}
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


def _ranked(candidate: _Candidate, confidence: float | None, needed: float) -> RankedItem:
    found = candidate.found
    return RankedItem(
        found.item_id, found.segment_id, found.path, found.modality, candidate.score, found.matched,
        confidence, confidence is not None and confidence < needed,
    )  # fmt: skip
