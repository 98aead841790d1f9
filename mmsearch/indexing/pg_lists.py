"""Lists that PostgreSQL searches by pgvector: no files and nothing in memory, the same scores."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.catalog import Catalog, ListKey, Snapshot, SpaceRecord
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.embeddings import vectors_by_id
from mmsearch.catalog.lists import list_keys, list_segments
from mmsearch.catalog.postgres import vectors
from mmsearch.core.filters.ast import Filter
from mmsearch.errors import LibraryLocked
from mmsearch.indexing.lists import Lists
from mmsearch.indexing.loaded_index import fetch_vectors, nearest_matching
from mmsearch.indexing.owners import Owners
from mmsearch.indexing.tuning import BuildResult, IndexTuner
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.types import Ids, Neighbours, Selection, Space, Vectors
from mmsearch.vectors.presets import FLAT, IndexPreset, preset_named
from mmsearch.vectors.rank import exact_scores, nearest, ranked, stacked

if TYPE_CHECKING:
    from mmsearch.vectors.ann import AnnIndex

KIND = "pgvector"
"""The setting `index` that chooses them."""

GRAPH_FROM = 20_000
"""Segments from which on a list gets an HNSW index."""

SPARE = 30
"""Candidates beyond those wanted, since they are compared as float16."""

EXACT_MATCHES = 2_000
"""Up to so many segments that a filter leaves are compared by their ids."""


class PgLists(Lists):
    """As `Lists`, each search by the server in the one snapshot that it reads."""

    def __init__(self, catalog: Catalog, folder: Path, space: SpaceRecord, place: str) -> None:
        """`place`: the library's address. Raises: LibraryError where the server has no pgvector."""
        super().__init__(catalog, folder, space, "auto")
        self.place = place
        self._sizes: tuple[tuple[int, int], dict[ListKey, int]] = (-1, 0), {}
        self._graphs: frozenset[ListKey] = frozenset()
        if not catalog.read(vectors.is_kept):
            catalog.write(vectors.keep_vectors)

    def search(
        self,
        queries: Vectors,
        k: int,
        modalities: Collection[str] | None = None,
        *,
        filter: Filter | None = None,
        vector_cache: VectorCache | None = None,
    ) -> tuple[dict[ListKey, Neighbours], dict[ListKey, int]]:
        """As `Lists.search`."""
        found, sizes = dict[ListKey, Neighbours](), dict[ListKey, int]()
        with self._catalog.reading() as snapshot:
            read = partial(fetch_vectors, snapshot, self._space)
            fetch = partial((vector_cache or VectorCache()).fetch, read=read)
            for key in self._keys(snapshot, modalities):
                view = _ListInSnapshot(snapshot, self._space, key, self._size(snapshot, key), fetch, self._has_graph)
                found[key], sizes[key] = nearest_matching(snapshot, filter, key, view, queries, k)
        return found, sizes

    def _keys(self, snapshot: Snapshot, modalities: Collection[str] | None) -> list[ListKey]:
        listed = list_keys(snapshot, self._space.name)
        return [key for key in listed if modalities is None or key.item in modalities]

    def _size(self, snapshot: Snapshot, key: ListKey) -> int:
        """Findable segments of a list; counted once a commit."""
        generation, _, commit_id = current_commit(snapshot)
        at, sizes = self._sizes
        if at != (generation, commit_id):
            sizes = {}
        if key not in sizes:
            sizes = sizes | {key: vectors.count_findable(snapshot, self._space, key)}
            self._sizes = (generation, commit_id), sizes
        return sizes[key]

    def _has_graph(self, snapshot: Snapshot, key: ListKey) -> bool:
        if key not in self._graphs and vectors.has_graph(snapshot, self._space, key):
            self._graphs |= {key}
        return key in self._graphs

    def refresh(self, modalities: Collection[str] | None = None) -> list[ListKey]:
        """The keys of the lists: there is nothing to bring up to date."""
        with self._catalog.latest() as snapshot:
            return self._keys(snapshot, modalities)

    def finish_reloads(self) -> list[ListKey]:
        """As `refresh`."""
        return self.refresh()

    def owners(self, key: ListKey) -> Owners | None:
        """None: the catalog is asked."""
        return None

    def sizes(self, modalities: Collection[str] | None = None) -> dict[ListKey, int]:
        """As `Lists.sizes`."""
        with self._catalog.latest() as snapshot:
            return {key: self._size(snapshot, key) for key in self._keys(snapshot, modalities)}

    def worth_publishing(self) -> bool:
        """Whether a batch of vectors waits to be put in."""
        return self._catalog.read(vectors.count_waiting, self._space) > vectors.ROWS

    def publish(self, *, every: bool = False) -> None:
        """Put in what waits."""
        while self._catalog.write(vectors.fill_vectors, self._space):
            pass

    def build(self, key: ListKey) -> float:
        """Build a list's HNSW index, whatever its length. Returns seconds. Raises: LibraryLocked."""
        start = perf_counter()
        self.publish()
        vectors.build_graph(self.place, self._space, key)
        return perf_counter() - start

    def due(self) -> list[ListKey]:
        """The lists that are long enough for an HNSW index and have none."""
        with self._catalog.latest() as snapshot:
            keys = [key for key in self._keys(snapshot, None) if self._size(snapshot, key) >= GRAPH_FROM]
            return [key for key in keys if not vectors.has_graph(snapshot, self._space, key)]

    def describe(self, key: ListKey) -> dict[str, Any]:
        """As `Lists.describe`. The server's memory is its own affair; bytes are those of all lists together."""
        with self._catalog.latest() as snapshot:
            graph = vectors.has_graph(snapshot, self._space, key)
            return {
                "preset": f"{KIND}-hnsw" if graph else KIND, "size": self._size(snapshot, key), "since": 0,
                "memory_bytes": 0, "file_bytes": vectors.list_bytes(snapshot),
                "generation": current_commit(snapshot).generation, "search_effort": None, "target": 1.0, "recall": {},
            }  # fmt: skip

    def ann_index(self, key: ListKey) -> "tuple[AnnIndex, int, int] | None":
        """None: FAISS has none."""
        return None

    def find_unread(self, least: int) -> dict[ListKey, IndexPreset]:
        """None: nothing is read into memory."""
        return {}

    def suited_preset(self, key: ListKey, kind: str | None = None) -> IndexPreset:
        """As if all were compared: `PgTuner.build` decides."""
        return preset_named(FLAT)

    def find_outgrown(
        self, refused: Callable[[ListKey, IndexPreset, int], bool], *, improve: bool = False
    ) -> dict[ListKey, IndexPreset]:
        """None: the server's index takes changes as they come."""
        return {}

    def drop_forgetful(self) -> None:
        """Rows are deleted with their embeddings."""

    def find_damage(self, key: ListKey) -> Iterator[str]:
        """As `Lists.find_damage`: there are no files."""
        return iter(())

    def compare_ids(self, key: ListKey) -> tuple[Ids, Ids]:
        """As `Lists.compare_ids`."""
        with self._catalog.latest() as snapshot:
            return list_segments(snapshot, key), vectors.findable_ids(snapshot, self._space, key)

    def count_wrong_scores(self, key: ListKey, ids: Ids) -> int:
        """As `Lists.count_wrong_scores`: those that aren't found first by their own vector, were they alone."""
        with self._catalog.latest() as snapshot:
            found, rows = vectors_by_id(snapshot, self._space.id, self._space.dim, ids)
            wrong = 0
            for number, row in zip(found, rows, strict=True):
                _, told = vectors.propose(snapshot, self._space, key, row, 1, among=np.array([number]))
                wrong += exact_scores(row, told).tolist() != exact_scores(row, row[np.newaxis]).tolist()
            return wrong

    def reset(self, key: ListKey) -> None:
        """Make all lists of the space anew from the catalog. The caller holds the library's writer lock."""
        self._catalog.write(vectors.note_again, self._space)


