"""ANN indexes for large lists: built from the catalog beside the index that serves, measured, and published if they
find enough.

Nothing here holds up a search or a commit: the catalog is read in short snapshots, and what is committed meanwhile is
replayed when the new ANN index takes over.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout

from mmsearch.catalog import Catalog, ListKey, SpaceRecord
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.lists import list_segments
from mmsearch.core import sealed
from mmsearch.core.atomic import make_folder
from mmsearch.errors import LibraryError, LibraryLocked
from mmsearch.indexing.lists import Lists
from mmsearch.indexing.trials import Trials
from mmsearch.types import Modality, Space
from mmsearch.vectors.presets import AUTO, GRAPH, PRESETS, IndexPreset, cells, suited_preset

if TYPE_CHECKING:
    from mmsearch.vectors.ann import AnnIndex

LOCK_NAME = "build.lock"
MAX_GONE = 0.2
"""Up to this share of a list's size may have gone from an ANN index that is extended: they are carried along."""

LONG = 100_000
"""Up to so many vectors of a list that nobody has read are read into memory first, and indexed then."""

EASY_EFFORT = 128
"""Where a graph reaches its target with a search effort of so much, nothing is faster."""


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


@dataclass(frozen=True, slots=True)
class _Made:
    """An ANN index that was built and tuned, and the commit it is of."""

    ann: "AnnIndex"
    generation: int
    commit_id: int
    start: float
    """When that was begun."""


