"""ANN indexes for large lists: built from the catalog beside the index that serves, measured, and published if they
find enough.

Nothing here holds up a search or a commit: the catalog is read in short snapshots, and what is committed meanwhile is
replayed when the new ANN index takes over.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout

from mmsearch.calibration import neutral
from mmsearch.catalog import Catalog, ListKey, Snapshot, SpaceRecord
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.embeddings import vectors_by_id
from mmsearch.catalog.lists import list_segments
from mmsearch.core import sealed
from mmsearch.core.atomic import make_folder
from mmsearch.errors import LibraryError, LibraryLocked
from mmsearch.indexing.lists import Lists
from mmsearch.types import Ids, Modality, Selection, Space, Vectors
from mmsearch.vectors.presets import AUTO, PRESETS, IndexPreset, cells

if TYPE_CHECKING:
    from mmsearch.vectors.ann import AnnIndex

LOCK_NAME = "build.lock"
NEAREST = 10
"""Neighbours over which recall is measured."""

OWN_QUERIES = 128
"""Vectors of a list that stand for queries of their modality."""

FILTER_SHARES = (0.3, 0.1, 0.03)
"""Shares of a list that filters leave, for which recall is measured."""

FILTER_QUERIES = 48
"""Of each modality, for that."""

MAX_GONE = 0.2
"""Up to this share of a list's size may have gone from an ANN index that is extended: they are carried along."""

CHUNK = 8192
"""Vectors read from the catalog at once."""

TIE_TOLERANCE = 1e-6
"""Two scores that differ by less are the same neighbour as good."""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What became of building one list's ANN index."""

    key: ListKey
    preset: str
    size: int
    search_effort: int | None
    """Value of the preset's `search_parameter`, nprobe or efSearch; None: every vector is compared."""
    target: float
    recall: Mapping[Modality, float]
    """Modality of the query -> recall@10 against an exact search."""
    published: bool
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """Queries of one modality with their true answers among some vectors."""

    queries: Vectors
    own_ids: Ids
    """(q,), the segment that a query was taken from, which is no answer; -1 for those from outside."""
    thresholds: Vectors
    """(q,), the score of the tenth nearest."""
    relevant: int
    """How many true answers a query has."""


