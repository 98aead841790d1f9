"""The retrieve stage: from a query vector to files, out of all lists."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np

from mmsearch.calibration import RIVAL, ScoreCalibrator
from mmsearch.catalog import Catalog, ListKey, ResolvedSegment, Snapshot, SpaceRecord
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.embeddings import item_vectors, vectors_of_segments
from mmsearch.catalog.filters import is_of_contents
from mmsearch.catalog.items import paths_of_items
from mmsearch.catalog.segments import placed_segments, regions_among, resolve_segments
from mmsearch.core.filters.ast import Filter
from mmsearch.indexing.owners import Owners
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.search.kinds import ANY_KIND, KindOfAnswer
from mmsearch.search.ranking import Depth, RankedItem, Ranking
from mmsearch.search.shared_lists import SearchedLists
from mmsearch.types import Ids, Modality, Neighbours, Vectors
from mmsearch.vectors.rank import exact_scores

ScoredSegments = list[tuple[float, ResolvedSegment]]
"""Items of one list, each by its best segment and that one's cosine; best first."""


class _Candidate(NamedTuple):
    """An item of one list, and the segment that put it there."""

    order: float
    """Smaller is better, in whatever list: a place, or the negative of the evidence."""
    cosine: float
    found: ResolvedSegment

    @property
    def place_of_segment(self) -> tuple[float, float, int]:
        """Among the segments of its item."""
        return self.order, -self.cosine, self.found.segment_id


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
    _cosines: dict[int, float] = field(default_factory=dict)
    """Of the regions met so far, which count less."""

    def retrieve(self, depth: Depth) -> Ranking:
        """The best files. Of their metadata nothing is read: `search.hits` does that for those that are shown."""
        segments = depth.items + depth.spare_segments
        neighbours, sizes = self.lists.search(
            self.vector, segments, self.modalities, filter=self.filter, vector_cache=self.cache
        )
        self._note_lists(neighbours)
        neighbours = self._counted(neighbours, {key for key, size in sizes.items() if segments < size})
        by_list = _items_by_list(neighbours, depth.items, self.catalog, self.filter, self.lists)
        # What a list may hold beyond its items here is worse than they are, so as many as it has are certain.
        certain = [len(items) for key, items in by_list.items() if segments < sizes[key]]
        count = min([depth.items, *certain])
        # One more tells whether anything follows.
        return Ranking(self._ranked(by_list, count + 1), complete=not certain).first(count)

    def _ranked(self, by_list: Mapping[ListKey, ScoredSegments], count: int) -> list[RankedItem]:
        calibrated = self.calibrator.covers(key for key, items in by_list.items() if items)
        candidates: list[_Candidate] = []
        for key, items in by_list.items():
            orders: Sequence[float] = range(len(items))
            if calibrated:
                orders = [-evidence for evidence in self._evidence_of(key, [cosine for cosine, _ in items])]
            candidates += [
                _Candidate(order, cosine, found) for order, (cosine, found) in zip(orders, items, strict=True)
            ]
        return self._ranked_items(_merge(candidates, self.catalog)[:count], calibrated)

    def _ranked_items(self, candidates: Sequence[_Candidate], calibrated: bool) -> list[RankedItem]:
        paths, cosines = _paths_of(candidates, self.catalog), self._cosines
        return [
            RankedItem(
                found.item_id,
                found.segment_id,
                paths[found.item_id],
                found.modality,
                cosines.get(found.segment_id, cosine),
                found.matched,
                -order if calibrated else None,
                content_id=found.content_id,
                alone=found.alone,
                single=found.single,
            )
            for order, cosine, found in candidates
        ]

    def _note_lists(self, neighbours: Mapping[ListKey, Neighbours]) -> None:
        """Tell the calibrator what the query finds in each list, which is part of what a score of it means."""
        if self.filter is not None:
            # A filter changes what may be shown, not what a score means.
            if all(map(self.calibrator.is_noted, neighbours)):
                return
            neighbours, _ = self.lists.search(self.vector, RIVAL, self.modalities, vector_cache=self.cache)
        note_lists(self.calibrator, neighbours, self.catalog, self.space, self.cache)

    def _counted(
        self, neighbours: Mapping[ListKey, Neighbours], longer: Collection[ListKey]
    ) -> dict[ListKey, Neighbours]:
        """The same by what they count (`ScoreCalibrator.counted`), best first. Of a list that is `longer` than what was
        looked at, what counts less than the last of these is left out: what follows may count more."""
        regions = _regions(self.calibrator, neighbours, self.catalog)
        made = dict(neighbours)
        for key, known in regions.items():
            ids, cosines = neighbours[key].ids[0], neighbours[key].scores[0]
            among = np.array([one in known for one in ids.tolist()], bool)
            if not among.any():
                continue
            scores = cosines.copy()
            scores[among] = [self.calibrator.counted(key, one, True) for one in cosines[among].tolist()]
            order = np.lexsort((ids, -scores))
            if key in longer:
                order = order[scores[order] >= cosines[-1]]
            self._cosines.update(zip(ids[among].tolist(), cosines[among].tolist(), strict=True))
            made[key] = Neighbours(ids[np.newaxis, order], scores[np.newaxis, order])
        return made

    def evidence(self, key: ListKey, cosine: float) -> float:
        """What a cosine says of an item: -ln(1 - p), with p the probability that it answers the query."""
        return self._evidence_of(key, (cosine,))[0]

    def _evidence_of(self, key: ListKey, cosines: Iterable[float]) -> list[float]:
        """The same of several."""
        meaning = self.kind.meaning(key.item, key.segment)
        return [meaning * softplus(logit) for logit in self.calibrator.logits(key, cosines)]

    def score_items(self, item_ids: Iterable[int]) -> dict[int, RankedItem]:
        """Present items by their ids, each as it stands in the ranking, however far down; none without vectors."""
        with self.catalog.reading() as snapshot:
            segments, vectors = item_vectors(snapshot, self.space, item_ids, self.filter)
        cosines = self._counted_cosines(segments, exact_scores(self.vector[0], vectors).tolist())
        calibrated = self.calibrator.covers({self._key(found) for found in segments})
        candidates = [
            _Candidate(-self.evidence(self._key(found), cosine) if calibrated else -cosine, cosine, found)
            for found, cosine in zip(segments, cosines, strict=True)
        ]
        best = _merge(candidates, self.catalog)
        return {one.item_id: one for one in self._ranked_items(best, calibrated)}

    def _counted_cosines(self, segments: Sequence[ResolvedSegment], cosines: Sequence[float]) -> Sequence[float]:
        """What the cosines of segments count."""
        wanting = [found.segment_id for found in segments if self.calibrator.wants_regions(self._key(found))]
        if not wanting:
            return cosines
        with self.catalog.reading() as snapshot:
            known = regions_among(snapshot, wanting)
        pairs = list(zip(segments, cosines, strict=True))
        self._cosines.update({found.segment_id: one for found, one in pairs if found.segment_id in known})
        return [self.calibrator.counted(self._key(found), one, found.segment_id in known) for found, one in pairs]

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
    filled = {key: Neighbours(one.ids[:, :RIVAL], one.scores) for key, one in neighbours.items() if one.ids.size}
    regions = {
        key: [one in known for one in filled[key].ids[0].tolist()]
        for key, known in _regions(calibrator, filled, catalog).items()
    }
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
) -> dict[ListKey, set[int]]:
    """Of the lists where that makes a difference: which of the segments are regions."""
    wanting = [key for key in neighbours if calibrator.wants_regions(key)]
    if not wanting:
        return {}
    with catalog.reading() as snapshot:
        known = regions_among(snapshot, chain.from_iterable(neighbours[key].ids[0].tolist() for key in wanting))
    return dict.fromkeys(wanting, known)