class IndexTuner:
    """Builds and measures the ANN indexes of one library and space."""

    def __init__(self, catalog: Catalog, lists: Lists, space: Space, record: SpaceRecord, target: float) -> None:
        self._catalog = catalog
        self._lists = lists
        self._space = space
        self._record = record
        self._target = target
        self._trials = Trials(catalog, space, record)

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

    def build_outgrown(self, *, improve: bool = False) -> list[BuildResult]:
        """Build what should be built, unless somebody else is at it; a list that has shrunk loses its ANN index.
        `improve`: as `Lists.find_outgrown` has it."""
        made: list[BuildResult] = []
        due = self._lists.find_outgrown(self._was_refused, improve=improve)
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

    def build_unread(self) -> list[BuildResult]:
        """Build the ANN indexes of long lists that are in no memory and in no file yet, from the catalog a chunk at a
        time: until they have one, to search them takes all of their vectors into memory."""
        made: list[BuildResult] = []
        if not (unread := self._lists.find_unread(LONG)):
            return made
        with suppress(LibraryLocked), self.build_lock():
            for key, preset in unread.items():
                made.extend(self._build_anew(key, preset))
        return made

    def has_work(self) -> bool:
        """Whether something should be built or improved, and nobody is at it. Raises: LibraryReadOnly."""
        if not self._lists.find_outgrown(self._was_refused, improve=True):
            return False
        try:
            with self.build_lock():
                return True
        except LibraryLocked:
            return False

    def _build_until_published(self, key: ListKey, preset: IndexPreset) -> Iterator[BuildResult]:
        found = self._lists.ann_index(key)
        if found is not None and found[0].preset == preset and (extended := self.extend(key)) is not None:
            yield extended
        else:
            yield from self._build_anew(key, preset)

    def _build_anew(self, key: ListKey, preset: IndexPreset) -> Iterator[BuildResult]:
        if self._lists.kind == AUTO:
            yield from self.build_best(key, preset)
        else:
            yield self.build(key, preset)

    def build_best(self, key: ListKey, preset: IndexPreset) -> Iterator[BuildResult]:
        """Build until one is published where nobody asked for a preset: the one that suits, or, where that misses the
        target, what takes more bytes. Where a graph has to try hard, cells are built too, and the faster one serves.
        The caller holds `build_lock`. Gives what was published, and what missed the target."""
        if preset.name == GRAPH:
            graph = self._make(key, preset)
            preset = suited_preset(len(graph.ann))
            if self._reached(graph.ann.facts.recall):
                yield self._faster(key, graph, preset)
                return
            yield self._publish(key, graph)
        for one in (preset, *larger_presets(preset)):
            result = self.build(key, one)
            yield result
            if result.published:
                break

    def _faster(self, key: ListKey, graph: _Made, other: IndexPreset) -> BuildResult:
        """Publish a graph, or the other preset where that answers sooner."""
        if graph.ann.facts.search_effort <= EASY_EFFORT:
            return self._publish(key, graph)
        if not other.exact:
            rival = self._make(key, other)
            if not self._reached(rival.ann.facts.recall) or self._trials.is_faster(key, graph.ann, rival.ann):
                return self._publish(key, graph)
        self._record_refusal(key, graph.ann.preset, len(graph.ann), published=False)
        return self.build(key, other) if other.exact else self._publish(key, rival)

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
        made = extended_ann(ann, self._trials.chunks(fresh), gone)
        tuned = self._tune(key, made, made.preset.search_efforts)
        published = self._reached(tuned.facts.recall)
        if published:
            self._lists.publish_ann(key, tuned, generation, commit_id)
        return self._result(key, tuned, published, start) if published else None

    def build(self, key: ListKey, preset: IndexPreset) -> BuildResult:
        """Build a list's ANN index and publish it, unless it misses the target; the caller holds `build_lock`."""
        if not preset.exact:
            return self._publish(key, self._make(key, preset))
        start = perf_counter()
        self._lists.remove_ann(key)
        size = self._lists.sizes()[key]
        return BuildResult(key, preset.name, size, None, self._target, {}, True, perf_counter() - start)

    def _make(self, key: ListKey, preset: IndexPreset) -> _Made:
        """Build and tune a list's ANN index beside what serves."""
        start = perf_counter()
        from mmsearch.vectors.ann import build_ann, sample_size

        with self._catalog.reading() as snapshot:
            generation, _, commit_id = current_commit(snapshot)
            ids = list_segments(snapshot, key)
        some = np.unique(np.linspace(0, len(ids) - 1, sample_size(preset, len(ids))).astype(np.int64))
        sample = np.concatenate([rows for _, rows in self._trials.chunks(ids[some])])
        made = build_ann(preset, sample, len(ids), self._trials.chunks(ids), self._target)
        del sample
        return _Made(self._tune(key, made, preset.search_efforts), generation, commit_id, start)

    def _publish(self, key: ListKey, made: _Made) -> BuildResult:
        """Search with it from now on, unless it misses the target."""
        published = self._reached(made.ann.facts.recall)
        if published:
            self._lists.publish_ann(key, made.ann, made.generation, made.commit_id)
        self._record_refusal(key, made.ann.preset, len(made.ann), published)
        return self._result(key, made.ann, published, made.start)

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
        trials = self._trials.trials(key, np.setdiff1d(ann.ids, ann.absent))
        limit = ann.max_search_effort
        search_efforts = [candidate for candidate in candidates if candidate <= limit] or [limit]
        low, high = 0, len(search_efforts) - 1
        measured: dict[int, Mapping[Modality, float]] = {}
        while low < high:
            middle = (low + high) // 2
            measured[middle] = self._trials.recall(ann.with_facts(search_effort=search_efforts[middle]), trials)
            if self._reached(measured[middle]):
                high = middle
            else:
                low = middle + 1
        recall = measured.get(low) or self._trials.recall(ann.with_facts(search_effort=search_efforts[low]), trials)
        tuned = ann.with_facts(search_effort=search_efforts[low], recall=recall, target=self._target, filtered={})
        return tuned.with_facts(filtered=self._trials.recall_by_share(key, tuned))

    def _reached(self, recall: Mapping[Modality, float]) -> bool:
        return min(recall.values(), default=1.0) >= self._target


def larger_presets(preset: IndexPreset) -> list[IndexPreset]:
    """Presets to try where one misses its target: those with more bits, the fewest first."""
    more = [
        one for one in PRESETS if one.search_parameter == preset.search_parameter and one.code_bits > preset.code_bits
    ]
    return sorted(more, key=lambda one: one.code_bits)
