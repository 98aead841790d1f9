"""The retrieve stage: from a query vector to files, out of all lists."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from mmsearch.calibration import RIVAL, ScoreCalibrator
from mmsearch.catalog import Catalog, ListKey, ResolvedSegment, Snapshot, SpaceRecord
from mmsearch.catalog.embeddings import item_vectors, vectors_of_segments
from mmsearch.catalog.segments import placed_segments, regions_among, resolve_segments
from mmsearch.core.filters.ast import Filter
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.search.kinds import ANY_KIND, KindOfAnswer
from mmsearch.search.ranking import Depth, RankedItem, Ranking
from mmsearch.search.shared_lists import SearchedLists
from mmsearch.types import Modality, Neighbours, Vectors
from mmsearch.vectors.rank import exact_scores


class _Scored(NamedTuple):
    """An item of one list by its best segment."""

    counted: float
    """What the segment's cosine counts as (`ScoreCalibrator.counted`), which lists are ordered by."""
    cosine: float
    found: ResolvedSegment


ScoredSegments = list[_Scored]
"""Best first."""


class _Candidate(NamedTuple):
    """An item of one list, and the segment that put it there."""

    order: float
    """Smaller is better, in whatever list: a place, or the negative of the evidence."""
    scored: _Scored

    @property
    def found(self) -> ResolvedSegment:
        return self.scored.found

    @property
    def place(self) -> tuple[float, float, bytes]:
        return self.order, -self.scored.cosine, self.scored.found.path


@dataclass(frozen=True, slots=True, eq=False)
class VectorSearch:
    """What a query vector finds.

    Raw scores of two lists are never compared, since pictures, sounds and words lie at different distances from
    any query (the modality gap, Liang et al., 2022): lists are merged by how likely a score of its list answers the
    query (`mmsearch.calibration`), or, while nothing is known of that, by the place an item has in its own. Ties are
    broken by (-cosine, path), so the answer is the same every time.
    """

    vector: Vectors
    """float32 (1, dim), unit length."""
    space: SpaceRecord
    catalog: Catalog
    lists: SearchedLists
    calibrator: ScoreCalibrator
    modalities: Collection[Modality] | None = None
    """Item modalities; None: all."""
    filter: Filter | None = None
    cache: VectorCache = field(default_factory=VectorCache)
    """The vectors that were read for it so far."""
    kind: KindOfAnswer = ANY_KIND
    """What the query says of the kind of its answers."""

    def retrieve(self, depth: Depth) -> Ranking:
        """The best files. Of their metadata nothing is read: `search.hits` does that for those that are shown."""
        segments = depth.items + depth.spare_segments
        neighbours, sizes = self.lists.search(
            self.vector, segments, self.modalities, filter=self.filter, vector_cache=self.cache
        )
        self._note_lists(neighbours)
        by_list = self._items_by_list(neighbours, depth.items)
        # What a list may hold beyond its items here counts at most as its last segment: what counts more is certain.
        certain = [
            sum(one.counted >= neighbours[key].scores[0, -1] for one in items) if len(items) else 0
            for key, items in by_list.items()
            if segments < sizes[key]
        ]
        count = min([depth.items, *certain])
        # One more tells whether anything follows.
        return Ranking(self._ranked(by_list, count + 1), complete=not certain).first(count)

    def _ranked(self, by_list: Mapping[ListKey, ScoredSegments], count: int) -> list[RankedItem]:
        calibrated = self.calibrator.covers(key for key, items in by_list.items() if items)
        merged = _merge(
            _Candidate(-self.evidence(key, one.counted) if calibrated else place, one)
            for key, items in by_list.items()
            for place, one in enumerate(items)
        )[:count]
        return [_ranked_item(candidate, -candidate.order if calibrated else None) for candidate in merged]

    def _note_lists(self, neighbours: Mapping[ListKey, Neighbours]) -> None:
        """Tell the calibrator what the query finds in each list, which is part of what a score of it means."""
        if self.filter is not None:
            # A filter changes what may be shown, not what a score means.
            if all(map(self.calibrator.is_noted, neighbours)):
                return
            neighbours, _ = self.lists.search(self.vector, RIVAL, self.modalities, vector_cache=self.cache)
        note_lists(self.calibrator, neighbours, self.catalog, self.space, self.cache)

    def evidence(self, key: ListKey, cosine: float) -> float:
        """What a cosine says of an item: -ln(1 - p), with p the probability that it answers the query."""
        return self.kind.meaning(key.item, key.segment) * softplus(self.calibrator.logit(key, cosine))

    def score_items(self, item_ids: Iterable[int]) -> dict[int, RankedItem]:
        """Present items by their ids, each as it stands in the ranking, however far down; none without vectors."""
        with self.catalog.reading() as snapshot:
            segments, vectors = item_vectors(snapshot, self.space, item_ids, self.filter)
        calibrated = self.calibrator.covers({self._key(found) for found in segments})
        best = _merge(
            _Candidate(-self.evidence(self._key(one.found), one.counted) if calibrated else -one.counted, one)
            for one in map(self._scored, exact_scores(self.vector[0], vectors).tolist(), segments)
        )
        return {one.found.item_id: _ranked_item(one, -one.order if calibrated else None) for one in best}

    def _scored(self, cosine: float, found: ResolvedSegment) -> _Scored:
        return _Scored(self.calibrator.counted(self._key(found), cosine, found.region), cosine, found)

    def _items_by_list(self, neighbours: Mapping[ListKey, Neighbours], k: int) -> dict[ListKey, ScoredSegments]:
        """Per list, the items that its nearest segments belong to; where more than k are to be had, the k best at
        least."""
        with self.catalog.reading() as snapshot:
            return {key: self._items_of_list(snapshot, key, found, k) for key, found in neighbours.items()}

    def _items_of_list(self, snapshot: Snapshot, key: ListKey, neighbours: Neighbours, k: int) -> ScoredSegments:
        ids, scores = neighbours.ids[0], neighbours.scores[0].tolist()
        # Mostly the first k segments are of k items: only where they are not, the others are resolved too.
        for count in (k, len(ids)):
            first = ids[:count]
            resolved = (
                placed_segments(snapshot, key, first)
                if self.filter is None
                else resolve_segments(snapshot, first, self.filter)
            )
            cosines = dict(zip(first.tolist(), scores, strict=False))
            items = _best_segments(self._scored(cosines[found.segment_id], found) for found in resolved)
            # Further segments count less than what is found, or may tie with it.
            if count >= len(ids) or (len(items) >= k and scores[count] < items[k - 1].counted):
                break
        return items

    def _key(self, found: ResolvedSegment) -> ListKey:
        return ListKey(self.space.name, found.modality, found.matched)


