"""Indexes kept in step with the catalog: loaded, replayed, rebuilt or quarantined as need be, without being asked.

A list has a file with everything in it that is searched exactly: all of it, or, where an ANN index has been built
(`mmsearch.indexing.tuning`), what has changed since. The ANN index lies beside it in a file of its own.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from mmsearch.catalog import Catalog, ListKey, SpaceRecord
from mmsearch.catalog.commits import current_commit, library_uuid
from mmsearch.catalog.embeddings import vectors_by_id
from mmsearch.catalog.lists import list_keys, list_segments
from mmsearch.core import forks, vault
from mmsearch.core.atomic import told
from mmsearch.core.filters.ast import Filter
from mmsearch.errors import IndexDamaged
from mmsearch.indexing.loaded_index import (
    LAYERED,
    REPLAY_LIMIT,
    FileIdentity,
    IndexSnapshot,
    LoadedIndex,
    Reload,
    catch_up,
    fetch_vectors,
    file_identity,
    lengths,
    nearest_matching,
)
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.types import Ids, Neighbours, Selection, VectorIndex, Vectors
from mmsearch.vectors import (
    ReadWriteLock,
    Stamp,
    check_file,
    create_index,
    presets,
    publish_index,
    quarantine,
    read_index,
    read_index_as,
)
from mmsearch.vectors.presets import IndexPreset
from mmsearch.vectors.rank import exact_scores

if TYPE_CHECKING:
    from mmsearch.vectors.ann import AnnIndex
    from mmsearch.vectors.gpu import Gpu

ANN_SUFFIX = ".built"
"""Ends the name of an ANN index's file."""

REBUILD_AFTER = (2_000, 20_000)
"""An ANN index is built anew when a tenth of it has changed, but not before and not after so many: what has changed is
searched by comparing everything."""


