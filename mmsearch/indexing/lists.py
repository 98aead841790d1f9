"""Indexes kept in step with the catalog: loaded, replayed, rebuilt or quarantined as need be, without being asked.

A list has a file with everything in it that is searched exactly: all of it, or, where an ANN index has been built
(`mmsearch.indexing.tuning`), what has changed since. The ANN index lies beside it in a file of its own.
"""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.catalog import ListKey, Snapshot
from mmsearch.catalog.commits import Outdated, current_commit
from mmsearch.catalog.embeddings import vectors_by_id
from mmsearch.catalog.lists import list_keys, list_segments
from mmsearch.core.atomic import told
from mmsearch.core.filters.ast import Filter
from mmsearch.core.machine import memory_bytes
from mmsearch.errors import IndexDamaged
from mmsearch.indexing.loaded_index import (
    LAYERED,
    REPLAY_LIMIT,
    IndexSnapshot,
    LoadedIndex,
    fetch_vectors,
    file_identity,
    lengths,
    nearest_matching,
)
from mmsearch.indexing.open_lists import ANN_SUFFIX, OpenLists
from mmsearch.indexing.owners import Owners
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.types import Ids, Neighbours, Selection, Vectors
from mmsearch.vectors import (
    check_file,
    check_sealed,
    presets,
    publish_index,
    publish_sealed,
    quarantine,
    remove_file,
)
from mmsearch.vectors.presets import IndexPreset
from mmsearch.vectors.rank import exact_scores

if TYPE_CHECKING:
    from mmsearch.vectors.ann import AnnIndex

REBUILD_AFTER = (2_000, 20_000)
"""An ANN index is built anew when a tenth of it has changed, but not before and not after so many: what has changed is
searched by comparing everything."""