def _best_segment(calibrator: ScoreCalibrator, key: ListKey, found: Neighbours, regions: Sequence[bool] | None) -> int:
    """The id of the segment that counts most."""
    if regions is None:
        return int(found.ids[0, 0])
    scored = zip(found.scores[0].tolist(), regions, strict=False)
    counted = [calibrator.counted(key, cosine, region) for cosine, region in scored]
    return int(found.ids[0, counted.index(max(counted))])


def softplus(logit: float) -> float:
    """ln(1 + e^x): from the logarithm of the odds of p to -ln(1 - p)."""
    return max(logit, 0.0) + math.log1p(math.exp(-abs(logit)))


def _items_by_list(
    neighbours: Mapping[ListKey, Neighbours], k: int, catalog: Catalog, filter: Filter | None, lists: SearchedLists
) -> dict[ListKey, ScoredSegments]:
    """Per list, the items that its nearest segments belong to; where more than k are to be had, the k best at least."""
    made: dict[ListKey, ScoredSegments] = {}
    with catalog.reading() as snapshot:
        generation, _, commit_id = current_commit(snapshot)
        for key, found in neighbours.items():
            # What is known of a segment's content holds of its items, too.
            whole = filter is None or is_of_contents(filter, key.item)
            owners = lists.owners(key) if whole else None
            if owners is not None and owners.commit != (generation, commit_id):
                owners = None
            made[key] = _items_of_list(snapshot, key, found, k, partial(_resolved, filter, owners))
    return made


