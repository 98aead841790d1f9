"""The library's own ranking of every item of a modality, for many queries at once; its index against exact search."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsearch.calibration import ScoreCalibrator
from mmsearch.catalog import Catalog, ListKey, SpaceRecord
from mmsearch.catalog.lists import items_of_list, list_changes
from mmsearch.indexing.lists import Lists
from mmsearch.search.keywords import joint_evidence
from mmsearch.search.kinds import ANY_KIND, KindOfAnswer
from mmsearch.search.ranking import RankedItem
from mmsearch.search.vector import softplus
from mmsearch.types import Ids, Modality, Neighbours, Selection, Vectors
from mmsearch.vectors import create_index

NEAREST = 10
"""Neighbours at which a live index is compared with exact search."""

CELLS = 2**22
"""Scores held at once."""

Scores = NDArray[np.float32]

Order = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """What a search of one query says of items, as evidence (`mmsearch.search.word_evidence`)."""

    calibrator: ScoreCalibrator
    words: Mapping[int, RankedItem]
    """Items by their words, by item id."""
    kind: KindOfAnswer = ANY_KIND
    """Without the kind that the query names: all items are of one."""

    def covers(self, keys: Iterable[ListKey]) -> bool:
        """Whether scores of these lists can be compared."""
        return self.calibrator.covers(keys)

    def meaning(self, key: ListKey, cosine: float) -> float:
        """Of a cosine in a list."""
        return self.kind.meaning(key.item, key.segment) * softplus(self.calibrator.logit(key, cosine))


@dataclass(frozen=True, slots=True, eq=False)
class _List:
    """One list of vectors, and whose they are: pair i says that segment `pairs[i]` belongs to `items[owners[i]]`."""

    key: ListKey
    segments: Ids
    """(n,), ascending, unique."""
    regions: NDArray[np.bool_]
    """(n,), which of them are regions of pictures."""
    pairs: NDArray[np.intp]
    """(p,), positions in `segments`, grouped by owner."""
    owners: NDArray[np.intp]
    """(p,), positions among the items, ascending."""


def candidates(catalog: Catalog, vector_lists: Lists, item: Modality) -> tuple[Ids, list[_List]]:
    """Every item of a modality that has vectors, item ids (m,) ascending, and the lists that rank them."""
    keys = vector_lists.refresh((item,))
    with catalog.reading() as snapshot:
        found = {key: items_of_list(snapshot, key) for key in keys}
    items = np.unique(np.concatenate([owned for _, owned, _ in found.values()] or [np.empty(0, np.int64)]))
    return items, [_list(key, listed, items) for key, listed in found.items() if len(listed[0])]


def _list(key: ListKey, listed: tuple[Ids, Ids, NDArray[np.bool_]], items: Ids) -> _List:
    segments, owned, regions = listed
    unique, first = np.unique(segments, return_index=True)
    return _List(key, unique, regions[first], np.searchsorted(unique, segments), np.searchsorted(items, owned))


def merits(
    vectors: Vectors, vector_lists: Lists, items: Ids, lists: Sequence[_List], judges: Sequence[Judge] | None
) -> Iterator[NDArray[np.float64]]:
    """For every query (q, dim), in order: the merit (m,) of each item, higher is better.

    As in a search, an item counts by its best segment, and by what its words and its meaning say together. Without
    `judges`, one a query, by its cosine, and where a modality has two lists, by its best place in either.
    """
    longest = max(len(one.segments) for one in lists)
    step = max(1, CELLS // longest)
    for start in range(0, len(vectors), step):
        some = vectors[start : start + step]
        found, _ = vector_lists.search(some, longest, (lists[0].key.item,))
        asked = judges[start : start + step] if judges else None
        scored = [_by_item(found[one.key], one, len(items), asked) for one in lists]  # each (q, m)
        for query in range(len(some)):
            yield _merit(items, lists, [scores[query] for scores in scored], judges[start + query] if judges else None)


def _by_item(found: Neighbours, one: _List, count: int, judges: Sequence[Judge] | None) -> Scores:
    """float32 (q, count): the best cosine of each item's segments, as judges count it; -inf for one that has none in
    this list."""
    at = np.searchsorted(one.segments, found.ids)
    # What another process took in since the candidates were listed is none of them.
    at[at == len(one.segments)] = 0
    listed = one.segments[at] == found.ids
    by_segment = np.full((len(found.ids), len(one.segments)), -np.inf, np.float32)
    rows = np.broadcast_to(np.arange(len(found.ids))[:, np.newaxis], at.shape)
    by_segment[rows[listed], at[listed]] = found.scores[listed]
    for row, judge in zip(by_segment, judges or (), strict=False):
        if judge.calibrator.wants_regions(one.key):
            there = one.regions & np.isfinite(row)
            row[there] = [judge.calibrator.counted(one.key, cosine, True) for cosine in row[there].tolist()]
    firsts = np.flatnonzero(np.r_[True, one.owners[1:] != one.owners[:-1]])
    scores = np.full((len(found.ids), count), -np.inf, np.float32)
    scores[:, one.owners[firsts]] = np.maximum.reduceat(by_segment[:, one.pairs], firsts, axis=1)
    return scores


def _merit(items: Ids, lists: Sequence[_List], rows: Sequence[Scores], judge: Judge | None) -> NDArray[np.float64]:
    if len(rows) == 1 and not (judge and judge.words):
        return rows[0].astype(np.float64)
    if judge is None:
        return merged(rows, [_places(row) for row in rows])
    words = [judge.words.get(item) for item in items.tolist()]
    return merged(rows, [-_evidence(one.key, row, words, judge) for one, row in zip(lists, rows, strict=True)])


def merged(lists: Sequence[Scores], orders: Sequence[Order]) -> NDArray[np.float64]:
    """Merits (m,) from each list's scores (m,) and its order (m,), less is better; equals stay equal.

    An item counts by its best order in any list, then by the score that goes with it.
    """
    order = np.stack(orders)
    best = order.min(axis=0)
    score = np.where(order == best, np.stack(lists), -np.inf).max(axis=0)
    ranked = np.lexsort((-score, best))
    changed = (best[ranked][1:] != best[ranked][:-1]) | (score[ranked][1:] != score[ranked][:-1])
    merit = np.empty(len(best), np.float64)
    merit[ranked] = -np.r_[0, np.cumsum(changed)]
    return merit


def _evidence(key: ListKey, scores: Scores, words: Sequence[RankedItem | None], judge: Judge) -> Order:
    """What each score and each item's words say; less than anything for an item that is not in the list."""
    said = np.full(len(scores), -np.inf)
    for place in np.flatnonzero(np.isfinite(scores)).tolist():
        meaning, of_words = judge.meaning(key, float(scores[place])), words[place]
        said[place] = meaning if of_words is None else joint_evidence(meaning, of_words)
    return said


