"""Trials of ANN indexes: queries with their true answers, what an index finds of these, and how long it takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.calibration import neutral
from mmsearch.catalog import Catalog, ListKey, Snapshot, SpaceRecord
from mmsearch.catalog.embeddings import vectors_by_id
from mmsearch.types import Ids, Modality, Selection, Space, Vectors

if TYPE_CHECKING:
    from mmsearch.vectors.ann import AnnIndex

NEAREST = 10
"""Neighbours over which recall is measured."""

OWN_QUERIES = 128
"""Vectors of a list that stand for queries of their modality."""

FILTER_SHARES = (0.3, 0.1, 0.03)
"""Shares of a list that filters leave, for which recall is measured."""

FILTER_QUERIES = 48
"""Of each modality, for that."""

TIMED = 48
"""Queries that are timed to compare two ANN indexes."""

CHUNK = 8192
"""Vectors read from the catalog at once."""

TIE_TOLERANCE = 1e-6
"""Two scores that differ by less are the same neighbour as good."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Queries of one modality with their true answers among some vectors."""

    queries: Vectors
    own_ids: Ids
    """(q,), the segment that a query was taken from, which is no answer; -1 for those from outside."""
    thresholds: Vectors
    """(q,), the score of the tenth nearest."""
    relevant: int
    """How many true answers a query has."""


class Trials:
    """Made from the catalog's vectors of one space, a chunk at a time: memory for the queries and one chunk."""

    def __init__(self, catalog: Catalog, space: Space, record: SpaceRecord) -> None:
        self._catalog = catalog
        self._space = space
        self._record = record

    def is_faster(self, key: ListKey, one: "AnnIndex", other: "AnnIndex") -> bool:
        """Whether the median search by one takes less time than by the other; asked in turn, each query twice."""
        from mmsearch.vectors.layered import LayeredIndex

        asked = self._queries(key, one.ids, TIMED)
        queries = np.concatenate([rows for rows, _ in asked.values()])
        spent = np.empty((2, 2, len(queries)))
        with self._catalog.reading() as snapshot:
            fetch = partial(self._fetch_or_zeros, snapshot)
            for turn, number in np.ndindex(2, len(queries)):
                for which, ann in enumerate((one, other)):
                    start = perf_counter()
                    LayeredIndex(self._space.dim, ann).search(queries[number : number + 1], NEAREST, fetch=fetch)
                    spent[which, turn, number] = perf_counter() - start
        mine, others = np.median(spent.min(axis=1), axis=1)
        return bool(mine < others)

    def recall_by_share(self, key: ListKey, ann: "AnnIndex") -> dict[str, float]:
        """Share of the list that a filter leaves -> recall under it: where that misses the target, searches compare all
        that matches."""
        ids, made = np.setdiff1d(ann.ids, ann.absent), dict[str, float]()
        chance = np.random.default_rng(0).random(len(ids))
        for share in FILTER_SHARES:
            left = ids[chance < share]
            recall = self.recall(ann, self.trials(key, left, FILTER_QUERIES), Selection(left))
            made[str(share)] = min(recall.values(), default=1.0)
        return made

    def recall(
        self, ann: "AnnIndex", trials: Mapping[Modality, Trial], selection: Selection | None = None
    ) -> dict[Modality, float]:
        from mmsearch.vectors.layered import LayeredIndex

        index = LayeredIndex(self._space.dim, ann)
        made: dict[Modality, float] = {}
        for modality, trial in trials.items():
            with self._catalog.reading() as snapshot:
                fetch = partial(self._fetch_or_zeros, snapshot)
                found = index.search(trial.queries, NEAREST + 1, selection=selection, fetch=fetch)
            near = found.scores >= trial.thresholds[:, np.newaxis] - TIE_TOLERANCE
            good = near & (found.ids != trial.own_ids[:, np.newaxis])
            made[modality] = float(np.minimum(good.sum(axis=1), trial.relevant).mean() / trial.relevant)
        return made

    def _fetch_or_zeros(self, snapshot: Snapshot, ids: Ids) -> Vectors:
        """What has gone since the trial was made is as far away as can be."""
        rows = np.zeros((len(ids), self._space.dim), np.float32)
        found, vectors = vectors_by_id(snapshot, self._record.id, self._space.dim, ids)
        rows[np.searchsorted(ids, found)] = vectors
        return rows

    def trials(self, key: ListKey, ids: Ids, count: int | None = None) -> dict[Modality, Trial]:
        """Neutral queries of every modality, and vectors of the list itself for its own, `count` of each at most; exact
        answers for all, among the segments with these ids."""
        asked = self._queries(key, ids, count)
        relevant = min(NEAREST, len(ids) - 1)
        if relevant < 1:
            return {}
        queries = np.concatenate([rows for rows, _ in asked.values()])
        all_own = np.concatenate([own_ids for _, own_ids in asked.values()])
        thresholds = self._score_thresholds(queries, all_own, ids, relevant)
        ends = np.cumsum([len(rows) for rows, _ in asked.values()])
        parts = np.split(thresholds, ends[:-1])
        return {
            modality: Trial(rows, own_ids, bar, relevant)
            for (modality, (rows, own_ids)), bar in zip(asked.items(), parts, strict=True)
        }

    def _queries(self, key: ListKey, ids: Ids, count: int | None) -> dict[Modality, tuple[Vectors, Ids]]:
        """Modality -> queries (q, dim), and the segments that they are, -1 for those from outside."""
        asked = {
            modality: (rows[:count], np.full(len(rows[:count]), -1))
            for modality, rows in neutral.neutral_vectors(self._space).items()
        }
        some = np.unique(np.linspace(0, len(ids) - 1, min(count or OWN_QUERIES, len(ids))).astype(np.int64))
        for own_ids, rows in self.chunks(ids[some]):
            asked[key.segment] = rows, own_ids
        return asked

    def _score_thresholds(self, queries: Vectors, own_ids: Ids, ids: Ids, count: int) -> Vectors:
        """(q,), the score of the `count`-th nearest of each query but for its own segment, from the whole catalog."""
        best = np.full((len(queries), count), -np.inf, np.float32)
        for part, rows in self.chunks(ids):
            scores = queries @ rows.T  # (q, chunk)
            scores[part[np.newaxis] == own_ids[:, np.newaxis]] = -np.inf
            best = np.partition(np.concatenate([best, scores], axis=1), -count, axis=1)[:, -count:]
        return np.asarray(best.min(axis=1))

    def chunks(self, ids: Ids) -> Iterator[tuple[Ids, Vectors]]:
        """Those segments that are still there, and their vectors: each chunk as of its own moment, so that no snapshot
        is held for long."""
        for start in range(0, len(ids), CHUNK):
            with self._catalog.reading() as snapshot:
                found = vectors_by_id(snapshot, self._record.id, self._space.dim, ids[start : start + CHUNK])
            yield found