def _items_of_list(
    snapshot: Snapshot,
    key: ListKey,
    neighbours: Neighbours,
    k: int,
    resolve: Callable[[Snapshot, ListKey, Ids], Sequence[ResolvedSegment]],
) -> ScoredSegments:
    ids, scores = neighbours.ids[0], neighbours.scores[0].tolist()
    # Mostly the first k segments are of k items: only where they are not, the others are resolved too.
    for count in (k, len(ids)):
        first = ids[:count]
        items = _best_segments(dict(zip(first.tolist(), scores, strict=False)), resolve(snapshot, key, first))
        # Further segments score less than what is found, or may tie with it.
        if count >= len(ids) or (len(items) >= k and scores[count] < items[k - 1][0]):
            break
    return items


def _resolved(
    filter: Filter | None, owners: Owners | None, snapshot: Snapshot, key: ListKey, segment_ids: Ids
) -> Sequence[ResolvedSegment]:
    """Every (segment, present path) pair of segments of a list; paths are left out that are only needed for ties."""
    if owners is None:
        if filter is not None:
            return resolve_segments(snapshot, segment_ids, filter)
        return placed_segments(snapshot, key, segment_ids)
    found, unknown = list[ResolvedSegment](), list[int]()
    for segment, owner in zip(segment_ids.tolist(), owners.of(segment_ids), strict=True):
        if owner is None or owner.item_id < 0:
            unknown.append(segment)
        else:
            (content, item, alone, single) = owner
            found.append(ResolvedSegment(segment, content, item, b"", key.item, key.segment, alone, single))
    return found + placed_segments(snapshot, key, np.array(unknown, np.int64)) if unknown else found


def _best_segments(scores: Mapping[int, float], resolved: Iterable[ResolvedSegment]) -> ScoredSegments:
    best: dict[int, tuple[float, ResolvedSegment]] = {}
    for found in resolved:
        score = scores[found.segment_id]
        known = best.get(found.item_id)
        if known is None or (-score, found.segment_id) < (-known[0], known[1].segment_id):
            best[found.item_id] = (score, found)
    # Two items of one content have been read with their paths.
    return sorted(best.values(), key=lambda pair: (-pair[0], pair[1].content_id, pair[1].path))


def _merge(candidates: Iterable[_Candidate], catalog: Catalog) -> list[_Candidate]:
    """The items of all lists, best first, each once, by its first segment of those that are equally good."""
    best: dict[int, _Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.found.item_id)
        if known is None or candidate.place_of_segment < known.place_of_segment:
            best[candidate.found.item_id] = candidate
    merged = sorted(best.values(), key=lambda one: (one.order, -one.cosine))
    if any(one.order == other.order and one.cosine == other.cosine for one, other in pairwise(merged)):
        paths = _paths_of(merged, catalog)
        merged.sort(key=lambda one: (one.order, -one.cosine, paths[one.found.item_id]))
    return merged


def _paths_of(candidates: Sequence[_Candidate], catalog: Catalog) -> dict[int, bytes]:
    """Item id -> path."""
    paths = {one.found.item_id: one.found.path for one in candidates}
    if missing := [item for item, path in paths.items() if not path]:
        with catalog.reading() as snapshot:
            paths |= paths_of_items(snapshot, missing)
    return paths