class Lists(OpenLists):
    """The indexes of one library and space, one for each list of vectors that may be ranked together.

    Thread safety: any number of threads may search; each search sees one committed generation.
    """

    def search(
        self,
        queries: Vectors,
        k: int,
        modalities: Collection[str] | None = None,
        *,
        filter: Filter | None = None,
        vector_cache: VectorCache | None = None,
    ) -> tuple[dict[ListKey, Neighbours], dict[ListKey, int]]:
        """The k nearest segments in every list, and each list's length. `modalities`: only these items' lists.

        Args:
            queries: float32 (q, dim), unit rows.
            filter: Keeps segments of items that match, exactly: the k nearest of those. The length is then how many
                match, or, where k were found without counting them, still that of the list.
            vector_cache: Keeps the vectors that are read from the catalog.

        Raises: Outdated if the caller's thread holds a snapshot that is of the past.
        """
        # Mostly the lists are of what this thread sees, and nothing has to be brought up to date.
        if not any(map(self._is_replaced, self._at[1])):
            with self._catalog.reading() as snapshot:
                found = self._search_at(snapshot, queries, k, modalities, filter, vector_cache)
            if found is not None:
                return found
        while True:
            self.refresh(modalities)
            with self._catalog.latest() as snapshot:
                commit = current_commit(snapshot)
                found = self._search_at(snapshot, queries, k, modalities, filter, vector_cache)
            if self._catalog.is_held() and self._catalog.read(current_commit) != commit:
                # What is read beside would be of the past that is held.
                raise Outdated
            if found is not None:
                return found

    def _search_at(
        self,
        snapshot: Snapshot,
        queries: Vectors,
        k: int,
        modalities: Collection[str] | None,
        filter: Filter | None,
        vector_cache: VectorCache | None,
    ) -> tuple[dict[ListKey, Neighbours], dict[ListKey, int]] | None:
        """What `search` gives; None if a list is of another commit than the snapshot."""
        (generation, _, commit_id) = current_commit(snapshot)
        commit = generation, commit_id
        with self._lock.reading():
            at, listed = self._at
            keys = [key for key in listed if modalities is None or key.item in modalities]
            loaded = {key: self._loaded[key] for key in keys if key in self._loaded}
            present = all((one.generation, one.commit_id) == commit for one in loaded.values())
            if at != commit or len(loaded) < len(keys) or not present:
                return None
            if filter is None and not any(one.layers and one.layers.needs_fetch for one in loaded.values()):
                return {key: one.index.search(queries, k) for key, one in loaded.items()}, lengths(loaded)
            read = partial(fetch_vectors, snapshot, self._space)
            fetch = partial((vector_cache or VectorCache()).fetch, read=read)
            found = {
                key: nearest_matching(
                    snapshot, filter, key, IndexSnapshot(one, fetch, self._owners_at(key, commit)), queries, k
                )
                for key, one in loaded.items()
            }
            return {key: one[0] for key, one in found.items()}, {key: one[1] for key, one in found.items()}

    def _owners_at(self, key: ListKey, commit: tuple[int, int]) -> Owners | None:
        found = self.owners(key)
        return None if found is None or found.commit != commit else found

    def owners(self, key: ListKey) -> Owners | None:
        """Whose the segments of a list are, as of some commit; None if nothing is at hand."""
        return self.owner_files.owners(key)

    def sizes(self, modalities: Collection[str] | None = None) -> dict[ListKey, int]:
        """Segments of the lists, at the catalog's present generation."""
        return {key: len(self._loaded[key].index) for key in self.refresh(modalities)}

    def worth_publishing(self) -> bool:
        """Whether the files are so far behind, or so damaged, that a mere reader should have them written."""
        return not self.in_memory and (
            bool(self.owner_files.damaged)
            or any(
                h.damaged or h.published_generation < 0 or h.unpublished_changes > REPLAY_LIMIT
                for h in self._loaded.values()
            )
        )

    def publish(self, *, every: bool = False) -> None:
        """Write every list that differs enough from its file, or at all with `every`. The caller holds the library's
        writer lock."""
        keys = self.refresh()
        for key in keys:
            loaded, path = self._loaded[key], self.path(key)
            if loaded.damaged:
                with told(path):
                    quarantine(path)
            changed = loaded.unpublished_changes > 0 if every else loaded.has_outgrown_file
            if self.in_memory:
                # Other processes may go on replaying for a while.
                changed = loaded.unpublished_changes > REPLAY_LIMIT
            if loaded.damaged or loaded.published_generation < 0 or changed:
                self._publish(key, loaded)
            self.owner_files.publish(self._catalog, key, loaded.index.ids, every=every and changed)
        if keys:
            self._catalog.raise_oldest_replayable_generation(
                min(self._loaded[key].published_generation for key in keys)
            )

    def _publish(self, key: ListKey, loaded: LoadedIndex) -> None:
        if not self.in_memory:
            stamp = self._stamp(key, loaded.generation, loaded.commit_id, loaded.ann)
            publish_index(loaded.index, self.path(key), stamp)
        if loaded.ann is None:
            # Nothing there, or no good, or not wanted any more.
            with told(self.ann_path(key)):
                quarantine(self.ann_path(key)) if loaded.damaged else remove_file(self.ann_path(key))
        loaded.published_generation, loaded.unpublished_changes, loaded.damaged = loaded.generation, 0, False

    # ANN indexes

    def ann_index(self, key: ListKey) -> "tuple[AnnIndex, int, int] | None":
        """A list's ANN index, and the generation and the id of the commit it was built from. None: there is none."""
        loaded = self._loaded[key]
        return None if loaded.ann is None else (loaded.ann, *loaded.ann_commit)

    def describe(self, key: ListKey) -> dict[str, Any]:
        """How a list is searched, as `mmsearch.maintenance.index.IndexStatus` says it."""
        loaded, dim = self._loaded[key], self._space.dim
        files = [path.stat().st_size for path in (self.path(key), self.ann_path(key)) if path.exists()]
        found = {
            "preset": presets.FLAT if loaded.layers is not None else self._backend, "size": len(loaded.index),
            "since": 0, "memory_bytes": len(loaded.index) * presets.preset_named(presets.FLAT).bytes_per_vector(dim),
            "file_bytes": sum(files), "generation": loaded.generation, "search_effort": None,
            "target": 1.0, "recall": {},
        }  # fmt: skip
        if loaded.layers is None or loaded.layers.ann is None:
            return found
        ann, exact = loaded.layers.ann, loaded.layers.exact_size
        memory = len(ann) * ann.preset.bytes_per_vector(dim) + exact * 4 * dim
        return found | {
            "preset": ann.preset.name, "since": loaded.layers.changed_since_build, "memory_bytes": memory,
            "search_effort": ann.facts.search_effort, "target": ann.facts.target, "recall": ann.facts.recall,
        }  # fmt: skip

    def find_outgrown(
        self, refused: Callable[[ListKey, IndexPreset, int], bool], *, improve: bool = False
    ) -> dict[ListKey, IndexPreset]:
        """The lists whose ANN index should be built, or built anew, and which preset suits them.

        Args:
            refused: Says whether it was built in vain, for this list, of about this size.
            improve: Build the graph, too, where it became "auto"'s choice and another index serves well.
        """
        found = {}
        for key in self.finish_reloads():
            layers = self._loaded[key].layers
            if layers is None:
                continue
            serving, preset = self._serving(key), self.suited_preset(key)
            if preset != serving and refused(key, preset, len(layers)):
                preset = serving
            changed = layers.changed_since_build
            outgrown = changed > np.clip((len(layers) - changed) // 10, *REBUILD_AFTER)
            if self.kind == presets.AUTO and not serving.exact and not preset.exact:
                # Whoever takes in a file does not wait for a large list to be built in another way, and two machines
                # that share a library don't build in turn what suits each.
                is_due = outgrown or (improve and preset != serving and preset.name == presets.GRAPH)
            else:
                is_due = preset != serving or (outgrown and not preset.exact)
            if is_due:
                found[key] = preset
        return found

    def suited_preset(self, key: ListKey, kind: str | None = None) -> IndexPreset:
        """The preset for a list as it is now; `kind` in the place of the setting."""
        return self._suited_preset(key, len(self._loaded[key].index), self._serving(key), kind or self.kind)

    def _suited_preset(self, key: ListKey, size: int, serving: IndexPreset, kind: str) -> IndexPreset:
        return presets.suited_preset(size, kind, serving.name, graph_fits=self._graph_fits(key, size))

    def find_unread(self, least: int) -> dict[ListKey, IndexPreset]:
        """The lists of so many segments at least that are neither in memory nor in a file, as a bulk load leaves them,
        and which preset suits them."""
        if self._backend != LAYERED:
            return {}
        with self._catalog.latest() as snapshot:
            unread = [
                key
                for key in list_keys(snapshot, self._space.name)
                if key not in self._loaded and not self.path(key).exists() and not self.ann_path(key).exists()
            ]
            sizes = {key: len(list_segments(snapshot, key)) for key in unread}
        flat = presets.preset_named(presets.FLAT)
        suited = {key: self._suited_preset(key, size, flat, self.kind) for key, size in sizes.items() if size >= least}
        return {key: preset for key, preset in suited.items() if not preset.exact}

    def _serving(self, key: ListKey) -> IndexPreset:
        ann = self._loaded[key].ann
        return presets.preset_named(presets.FLAT) if ann is None else ann.preset

    def _graph_fits(self, key: ListKey, size: int) -> bool:
        """Whether a graph of a list of so many vectors has room beside those that there are of other lists."""
        if self.in_memory or self._gpu is not None:
            return False  # each process would have its own, or the GPU none
        others = [one.ann for other, one in self._loaded.items() if other != key and one.ann is not None]
        vectors = size + sum(len(ann) for ann in others if ann.preset.name == presets.GRAPH)
        each = presets.preset_named(presets.GRAPH).bytes_per_vector(self._space.dim)
        return vectors * each <= presets.MEMORY_SHARE * memory_bytes()

    def publish_ann(self, key: ListKey, ann: "AnnIndex", generation: int, commit_id: int) -> None:
        """Publish an ANN index of some past generation and search with it from now on. One caller at a time, for all
        processes; searches go on meanwhile."""
        path, stamp = self.ann_path(key), self._stamp(key, generation, commit_id, kind=ANN_SUFFIX)
        publish_sealed(ann, path, stamp) if self.in_memory else publish_index(ann, path, stamp)
        loaded = self._loaded.get(key)
        serving = None if loaded is None else loaded.ann
        if serving is None or serving.facts.token != ann.facts.token:
            # What has changed since another ANN index, or without one: it would never be read again.
            with told(self.path(key)):
                remove_file(self.path(key))
        self._replace(key, self._ann_only(ann, generation, commit_id, file_identity(path)))

    def remove_ann(self, key: ListKey) -> None:
        """Search a list without an ANN index from now on, and without its file."""
        with told(self.ann_path(key)):
            remove_file(self.ann_path(key))
        self._replace(key, self._empty())

    def drop_forgetful(self) -> None:
        """Remove the ANN indexes whose files hold vectors of what is gone. The caller has the writer's lock."""
        for key in self.refresh():
            layers = self._loaded[key].layers
            if layers is not None and layers.gone:
                self.remove_ann(key)

    def finish_reloads(self) -> list[ListKey]:
        """As `refresh`, and searches with what other processes have built from now on. Raises: what reading it did."""
        keys = self.refresh()
        for key in keys:
            if (reload := self._reloads.get(key)) is not None:
                reload.join()
                if reload.error is not None:
                    self._reloads.pop(key, None)
                    raise reload.error
        return keys

    # Verifying

    def find_damage(self, key: ListKey) -> Iterator[str]:
        """What is wrong with a list's files."""
        wanted = self._stamp(key, 0, ann=self._loaded[key].ann)
        check = check_sealed if self.in_memory else check_file
        for path, stamp in ((self.path(key), wanted), (self.ann_path(key), self._stamp(key, 0, kind=ANN_SUFFIX))):
            if path.exists():
                try:
                    check(path, stamp, self._space.dim)
                except IndexDamaged as error:
                    yield error.message
        try:
            self.owner_files.check(key)
        except IndexDamaged as error:
            yield error.message

    def compare_ids(self, key: ListKey) -> tuple[Ids, Ids]:
        """The ids of a list in the catalog, and in its index, of one generation; int64, ascending."""
        while True:
            self.refresh()
            with self._lock.reading(), self._catalog.latest() as snapshot:
                loaded = self._loaded[key]
                if current_commit(snapshot).generation == loaded.generation:
                    return list_segments(snapshot, key), loaded.index.ids()

    def count_wrong_scores(self, key: ListKey, ids: Ids) -> int:
        """For how many of these segments a search with their own vector gives another score than the catalog does."""
        with self._lock.reading(), self._catalog.latest() as snapshot:
            found, rows = vectors_by_id(snapshot, self._space.id, self._space.dim, ids)
            view, wrong = IndexSnapshot(self._loaded[key], partial(fetch_vectors, snapshot, self._space)), 0
            for number, row in zip(found, rows, strict=True):
                told = view.search(row[np.newaxis], 1, selection=Selection(np.array([number])))
                # Which ids are there is another question, and one may have gone since it was answered.
                wrong += (
                    told.ids.size > 0 and told.scores.ravel().tolist() != exact_scores(row, row[np.newaxis]).tolist()
                )
        return wrong

    def reset(self, key: ListKey) -> None:
        """Make a list anew from the catalog, without its files. The caller holds the library's writer lock."""
        for path in (self.path(key), self.ann_path(key)):
            quarantine(path)
        self.owner_files.forget(key)
        self._replace(key, self._empty())
