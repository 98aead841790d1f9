"""The retrieve stage: from a query vector to files, out of all lists."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mmsearch.calibration import ScoreCalibrator
from mmsearch.catalog import Catalog, ListKey, ResolvedSegment, Snapshot
from mmsearch.catalog.segments import placed_segments, resolve_segments
from mmsearch.filters.ast import Filter
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.search.ranking import Depth, RankedItem, Ranking
from mmsearch.search.shared_lists import SearchedLists
from mmsearch.types import Modality, Neighbours, Vectors

ScoredSegments = list[tuple[float, ResolvedSegment]]
"""Items of one list, each by its best segment and that one's cosine; best first."""


class _Candidate(NamedTuple):
    """An item of one list, and the segment that put it there."""

    order: float
    """Smaller is better, in whatever list."""
    score: float
    found: ResolvedSegment

    @property
    def place(self) -> tuple[float, float, bytes]:
        return self.order, -self.score, self.found.path


@dataclass(frozen=True, slots=True, eq=False)
class VectorSearch:
    """What a query vector finds.

    Raw scores of two lists are never compared, since pictures, sounds and words lie at different distances from
    any query (the modality gap, Liang et al., 2022): lists are merged by how unusual a score is in its own list
    (`mmsearch.calibration`), or, while nothing is known of that, by the place an item has in its own. Ties are
    broken by (-score, path), so the answer is the same every time.
    """

    vector: Vectors
    """float32 (1, dim), unit length."""
    catalog: Catalog
    lists: SearchedLists
    calibrator: ScoreCalibrator
    modalities: Collection[Modality] | None = None
    """Item modalities; None: all."""
    filter: Filter | None = None
    cache: VectorCache = field(default_factory=VectorCache)
    """The vectors that were read for it so far."""

    def retrieve(self, depth: Depth) -> Ranking:
        """The best files. Of their metadata nothing is read: `search.hits` does that for those that are shown."""
        segments = depth.items + depth.spare_segments
        neighbours, sizes = self.lists.search(
            self.vector, segments, self.modalities, filter=self.filter, vector_cache=self.cache
        )
        by_list = _items_by_list(neighbours, depth.items, self.catalog, self.filter)
        # What a list may hold beyond its items here is worse than they are, so as many as it has are certain.
        certain = [len(items) for key, items in by_list.items() if segments < sizes[key]]
        count = min([depth.items, *certain])
        # One more tells whether anything follows.
        return Ranking(self._ranked(by_list, sizes, count + 1), complete=not certain).first(count)

    def _ranked(
        self, by_list: Mapping[ListKey, ScoredSegments], sizes: Mapping[ListKey, int], count: int
    ) -> list[RankedItem]:
        # A filter changes what may be shown, not how unusual a score is.
        whole = sizes if self.filter is None else self.lists.sizes(self.modalities)
        searched = sum(whole.get(key, 0) for key in sizes)
        filled = [key for key in sizes if whole.get(key)]
        calibrated = bool(filled) and self.calibrator.covers(filled)
        merged = _merge(
            _Candidate(self.calibrator.tail(key, score) if calibrated else place, score, found)
            for key, items in by_list.items()
            for place, (score, found) in enumerate(items)
        )[:count]
        if not calibrated:
            return [_ranked_item(candidate, None, 0.0) for candidate in merged]
        null, min_confidence = self.calibrator.null_distribution(filled), self.calibrator.min_confidence
        return [_ranked_item(one, null.confidence(one.order, searched), min_confidence) for one in merged]


def _items_by_list(
    neighbours: Mapping[ListKey, Neighbours], k: int, catalog: Catalog, filter: Filter | None
) -> dict[ListKey, ScoredSegments]:
    """Per list, the items that its nearest segments belong to; where more than k are to be had, the k best at least."""
    with catalog.reading() as snapshot:
        return {key: _items_of_list(snapshot, key, found, k, filter) for key, found in neighbours.items()}


def _items_of_list(
    snapshot: Snapshot, key: ListKey, neighbours: Neighbours, k: int, filter: Filter | None
) -> ScoredSegments:
    ids, scores = neighbours.ids[0], neighbours.scores[0].tolist()
    # Mostly the first k segments are of k items: only where they are not, the others are resolved too.
    for count in (k, len(ids)):
        first = ids[:count]
        resolved = (
            placed_segments(snapshot, key, first) if filter is None else resolve_segments(snapshot, first, filter)
        )
        items = _best_segments(dict(zip(first.tolist(), scores, strict=False)), resolved)
        # Further segments score less than what is found, or may tie with it.
        if count >= len(ids) or (len(items) >= k and scores[count] < items[k - 1][0]):
            break
    return items


def _best_segments(scores: Mapping[int, float], resolved: Iterable[ResolvedSegment]) -> ScoredSegments:
    best: dict[int, tuple[float, ResolvedSegment]] = {}
    for found in resolved:
        score = scores[found.segment_id]
        known = best.get(found.item_id)
        if known is None or (-score, found.segment_id) < (-known[0], known[1].segment_id):
            best[found.item_id] = (score, found)
    return sorted(best.values(), key=lambda pair: (-pair[0], pair[1].content_id, pair[1].path))


def _merge(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """The items of all lists, best first, each once."""
    best: dict[int, _Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.found.item_id)
        if known is None or candidate.place < known.place:
            best[candidate.found.item_id] = candidate
    return sorted(best.values(), key=lambda candidate: candidate.place)


def _ranked_item(candidate: _Candidate, confidence: float | None, min_confidence: float) -> RankedItem:
    found = candidate.found
    return RankedItem(
        found.item_id, found.segment_id, found.path, found.modality, candidate.score, found.matched,
        confidence, confidence is not None and confidence < min_confidence,
    )  # fmt: skip
