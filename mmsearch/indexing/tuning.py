"""Structures for large lists: built from the catalog beside the index that serves, measured, and published if they
find enough.

Nothing here holds up a search or a commit: the catalog is read in short snapshots, and what is committed meanwhile is
replayed when the new structure takes over.
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
from mmsearch.core.atomic import make_folder, replacing
from mmsearch.errors import LibraryLocked
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

FILTERS = (0.3, 0.1, 0.03)
"""Shares of a list that filters leave, for which recall is measured."""

FILTER_QUERIES = 48
"""Of each modality, for that."""

GONE = 0.2
"""Up to this share of a list's size may have gone from a structure that is extended: they are carried along."""

CHUNK = 8192
"""Vectors read from the catalog at once."""

TIE = 1e-6
"""Two scores that differ by less are the same neighbour as good."""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What became of building one list's structure."""

    key: ListKey
    preset: str
    size: int
    effort: int | None
    """Value of the preset's search parameter; None: every vector is compared."""
    target: float
    recall: Mapping[Modality, float]
    """Modality of the query -> recall@10 against an exact search."""
    published: bool
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """Queries of one modality with their true answers among some vectors."""

    queries: Vectors
    own: Ids
    """(q,), a query's own segment, which is no answer; -1 for those from outside."""
    bars: Vectors
    """(q,), the score of the tenth nearest."""
    most: int
    """How many true answers a query has."""