def note_lists(
    calibrator: ScoreCalibrator,
    neighbours: Mapping[ListKey, Neighbours],
    catalog: Catalog,
    space: SpaceRecord,
    cache: VectorCache | None = None,
) -> None:
    """Tell a calibrator what its query finds in each list.

    Args:
        neighbours: Of that query alone, `calibration.RIVAL` of them if there are.
    """
    filled = {key: found for key, found in neighbours.items() if found.ids.size}
    regions = _regions(calibrator, filled, catalog)
    best = {key: _best_segment(calibrator, key, found, regions.get(key)) for key, found in filled.items()}
    wanted = {key: segment for key, segment in best.items() if calibrator.wants_best(key)}
    known = {segment: cache.get(segment) if cache else None for segment in wanted.values()}
    if missing := [segment for segment, vector in known.items() if vector is None]:
        with catalog.reading() as snapshot:
            known |= vectors_of_segments(snapshot, space, missing)
    for key in best:
        calibrator.note_list(key, neighbours[key].scores[0], known.get(wanted.get(key, -1)), regions.get(key))


def _regions(
    calibrator: ScoreCalibrator, neighbours: Mapping[ListKey, Neighbours], catalog: Catalog
) -> dict[ListKey, list[bool]]:
    """Which of a list's first segments, `RIVAL` at most, are regions, where that makes a difference."""
    firsts = {key: found.ids[0, :RIVAL].tolist() for key, found in neighbours.items() if calibrator.wants_regions(key)}
    if not firsts:
        return {}
    with catalog.reading() as snapshot:
        known = regions_among(snapshot, chain.from_iterable(firsts.values()))
    return {key: [one in known for one in ids] for key, ids in firsts.items()}


def _best_segment(calibrator: ScoreCalibrator, key: ListKey, found: Neighbours, regions: Sequence[bool] | None) -> int:
    """The id of the segment that counts most."""
    if regions is None:
        return int(found.ids[0, 0])
    counted = [
        calibrator.counted(key, cosine, region)
        for cosine, region in zip(found.scores[0].tolist(), regions, strict=False)
    ]
    return int(found.ids[0, counted.index(max(counted))])


def softplus(logit: float) -> float:
    """ln(1 + e^x): from the logarithm of the odds of p to -ln(1 - p)."""
    return max(logit, 0.0) + math.log1p(math.exp(-abs(logit)))


def _best_segments(scored: Iterable[_Scored]) -> ScoredSegments:
    best: dict[int, _Scored] = {}
    for one in scored:
        known = best.get(one.found.item_id)
        if known is None or (-one.counted, one.found.segment_id) < (-known.counted, known.found.segment_id):
            best[one.found.item_id] = one
    return sorted(best.values(), key=lambda one: (-one.counted, one.found.content_id, one.found.path))


def _merge(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """The items of all lists, best first, each once, by its first segment of those that are equally good."""
    best: dict[int, _Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.found.item_id)
        if known is None or (candidate.place, candidate.found.segment_id) < (known.place, known.found.segment_id):
            best[candidate.found.item_id] = candidate
    return sorted(best.values(), key=lambda candidate: candidate.place)


def _ranked_item(candidate: _Candidate, evidence: float | None) -> RankedItem:
    (_, cosine, found) = candidate.scored
    return RankedItem(found.item_id, found.segment_id, found.path, found.modality, cosine, found.matched, evidence)