class IndexTuner:
    """Builds and measures the ANN indexes of one library and space."""

    def __init__(self, catalog: Catalog, lists: Lists, space: Space, record: SpaceRecord, target: float) -> None:
        self._catalog = catalog
        self._lists = lists
        self._space = space
        self._record = record
        self._target = target

    @contextmanager
    def build_lock(self) -> Iterator[None]:
        """Be the one that builds. Raises: LibraryLocked at once if another process or thread does."""
        make_folder(self._lists.folder)
        lock = FileLock(self._lists.folder / LOCK_NAME, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise LibraryLocked(
                "another process is building an index of this library", hint="wait until it is done; searching works"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def build_outgrown(self) -> list[BuildResult]:
        """Build what should be built, unless somebody else is at it; a list that has shrunk loses its ANN index."""
        made: list[BuildResult] = []
        due = self._lists.find_outgrown(self._was_refused)
        if not due:
            return made
        try:
            with self.build_lock():
                for key, preset in due.items():
                    if preset.exact:
                        self._lists.remove_ann(key)
                    else:
                        made.extend(self._build_until_published(key, preset))
        except LibraryLocked:
            return made
        return made

    def has_work(self) -> bool:
        """Whether something should be built, and nobody is at it. Raises: LibraryReadOnly."""
        if not self._lists.find_outgrown(self._was_refused):
            return False
        try:
            with self.build_lock():
                return True
        except LibraryLocked:
            return False

    def _build_until_published(self, key: ListKey, preset: IndexPreset) -> Iterator[BuildResult]:
        """Build until one is published: what was asked for, or, where nobody asked, what takes more bytes after it."""
        found = self._lists.ann_index(key)
        if found is not None and found[0].preset == preset and (extended := self.extend(key)) is not None:
            yield extended
            return
        for one in (preset, *(larger_presets(preset) if self._lists.kind == AUTO else ())):
            result = self.build(key, one)
            yield result
            if result.published:
                break

    def tune(self, key: ListKey) -> BuildResult | None:
        """Give a list's ANN index the least search effort that reaches the target; the caller holds `build_lock`.
        None: it has none."""
        start, found = perf_counter(), self._lists.ann_index(key)
        if found is None:
            return None
        ann, generation, commit_id = found
        tuned = self._tune(key, ann, ann.preset.search_efforts)
        published = self._reached(tuned.facts.recall)
        if published:
            self._lists.publish_ann(key, tuned, generation, commit_id)
        return self._result(key, tuned, published, start)

    def extend(self, key: ListKey) -> BuildResult | None:
        """Put what has come since into a list's ANN index without training it anew, and publish it as `build` does.
        None: it has none, or too much has changed for that; the caller holds `build_lock`."""
        start, found = perf_counter(), self._lists.ann_index(key)
        if found is None:
            return None
        from mmsearch.vectors.ann import extended_ann

        ann, _, _ = found
        with self._catalog.reading() as snapshot:
            generation, _, commit_id = current_commit(snapshot)
            ids = list_segments(snapshot, key)
        fresh, gone = np.setdiff1d(ids, ann.ids), np.setdiff1d(ann.ids, ids)
        if (
            len(gone) > MAX_GONE * len(ids)
            or cells(len(ids)) != cells(ann.facts.trained)
            or not len(fresh)
            or fresh[0] <= ann.ids[-1]
        ):
            return None
        made = extended_ann(ann, self._chunks(fresh), gone)
        tuned = self._tune(key, made, made.preset.search_efforts)
        published = self._reached(tuned.facts.recall)
        if published:
            self._lists.publish_ann(key, tuned, generation, commit_id)
        return self._result(key, tuned, published, start) if published else None

    def build(self, key: ListKey, preset: IndexPreset) -> BuildResult:
        """Build a list's ANN index and publish it, unless it misses the target; the caller holds `build_lock`."""
        start = perf_counter()
        if preset.exact:
            self._lists.remove_ann(key)
            size = self._lists.sizes()[key]
            return BuildResult(key, preset.name, size, None, self._target, {}, True, perf_counter() - start)
        from mmsearch.vectors.ann import build_ann, sample_size

        with self._catalog.reading() as snapshot:
            generation, _, commit_id = current_commit(snapshot)
            ids = list_segments(snapshot, key)
        some = np.unique(np.linspace(0, len(ids) - 1, sample_size(preset, len(ids))).astype(np.int64))
        sample = np.concatenate([rows for _, rows in self._chunks(ids[some])])
        made = build_ann(preset, sample, len(ids), self._chunks(ids), self._target)
        del sample
        tuned = self._tune(key, made, preset.search_efforts)
        published = self._reached(tuned.facts.recall)
        if published:
            self._lists.publish_ann(key, tuned, generation, commit_id)
        self._record_refusal(key, preset, len(ids), published)
        return self._result(key, tuned, published, start)

    def _result(self, key: ListKey, ann: "AnnIndex", published: bool, start: float) -> BuildResult:
        facts, seconds = ann.facts, perf_counter() - start
        return BuildResult(
            key, facts.preset, len(ann), facts.search_effort, self._target, facts.recall, published, seconds
        )

    def _read_refusals(self, key: ListKey) -> tuple[Path, dict[str, tuple[int, float]]]:
        """A file, and what it says: preset -> (size of the list, target) for which it was built in vain."""
        path = self._lists.path(key)
        path = path.with_name(f"{path.name}.refused")
        try:
            stored = json.loads(sealed.read_text(path))
            return path, {preset: (int(size), float(target)) for preset, (size, target) in stored.items()}
        except (OSError, LibraryError, ValueError, TypeError, AttributeError, RecursionError):
            return path, {}

    def _was_refused(self, key: ListKey, preset: IndexPreset, size: int) -> bool:
        """Whether the same was tried in vain, with a list of about this size."""
        before, target = self._read_refusals(key)[1].get(preset.name, (0, 0.0))
        return target <= self._target and size < 1.5 * before

    def _record_refusal(self, key: ListKey, preset: IndexPreset, size: int, published: bool) -> None:
        path, stored = self._read_refusals(key)
        if published and preset.name not in stored:
            return
        stored.pop(preset.name, None)
        if not published:
            stored[preset.name] = size, self._target
        sealed.write_bytes(path, json.dumps(stored).encode())

    def _tune(self, key: ListKey, ann: "AnnIndex", candidates: Sequence[int]) -> "AnnIndex":
        """The ANN index with the least search effort that reaches the target with queries of every modality, or the
        greatest."""
        trials = self._trials(key, np.setdiff1d(ann.ids, ann.absent))
        limit = ann.max_search_effort
        search_efforts = [candidate for candidate in candidates if candidate <= limit] or [limit]
        low, high = 0, len(search_efforts) - 1
        measured: dict[int, Mapping[Modality, float]] = {}
        while low < high:
            middle = (low + high) // 2
            measured[middle] = self._measure_recall(ann.with_facts(search_effort=search_efforts[middle]), trials)
            if self._reached(measured[middle]):
                high = middle
            else:
                low = middle + 1
        recall = measured.get(low) or self._measure_recall(ann.with_facts(search_effort=search_efforts[low]), trials)
        tuned = ann.with_facts(search_effort=search_efforts[low], recall=recall, target=self._target, filtered={})
        return tuned.with_facts(filtered=self._recall_by_share(key, tuned))

    def _recall_by_share(self, key: ListKey, ann: "AnnIndex") -> dict[str, float]:
        """Share of the list that a filter leaves -> recall under it: where that misses the target, searches compare all
        that matches."""
        ids, made = np.setdiff1d(ann.ids, ann.absent), dict[str, float]()
        chance = np.random.default_rng(0).random(len(ids))
        for share in FILTER_SHARES:
            left = ids[chance < share]
            recall = self._measure_recall(ann, self._trials(key, left, FILTER_QUERIES), Selection(left))
            made[str(share)] = min(recall.values(), default=1.0)
        return made

    def _reached(self, recall: Mapping[Modality, float]) -> bool:
        return min(recall.values(), default=1.0) >= self._target

    def _measure_recall(
        self, ann: "AnnIndex", trials: Mapping[Modality, _Trial], selection: Selection | None = None
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

    def _trials(self, key: ListKey, ids: Ids, count: int | None = None) -> dict[Modality, _Trial]:
        """Neutral queries of every modality, and vectors of the list itself for its own, `count` of each at most; exact
        answers for all, among the segments with these ids."""
        asked = {
            modality: (rows[:count], np.full(len(rows[:count]), -1))
            for modality, rows in neutral.neutral_vectors(self._space).items()
        }
        some = np.unique(np.linspace(0, len(ids) - 1, min(count or OWN_QUERIES, len(ids))).astype(np.int64))
        for own_ids, rows in self._chunks(ids[some]):
            asked[key.segment] = rows, own_ids
        relevant = min(NEAREST, len(ids) - 1)
        if relevant < 1:
            return {}
        queries = np.concatenate([rows for rows, _ in asked.values()])
        all_own = np.concatenate([own_ids for _, own_ids in asked.values()])
        thresholds = self._score_thresholds(queries, all_own, ids, relevant)
        ends = np.cumsum([len(rows) for rows, _ in asked.values()])
        parts = np.split(thresholds, ends[:-1])
        return {
            modality: _Trial(rows, own_ids, bar, relevant)
            for (modality, (rows, own_ids)), bar in zip(asked.items(), parts, strict=True)
        }

    def _score_thresholds(self, queries: Vectors, own_ids: Ids, ids: Ids, count: int) -> Vectors:
        """(q,), the score of the `count`-th nearest of each query but for its own segment, from the whole catalog."""
        best = np.full((len(queries), count), -np.inf, np.float32)
        for part, rows in self._chunks(ids):
            scores = queries @ rows.T  # (q, chunk)
            scores[part[np.newaxis] == own_ids[:, np.newaxis]] = -np.inf
            best = np.partition(np.concatenate([best, scores], axis=1), -count, axis=1)[:, -count:]
        return np.asarray(best.min(axis=1))

    def _chunks(self, ids: Ids) -> Iterator[tuple[Ids, Vectors]]:
        """Those segments that are still there, and their vectors: each chunk as of its own moment, so that no snapshot
        is held for long."""
        for start in range(0, len(ids), CHUNK):
            with self._catalog.reading() as snapshot:
                found = vectors_by_id(snapshot, self._record.id, self._space.dim, ids[start : start + CHUNK])
            yield found


def larger_presets(preset: IndexPreset) -> list[IndexPreset]:
    """Presets to try where one misses its target: those with more bits, the fewest first."""
    more = [
        one for one in PRESETS if one.search_parameter == preset.search_parameter and one.code_bits > preset.code_bits
    ]
    return sorted(more, key=lambda one: one.code_bits)