class IndexTuner:
    """Builds and measures the structures of one library and space."""

    def __init__(self, catalog: Catalog, indexes: Lists, space: Space, record: SpaceRecord, target: float) -> None:
        self._catalog = catalog
        self._indexes = indexes
        self._space = space
        self._record = record
        self._target = target

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the one that builds. Raises: LibraryLocked at once if another process or thread does."""
        make_folder(self._indexes.folder)
        lock = FileLock(self._indexes.folder / LOCK_NAME, timeout=0)
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

    def due(self) -> list[BuildResult]:
        """Build what should be built, unless somebody else is at it; a list that has shrunk loses its structure."""
        made: list[BuildResult] = []
        due = self._indexes.due(self._refused)
        if not due:
            return made
        try:
            with self.alone():
                for key, preset in due.items():
                    if preset.exact:
                        self._indexes.drop(key)
                    else:
                        made.extend(self._best(key, preset))
        except LibraryLocked:
            return made
        return made

    def wanted(self) -> bool:
        """Whether something should be built, and nobody is at it. Raises: LibraryReadOnly."""
        if not self._indexes.due(self._refused):
            return False
        try:
            with self.alone():
                return True
        except LibraryLocked:
            return False

    def _best(self, key: ListKey, preset: IndexPreset) -> Iterator[BuildResult]:
        """Build until one is published: what was asked for, or, where nobody asked, what takes more bytes after it."""
        found = self._indexes.built(key)
        if found is not None and found[0].preset == preset and (extended := self.extend(key)) is not None:
            yield extended
            return
        for one in (preset, *(alternatives(preset) if self._indexes.kind == AUTO else ())):
            outcome = self.build(key, one)
            yield outcome
            if outcome.published:
                break

    def tune(self, key: ListKey) -> BuildResult | None:
        """Give a list's structure the least effort that reaches the target; the caller is `alone`. None: it has no
        structure."""
        start, found = perf_counter(), self._indexes.built(key)
        if found is None:
            return None
        built, generation, mark = found
        tuned = self._tuned(key, built, built.preset.efforts)
        published = self._reached(tuned.facts.recall)
        if published:
            self._indexes.adopt(key, tuned, generation, mark)
        return self._outcome(key, tuned, published, start)

    def extend(self, key: ListKey) -> BuildResult | None:
        """Put what has come since into a list's structure without training it anew, and publish it as `build` does.
        None: it has none, or too much has changed for that; the caller is `alone`."""
        start, found = perf_counter(), self._indexes.built(key)
        if found is None:
            return None
        from mmsearch.vectors import ann as structures

        built, _, _ = found
        with self._catalog.reading() as snapshot:
            generation, _, mark = current_commit(snapshot)
            ids = list_segments(snapshot, key)
        fresh, gone = np.setdiff1d(ids, built.ids), np.setdiff1d(built.ids, ids)
        if (
            len(gone) > GONE * len(ids)
            or cells(len(ids)) != cells(built.facts.trained)
            or not len(fresh)
            or fresh[0] <= built.ids[-1]
        ):
            return None
        made = structures.extended_ann(built, self._chunks(fresh), gone)
        tuned = self._tuned(key, made, made.preset.efforts)
        published = self._reached(tuned.facts.recall)
        if published:
            self._indexes.adopt(key, tuned, generation, mark)
        return self._outcome(key, tuned, published, start) if published else None

    def build(self, key: ListKey, preset: IndexPreset) -> BuildResult:
        """Build a list's structure and publish it, unless it misses the target; the caller is `alone`."""
        start = perf_counter()
        if preset.exact:
            self._indexes.drop(key)
            size = self._indexes.sizes()[key]
            return BuildResult(key, preset.name, size, None, self._target, {}, True, perf_counter() - start)
        from mmsearch.vectors import ann as structures

        with self._catalog.reading() as snapshot:
            generation, _, mark = current_commit(snapshot)
            ids = list_segments(snapshot, key)
        some = np.unique(np.linspace(0, len(ids) - 1, structures.sample_size(preset, len(ids))).astype(np.int64))
        sample = np.concatenate([rows for _, rows in self._chunks(ids[some])])
        made = structures.build_ann(preset, sample, len(ids), self._chunks(ids), self._target)
        del sample
        tuned = self._tuned(key, made, preset.efforts)
        published = self._reached(tuned.facts.recall)
        if published:
            self._indexes.adopt(key, tuned, generation, mark)
        self._remember(key, preset, len(ids), published)
        return self._outcome(key, tuned, published, start)

    def _outcome(self, key: ListKey, built: "AnnIndex", published: bool, start: float) -> BuildResult:
        facts, seconds = built.facts, perf_counter() - start
        return BuildResult(key, facts.preset, len(built), facts.effort, self._target, facts.recall, published, seconds)

    def _refusals(self, key: ListKey) -> tuple[Path, dict[str, tuple[int, float]]]:
        """A file, and what it says: preset -> (size of the list, target) for which it was built in vain."""
        path = self._indexes.path(key)
        path = path.with_name(f"{path.name}.refused")
        try:
            told = json.loads(path.read_text())
            return path, {preset: (int(size), float(target)) for preset, (size, target) in told.items()}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return path, {}

    def _refused(self, key: ListKey, preset: IndexPreset, size: int) -> bool:
        """Whether the same was tried in vain, with a list of about this size."""
        before, target = self._refusals(key)[1].get(preset.name, (0, 0.0))
        return target <= self._target and size < 1.5 * before

    def _remember(self, key: ListKey, preset: IndexPreset, size: int, published: bool) -> None:
        path, told = self._refusals(key)
        if published and preset.name not in told:
            return
        told.pop(preset.name, None)
        if not published:
            told[preset.name] = size, self._target
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(told))

    def _tuned(self, key: ListKey, built: "AnnIndex", choice: Sequence[int]) -> "AnnIndex":
        """The structure with the least effort that reaches the target with queries of every modality, or the most."""
        trials = self._trials(key, np.setdiff1d(built.ids, built.absent))
        efforts = [effort for effort in choice if effort <= built.most] or [built.most]
        low, high = 0, len(efforts) - 1
        measured: dict[int, Mapping[Modality, float]] = {}
        while low < high:
            middle = (low + high) // 2
            measured[middle] = self._recall(built.with_facts(effort=efforts[middle]), trials)
            if self._reached(measured[middle]):
                high = middle
            else:
                low = middle + 1
        recall = measured.get(low) or self._recall(built.with_facts(effort=efforts[low]), trials)
        tuned = built.with_facts(effort=efforts[low], recall=recall, target=self._target, filtered={})
        return tuned.with_facts(filtered=self._filtered(key, tuned))

    def _filtered(self, key: ListKey, built: "AnnIndex") -> dict[str, float]:
        """Share of the list that a filter leaves -> recall under it: where that misses the target, searches compare all
        that matches."""
        ids, made = np.setdiff1d(built.ids, built.absent), dict[str, float]()
        chance = np.random.default_rng(0).random(len(ids))
        for share in FILTERS:
            left = ids[chance < share]
            recall = self._recall(built, self._trials(key, left, FILTER_QUERIES), Selection(left))
            made[str(share)] = min(recall.values(), default=1.0)
        return made

    def _reached(self, recall: Mapping[Modality, float]) -> bool:
        return min(recall.values(), default=1.0) >= self._target

    def _recall(
        self, built: "AnnIndex", trials: Mapping[Modality, _Trial], selection: Selection | None = None
    ) -> dict[Modality, float]:
        from mmsearch.vectors.layered import LayeredIndex

        index = LayeredIndex(self._space.dim, built)
        made: dict[Modality, float] = {}
        for modality, trial in trials.items():
            with self._catalog.reading() as snapshot:
                fetch = partial(self._lenient, snapshot)
                found = index.search(trial.queries, NEAREST + 1, selection=selection, fetch=fetch)
            good = (found.scores >= trial.bars[:, np.newaxis] - TIE) & (found.ids != trial.own[:, np.newaxis])
            made[modality] = float(np.minimum(good.sum(axis=1), trial.most).mean() / trial.most)
        return made

    def _lenient(self, snapshot: Snapshot, ids: Ids) -> Vectors:
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
        for own, rows in self._chunks(ids[some]):
            asked[key.segment] = rows, own
        most = min(NEAREST, len(ids) - 1)
        if most < 1:
            return {}
        queries = np.concatenate([rows for rows, _ in asked.values()])
        bars = self._bars(queries, np.concatenate([own for _, own in asked.values()]), ids, most)
        ends = np.cumsum([len(rows) for rows, _ in asked.values()])
        parts = np.split(bars, ends[:-1])
        return {
            modality: _Trial(rows, own, bar, most)
            for (modality, (rows, own)), bar in zip(asked.items(), parts, strict=True)
        }

    def _bars(self, queries: Vectors, own: Ids, ids: Ids, count: int) -> Vectors:
        """(q,), the score of the `count`-th nearest of each query but for its own segment, from the whole catalog."""
        best = np.full((len(queries), count), -np.inf, np.float32)
        for part, rows in self._chunks(ids):
            scores = queries @ rows.T  # (q, chunk)
            scores[part[np.newaxis] == own[:, np.newaxis]] = -np.inf
            best = np.partition(np.concatenate([best, scores], axis=1), -count, axis=1)[:, -count:]
        return np.asarray(best.min(axis=1))

    def _chunks(self, ids: Ids) -> Iterator[tuple[Ids, Vectors]]:
        """Those segments that are still there, and their vectors: each chunk as of its own moment, so that no snapshot
        is held for long."""
        for start in range(0, len(ids), CHUNK):
            with self._catalog.reading() as snapshot:
                found = vectors_by_id(snapshot, self._record.id, self._space.dim, ids[start : start + CHUNK])
            yield found


def alternatives(preset: IndexPreset) -> list[IndexPreset]:
    """Presets to try where one misses its target: those with more bits, the fewest first."""
    more = [one for one in PRESETS if one.effort == preset.effort and one.code_bits > preset.code_bits]
    return sorted(more, key=lambda one: one.code_bits)