class Lists:
    """The indexes of one library and space, one for each list of vectors that may be ranked together.

    Thread safety: any number of threads may search; each search sees one committed generation.
    """

    def __init__(self, catalog: Catalog, folder: Path, space: SpaceRecord, kind: str, gpu: "Gpu | None" = None) -> None:
        """`kind`: "auto", the name of a preset (`mmsearch.vectors.presets`), or of another registered backend.

        Raises: UnknownName.
        """
        self._catalog = catalog
        self.folder = folder
        self._space = space
        self.in_memory = vault.is_encrypted(catalog.path)
        """Whether lists are made of the catalog at each start, searched exactly, and in no file."""
        self.kind = presets.FLAT if self.in_memory and kind in presets.NAMES else kind
        if kind == LAYERED:
            presets.preset_named(kind)  # says what there is in its place
        self._backend = LAYERED if kind in presets.NAMES else kind
        self._loaded: dict[ListKey, LoadedIndex] = {}
        self._uuid = catalog.read(library_uuid)
        self._refresh_lock = Lock()
        self._lock = ReadWriteLock()
        self._gpu = gpu
        self._reloads: dict[ListKey, Reload] = {}
        forks.reset_in_child(self)

    def forked(self) -> None:
        """Indexes are shared with the parent as long as neither changes them, unless one was being changed."""
        if self._refresh_lock.locked():
            self._loaded = {}
        self._refresh_lock, self._reloads = Lock(), {}

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
        """
        while True:
            keys = self.refresh(modalities)
            with self._lock.reading():
                loaded = {key: self._loaded[key] for key in keys}
                if filter is None and not any(one.layers and one.layers.needs_fetch for one in loaded.values()):
                    return {key: one.index.search(queries, k) for key, one in loaded.items()}, lengths(loaded)
                with self._catalog.latest() as snapshot:
                    generation = current_commit(snapshot).generation
                    # If a commit came in between, the catalog would speak of other segments than they: once more.
                    if all(one.generation == generation for one in loaded.values()):
                        read = partial(fetch_vectors, snapshot, self._space)
                        fetch = partial((vector_cache or VectorCache()).fetch, read=read)
                        views = {key: IndexSnapshot(one, fetch) for key, one in loaded.items()}
                        found = {
                            key: nearest_matching(snapshot, filter, key, view, queries, k)
                            for key, view in views.items()
                        }
                        return {key: one[0] for key, one in found.items()}, {key: one[1] for key, one in found.items()}

    def refresh(self, modalities: Collection[str] | None = None) -> list[ListKey]:
        """Bring the lists to the catalog's present generation; returns their keys."""
        with self._refresh_lock, self._catalog.latest() as connection:
            generation, oldest, commit_id = current_commit(connection)
            keys = [
                key for key in list_keys(connection, self._space.name) if modalities is None or key.item in modalities
            ]
            for key in keys:
                loaded = self._loaded.get(key) or self._load(key, generation)
                self._loaded[key] = loaded
                if self._gpu is not None and loaded.layers is not None:
                    loaded.layers.use_gpu(self._gpu)
                if (loaded.generation, loaded.commit_id) != (generation, commit_id):
                    with self._lock.writing():
                        catch_up(loaded, connection, key, self._space, generation, oldest)
                self._reload_if_newer(key, loaded)
            return keys

    def sizes(self, modalities: Collection[str] | None = None) -> dict[ListKey, int]:
        """Segments of the lists, at the catalog's present generation."""
        return {key: len(self._loaded[key].index) for key in self.refresh(modalities)}

    def path(self, key: ListKey) -> Path:
        """Where a list is published."""
        return self.folder / quote(key.space, safe="") / f"{quote(key.item, safe='')}-{quote(key.segment, safe='')}"

    def worth_publishing(self) -> bool:
        """Whether the files are so far behind, or so damaged, that a mere reader should have them written."""
        return not self.in_memory and any(
            h.damaged or h.published_generation < 0 or h.unpublished_changes > REPLAY_LIMIT
            for h in self._loaded.values()
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
        if keys:
            self._catalog.raise_oldest_replayable_generation(
                min(self._loaded[key].published_generation for key in keys)
            )

    def _publish(self, key: ListKey, loaded: LoadedIndex) -> None:
        if self.in_memory:
            loaded.published_generation, loaded.unpublished_changes = loaded.generation, 0
            return
        publish_index(loaded.index, self.path(key), self._stamp(key, loaded.generation, loaded.commit_id, loaded.ann))
        if loaded.ann is None:
            # Nothing there, or no good, or not wanted any more.
            with told(self.ann_path(key)):
                quarantine(self.ann_path(key)) if loaded.damaged else self.ann_path(key).unlink(missing_ok=True)
        loaded.published_generation, loaded.unpublished_changes, loaded.damaged = loaded.generation, 0, False

    # ANN indexes

    def ann_path(self, key: ListKey) -> Path:
        """Where a list's ANN index is published."""
        path = self.path(key)
        return path.with_name(path.name + ANN_SUFFIX)

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

    def find_outgrown(self, refused: Callable[[ListKey, IndexPreset, int], bool]) -> dict[ListKey, IndexPreset]:
        """The lists whose ANN index should be built, or built anew, and which preset suits them; `refused` says whether
        it was built in vain, for this list, of about this size."""
        found = {}
        for key in self.finish_reloads():
            layers = self._loaded[key].layers
            if layers is None:
                continue
            serving = presets.preset_named(presets.FLAT) if layers.ann is None else layers.ann.preset
            preset = presets.suited_preset(len(layers), self.kind, serving.name)
            if preset != serving and refused(key, preset, len(layers)):
                preset = serving
            changed = layers.changed_since_build
            outgrown = changed > np.clip((len(layers) - changed) // 10, *REBUILD_AFTER)
            if preset != serving or (outgrown and not preset.exact):
                found[key] = preset
        return found

    def publish_ann(self, key: ListKey, ann: "AnnIndex", generation: int, commit_id: int) -> None:
        """Publish an ANN index of some past generation and search with it from now on. One caller at a time, for all
        processes; searches go on meanwhile."""
        path = self.ann_path(key)
        publish_index(ann, path, self._stamp(key, generation, commit_id, kind=ANN_SUFFIX))
        serving = self._loaded[key].ann
        if serving is None or serving.facts.token != ann.facts.token:
            # What has changed since another ANN index, or without one: it would never be read again.
            with told(self.path(key)):
                self.path(key).unlink(missing_ok=True)
        self._replace(key, self._ann_only(ann, generation, commit_id, file_identity(path)))

    def remove_ann(self, key: ListKey) -> None:
        """Search a list without an ANN index from now on, and without its file."""
        with told(self.ann_path(key)):
            self.ann_path(key).unlink(missing_ok=True)
        self._replace(key, self._empty())

    def drop_forgetful(self) -> None:
        """Remove the ANN indexes whose files hold vectors of what is gone. The caller has the writer's lock."""
        for key in self.refresh():
            layers = self._loaded[key].layers
            if layers is not None and layers.gone:
                self.remove_ann(key)

    def _reload_if_newer(self, key: ListKey, loaded: LoadedIndex) -> None:
        """If another process has built an ANN index, read it beside, and search with the old one until that is done."""
        if loaded.layers is None or file_identity(self.ann_path(key)) == loaded.ann_file:
            return
        reload = self._reloads.get(key)
        if reload is None or not reload.is_alive():
            self._reloads[key] = Reload(partial(self._reload, key))
            self._reloads[key].start()

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

    def close(self) -> None:
        """Wait for files that are being read beside; nobody may search meanwhile."""
        for reload in list(self._reloads.values()):
            reload.join()

    def _reload(self, key: ListKey) -> None:
        with self._catalog.latest() as snapshot:
            generation = current_commit(snapshot).generation
        self._replace(key, self._load(key, generation))

    def _replace(self, key: ListKey, replacement: LoadedIndex) -> None:
        """Bring an index up to date while the old one serves, then put it in its place."""
        with self._catalog.latest() as snapshot:
            catch_up(replacement, snapshot, key, self._space, *current_commit(snapshot)[:2])
        with self._refresh_lock, self._catalog.latest() as snapshot:
            catch_up(replacement, snapshot, key, self._space, *current_commit(snapshot)[:2])
            with self._lock.writing():
                self._loaded[key] = replacement

    # Verifying

    def find_damage(self, key: ListKey) -> Iterator[str]:
        """What is wrong with a list's files."""
        wanted = self._stamp(key, 0, ann=self._loaded[key].ann)
        for path, stamp in ((self.path(key), wanted), (self.ann_path(key), self._stamp(key, 0, kind=ANN_SUFFIX))):
            if path.exists():
                try:
                    check_file(path, stamp, self._space.dim)
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
        self._replace(key, self._empty())

    # Loading and catching up

    def _stamp(
        self, key: ListKey, generation: int, commit_id: int = 0, ann: "AnnIndex | None" = None, kind: str = ""
    ) -> Stamp:
        # Two projections may bear the same name one after the other.
        part = f"{key.space}/{key.item}/{key.segment}/{self._space.fingerprint[:16]}{kind}"
        # What has changed since an ANN index was built is nothing without that very ANN index.
        part += f"+{ann.facts.token}" if ann is not None else ""
        return Stamp(self._uuid, part, self._backend, generation, commit_id)

    def _load(self, key: ListKey, generation: int) -> LoadedIndex:
        if self.in_memory:
            return self._empty()
        if self._backend != LAYERED:
            return self._read_or_empty(key, partial(read_index, self.path(key), self._stamp(key, generation)))
        path, dim = self.ann_path(key), self._space.dim
        # Loads faiss, which other backends don't need.
        from mmsearch.vectors.ann import AnnIndex
        from mmsearch.vectors.layered import LayeredIndex

        file = file_identity(path)
        ann, stamp = None, self._stamp(key, generation, kind=ANN_SUFFIX)
        if file is not None and self.kind != presets.FLAT:
            with suppress(IndexDamaged):
                ann, stamp = read_index_as(AnnIndex.load, path, stamp, dim)
        load = partial(LayeredIndex.load, ann=ann)
        loaded = self._read_or_empty(
            key, partial(read_index_as, load, self.path(key), self._stamp(key, generation, ann=ann))
        )
        if ann is not None and loaded.published_generation < 0:
            return self._ann_only(ann, stamp.generation, stamp.commit_id, file)
        loaded.ann_file, loaded.ann_commit = file, (stamp.generation, stamp.commit_id)
        return loaded

    def _read_or_empty(self, key: ListKey, load: Callable[[int], tuple[VectorIndex, Stamp]]) -> LoadedIndex:
        try:
            index, stamp = load(self._space.dim)
        except IndexDamaged:
            return self._empty(damaged=self.path(key).exists())
        return LoadedIndex(index, stamp.generation, stamp.commit_id, stamp.generation, backend=self._backend)

    def _empty(self, *, damaged: bool = False) -> LoadedIndex:
        index = create_index(self._backend, self._space.dim)
        return LoadedIndex(index, -1, 0, -1, damaged=damaged, backend=self._backend)

    def _ann_only(self, ann: "AnnIndex", generation: int, commit_id: int, file: FileIdentity) -> LoadedIndex:
        """Nothing but an ANN index."""
        from mmsearch.vectors.layered import LayeredIndex

        layers = LayeredIndex(self._space.dim, ann)
        return LoadedIndex(layers, generation, commit_id, generation, ann_file=file, ann_commit=(generation, commit_id))