class _ListInSnapshot:
    """One list as `nearest_matching` searches it."""

    owners = None

    def __init__(
        self,
        snapshot: Snapshot,
        space: SpaceRecord,
        key: ListKey,
        size: int,
        fetch: Callable[[Ids], Vectors],
        has_graph: Callable[[Snapshot, ListKey], bool],
    ) -> None:
        self._snapshot, self._space, self._key, self._size, self._fetch = snapshot, space, key, size, fetch
        self._graph = size >= GRAPH_FROM and has_graph(snapshot, key)

    def __len__(self) -> int:
        return self._size

    def search(self, queries: Vectors, k: int, *, selection: Selection | None = None) -> Neighbours:
        """The k nearest; fewer only where there are fewer."""
        ids = None if selection is None else selection.ids
        k = min(k, self._size if ids is None else len(ids))
        if ids is not None and len(ids) <= EXACT_MATCHES:
            rows = self._fetch(ids)
            return stacked([nearest(query, ids, rows, k) for query in queries], k)
        return stacked([self._nearest(query, ids, k) for query in queries], k)

    def _nearest(self, query: Vectors, among: Ids | None, k: int) -> tuple[Ids, Any]:
        ask = partial(vectors.propose, self._snapshot, self._space, self._key, query, k + SPARE, among=among)
        ids, rows = ask(graph=self._graph)
        if len(ids) < k:
            # The index was left too early: nothing that is there is left out.
            ids, rows = ask(graph=False)
        return ranked(query, ids, rows, k)


class PgTuner(IndexTuner):
    """As `IndexTuner`: builds HNSW indexes on the server. A lock of the database keeps two from it at once."""

    def __init__(self, lists: PgLists, catalog: Catalog, space: Space, record: SpaceRecord, target: float) -> None:
        super().__init__(catalog, lists, space, record, target)
        self._server = lists

    @contextmanager
    def build_lock(self) -> Iterator[None]:
        """Nothing: each build takes the lock of the database."""
        yield

    def has_work(self) -> bool:
        """As `IndexTuner.has_work`."""
        return bool(self._server.due())

    def build_outgrown(self, *, improve: bool = False) -> list[BuildResult]:
        """As `IndexTuner.build_outgrown`."""
        try:
            return [self._built(key) for key in self._server.due()]
        except LibraryLocked:
            return []

    def tune(self, key: ListKey) -> BuildResult | None:
        """None: how far an index is searched follows from how many are wanted."""
        return None

    def build(self, key: ListKey, preset: IndexPreset) -> BuildResult:
        """As `IndexTuner.build`: puts in what waits, and builds an index where the list is long enough."""
        if self._server.sizes()[key] >= GRAPH_FROM:
            return self._built(key)
        start = perf_counter()
        self._server.publish()
        return self._made(key, perf_counter() - start)

    def build_best(self, key: ListKey, preset: IndexPreset) -> Iterator[BuildResult]:
        """As `build`."""
        yield self.build(key, preset)

    def _built(self, key: ListKey) -> BuildResult:
        return self._made(key, self._server.build(key))

    def _made(self, key: ListKey, seconds: float) -> BuildResult:
        known = self._server.describe(key)
        return BuildResult(key, known["preset"], known["size"], None, self._target, {}, True, seconds)
