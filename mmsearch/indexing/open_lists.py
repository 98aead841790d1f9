"""The lists of one space as they are loaded: read from their files, brought up to the catalog, and read again where
another process has built one."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import quote

from mmsearch.catalog import Catalog, ListKey, SpaceRecord
from mmsearch.catalog.commits import current_commit, library_uuid
from mmsearch.catalog.lists import list_keys
from mmsearch.core import forks, vault
from mmsearch.errors import IndexDamaged
from mmsearch.indexing.loaded_index import (
    LAYERED,
    FileIdentity,
    LoadedIndex,
    Reload,
    catch_up,
    file_identity,
)
from mmsearch.indexing.owners import OwnerFiles
from mmsearch.types import VectorIndex
from mmsearch.vectors import (
    ReadWriteLock,
    Stamp,
    create_index,
    presets,
    read_index,
    read_index_as,
    read_sealed,
)

if TYPE_CHECKING:
    from mmsearch.vectors.ann import AnnIndex
    from mmsearch.vectors.gpu import Gpu

ANN_SUFFIX = ".built"
"""Ends the name of an ANN index's file."""


class OpenLists:
    """The indexes of one library and space in memory, one for each list. Thread safety: as `lists.Lists`."""

    def __init__(self, catalog: Catalog, folder: Path, space: SpaceRecord, kind: str, gpu: "Gpu | None" = None) -> None:
        """`kind`: "auto", the name of a preset (`mmsearch.vectors.presets`), or of another registered backend.

        Raises: UnknownName.
        """
        self._catalog = catalog
        self.folder = folder
        self._space = space
        self.in_memory = vault.is_encrypted(catalog.path)
        """Whether lists are made of the catalog at each start, and in no file but for sealed ANN indexes."""
        self.kind = kind
        if kind == LAYERED:
            presets.preset_named(kind)  # says what there is in its place
        self._backend = LAYERED if kind in presets.NAMES else kind
        self._loaded: dict[ListKey, LoadedIndex] = {}
        self._at: tuple[tuple[int, int], list[ListKey]] = (-1, 0), []
        """Generation and id of the commit that the lists were last brought up to, and all lists that it has."""
        self._uuid = catalog.read(library_uuid)
        self._refresh_lock = Lock()
        self._lock = ReadWriteLock()
        self._gpu = gpu
        self._reloads: dict[ListKey, Reload] = {}
        self.owner_files = OwnerFiles(self.path, self._owner_stamp, in_memory=self.in_memory)
        forks.reset_in_child(self)

    def forked(self) -> None:
        """Indexes are shared with the parent as long as neither changes them, unless one was being changed."""
        if self._refresh_lock.locked():
            self._loaded = {}
        self._refresh_lock, self._reloads = Lock(), {}

    def refresh(self, modalities: Collection[str] | None = None) -> list[ListKey]:
        """Bring the lists to the catalog's present generation; returns their keys."""
        with self._refresh_lock, self._catalog.latest() as connection:
            generation, oldest, commit_id = current_commit(connection)
            listed = list_keys(connection, self._space.name)
            keys = [key for key in listed if modalities is None or key.item in modalities]
            for key in keys:
                loaded = self._loaded.get(key) or self._load(key, generation)
                self._loaded[key] = loaded
                self._move_to_gpu(loaded)
                if (loaded.generation, loaded.commit_id) != (generation, commit_id):
                    with self._lock.writing():
                        catch_up(loaded, connection, key, self._space, generation, oldest)
                self.owner_files.refresh(connection, key, len(loaded.index))
                self._reload_if_newer(key)
            self._at = (generation, commit_id), listed
            return keys

    def path(self, key: ListKey) -> Path:
        """Where a list is published."""
        return self.folder / quote(key.space, safe="") / f"{quote(key.item, safe='')}-{quote(key.segment, safe='')}"

    def ann_path(self, key: ListKey) -> Path:
        """Where a list's ANN index is published."""
        path = self.path(key)
        return path.with_name(path.name + ANN_SUFFIX)

    def _reload_if_newer(self, key: ListKey) -> None:
        """If another process has built an ANN index, read it beside, and search with the old one until that is done."""
        if not self._is_replaced(key):
            return
        reload = self._reloads.get(key)
        if reload is None or not reload.is_alive():
            self._reloads[key] = Reload(partial(self._reload, key))
            self._reloads[key].start()

    def _is_replaced(self, key: ListKey) -> bool:
        """Whether a list's ANN index is another one than the file that is published."""
        loaded = self._loaded.get(key)
        return loaded is not None and loaded.layers is not None and file_identity(self.ann_path(key)) != loaded.ann_file

    def close(self) -> None:
        """Wait for files that are being read beside; nobody may search meanwhile."""
        for reload in list(self._reloads.values()):
            reload.join()

    def _reload(self, key: ListKey) -> None:
        with self._catalog.latest() as snapshot:
            generation = current_commit(snapshot).generation
        self._replace(key, self._load(key, generation))

    def _move_to_gpu(self, loaded: LoadedIndex) -> None:
        if self._gpu is not None and loaded.layers is not None:
            loaded.layers.use_gpu(self._gpu)

    def _replace(self, key: ListKey, replacement: LoadedIndex) -> None:
        """Bring an index up to date while the old one serves, then put it in its place."""
        self._move_to_gpu(replacement)
        with self._catalog.latest() as snapshot:
            catch_up(replacement, snapshot, key, self._space, *current_commit(snapshot)[:2])
        with self._refresh_lock, self._catalog.latest() as snapshot:
            catch_up(replacement, snapshot, key, self._space, *current_commit(snapshot)[:2])
            with self._lock.writing():
                self._loaded[key] = replacement

    def _stamp(
        self, key: ListKey, generation: int, commit_id: int = 0, ann: "AnnIndex | None" = None, kind: str = ""
    ) -> Stamp:
        # Two projections may bear the same name one after the other.
        part = f"{key.space}/{key.item}/{key.segment}/{self._space.fingerprint[:16]}{kind}"
        # What has changed since an ANN index was built is nothing without that very ANN index.
        part += f"+{ann.facts.token}" if ann is not None else ""
        return Stamp(self._uuid, part, self._backend, generation, commit_id)

    def _owner_stamp(self, key: ListKey, kind: str) -> Stamp:
        return replace(self._stamp(key, 0, kind=f".{kind}"), backend=kind)

    def _load(self, key: ListKey, generation: int) -> LoadedIndex:
        if self.in_memory:
            return self._load_sealed(key, generation)
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

    def _load_sealed(self, key: ListKey, generation: int) -> LoadedIndex:
        file = file_identity(self.ann_path(key))
        if self._backend == LAYERED and file is not None and self.kind != presets.FLAT:
            from mmsearch.vectors.ann import AnnIndex

            wanted = self._stamp(key, generation, kind=ANN_SUFFIX)
            with suppress(IndexDamaged):
                ann, stamp = read_sealed(AnnIndex.read, self.ann_path(key), wanted, self._space.dim)
                return self._ann_only(ann, stamp.generation, stamp.commit_id, file)
        return replace(self._empty(), ann_file=file)

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