def _places(scores: Scores) -> Order:
    """How many score more: equals share a place."""
    ascending = np.sort(scores)
    return len(scores) - np.searchsorted(ascending, scores, side="right").astype(np.float64)


def index_recall(vectors: Vectors, catalog: Catalog, vector_lists: Lists, record: SpaceRecord, item: Modality) -> float:
    """Of the nearest segments by an exhaustive scan of the catalog's vectors, the share the index finds; mean over
    the queries (q, dim) and the modality's lists. Another segment of equal score counts as found."""
    live, _ = vector_lists.search(vectors, NEAREST, (item,))
    shares = [share for key, found in live.items() for share in _shares(vectors, found, key, catalog, record.dim)]
    return float(np.mean(shares))


def _shares(vectors: Vectors, live: Neighbours, key: ListKey, catalog: Catalog, dim: int) -> Iterator[float]:
    exhaustive = create_index("numpy", dim)
    with catalog.reading() as snapshot:
        changes = list(list_changes(snapshot, key, dim, -1))
    if not changes:
        return
    exhaustive.add(np.concatenate([c.ids for c in changes]), np.concatenate([c.vectors for c in changes]))
    exact = exhaustive.search(vectors, NEAREST)
    for query, (ids, wanted, scores) in enumerate(zip(live.ids, exact.ids, exact.scores, strict=True)):
        if set(ids.tolist()) == set(wanted.tolist()):
            yield 1.0
            continue
        # What the index says of scores is not to be trusted here: its finds are scored anew.
        again = exhaustive.search(vectors[query : query + 1], NEAREST, selection=Selection(np.unique(ids)))
        yield float((again.scores[0] >= scores[-1]).sum() / len(wanted))
