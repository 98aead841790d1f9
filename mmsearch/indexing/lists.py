"""Indexes kept in step with the catalog: loaded, replayed, rebuilt or quarantined as need be, without being asked.

A list has a file with everything in it that is searched exactly: all of it, or, where a structure has been built
(`mmsearch.indexing.tuning`), what has changed since. The structure lies beside it in a file of its own.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from mmsearch.catalog import Catalog, ListKey, Snapshot, SpaceRecord
from mmsearch.catalog.commits import commit_id, current_commit, library_uuid
from mmsearch.catalog.embeddings import vectors_by_id
from mmsearch.catalog.lists import ROWS, list_changes, list_keys, list_segments
from mmsearch.catalog.spaces import backfilled_at
from mmsearch.core import forks
from mmsearch.core.atomic import told
from mmsearch.errors import CatalogDamaged, IndexDamaged
from mmsearch.filters.ast import Filter
from mmsearch.indexing.loaded_index import (
    REPLAY_LIMIT,
    FileIdentity,
    IndexSnapshot,
    LoadedIndex,
    Reload,
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

LAYERED = "faiss"
"""The backend that presets are of."""

ANN_SUFFIX = ".built"
"""Ends the name of a structure's file."""

REBUILD = (2_000, 20_000)
"""A structure is built anew when a tenth of it has changed, but not before and not after so many: what has changed is
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
        self.kind = kind
        if kind == LAYERED:
            presets.preset_named(kind)  # says what there is in its place
        self._backend = LAYERED if kind in presets.NAMES else kind
        self._held: dict[ListKey, LoadedIndex] = {}
        self._uuid = catalog.read(library_uuid)
        self._refreshing = Lock()
        self._gate = ReadWriteLock()
        self._gpu = gpu
        self._switching: dict[ListKey, Reload] = {}
        forks.bound(self)

    def forked(self) -> None:
        """Indexes are shared with the parent as long as neither changes them, unless one was being changed."""
        if self._refreshing.locked():
            self._held = {}
        self._refreshing, self._switching = Lock(), {}

    def search(
        self,
        queries: Vectors,
        k: int,
        modalities: Collection[str] | None = None,
        *,
        filter: Filter | None = None,
        at_hand: VectorCache | None = None,
    ) -> tuple[dict[ListKey, Neighbours], dict[ListKey, int]]:
        """The k nearest segments in every list, and each list's length. `modalities`: only these items' lists.

        Args:
            queries: float32 (q, dim), unit rows.
            filter: Keeps segments of items that match, exactly: the k nearest of those. The length is then how many
                match, or, where k were found without counting them, still that of the list.
            at_hand: Keeps the catalog's vectors that are read for it.
        """
        while True:
            keys = self.refresh(modalities)
            with self._gate.reading():
                held = {key: self._held[key] for key in keys}
                if filter is None and not any(one.layers and one.layers.needs_fetch for one in held.values()):
                    return {key: one.index.search(queries, k) for key, one in held.items()}, lengths(held)
                with self._catalog.reading() as snapshot:
                    generation = current_commit(snapshot).generation
                    # If a commit came in between, the catalog would speak of other segments than they: once more.
                    if all(one.generation == generation for one in held.values()):
                        fetch = partial((at_hand or VectorCache()).fetch, read=partial(self.fetch, snapshot))
                        views = {key: IndexSnapshot(one, fetch) for key, one in held.items()}
                        found = {
                            key: nearest_matching(snapshot, filter, key, view, queries, k)
                            for key, view in views.items()
                        }
                        return {key: one[0] for key, one in found.items()}, {key: one[1] for key, one in found.items()}

    def fetch(self, snapshot: Snapshot, ids: Ids) -> Vectors:
        """The catalog's vectors of segments of the space, float32 (n, dim); ids (n,) ascending and unique."""
        found, vectors = vectors_by_id(snapshot, self._space.id, self._space.dim, ids)
        if len(found) != len(ids):
            lost = np.setdiff1d(ids, found)
            raise CatalogDamaged(
                f"the catalog has no vectors of {len(lost)} segments that an index has, such as {lost[0]}",
                hint="mmsearch index verify --repair",
            )
        return vectors

    def refresh(self, modalities: Collection[str] | None = None) -> list[ListKey]:
        """Bring the lists to the catalog's present generation; returns their keys."""
        with self._refreshing, self._catalog.reading() as connection:
            generation, floor, mark = current_commit(connection)
            keys = [
                key for key in list_keys(connection, self._space.name) if modalities is None or key.item in modalities
            ]
            for key in keys:
                held = self._held.get(key) or self._load(key, generation)
                self._held[key] = held
                if self._gpu is not None and held.layers is not None:
                    held.layers.use(self._gpu)
                if (held.generation, held.mark) != (generation, mark):
                    with self._gate.writing():
                        self._catch_up(connection, key, held, generation, floor)
                self._look_for_a_newer(key, held)
            return keys

    def sizes(self, modalities: Collection[str] | None = None) -> dict[ListKey, int]:
        """Segments of the lists, at the catalog's present generation."""
        return {key: len(self._held[key].index) for key in self.refresh(modalities)}

    def path(self, key: ListKey) -> Path:
        """Where a list is published."""
        return self.folder / quote(key.space, safe="") / f"{quote(key.item, safe='')}-{quote(key.segment, safe='')}"

    def worth_publishing(self) -> bool:
        """Whether the files are so far behind, or so damaged, that a mere reader should have them written."""
        return any(h.damaged or h.published < 0 or h.unpublished > REPLAY_LIMIT for h in self._held.values())

    def publish(self) -> None:
        """Write every list that differs enough from its file. The caller holds the library's writer lock."""
        keys = self.refresh()
        for key in keys:
            held, path = self._held[key], self.path(key)
            if held.damaged:
                with told(path):
                    quarantine(path)
            if held.published < 0 or held.damaged or held.unpublished > held.behind:
                self._publish(key, held)
        if keys:
            self._catalog.raise_oldest_replayable_generation(min(self._held[key].published for key in keys))

    def _publish(self, key: ListKey, held: LoadedIndex) -> None:
        publish_index(held.index, self.path(key), self._stamp(key, held.generation, held.mark, held.built))
        if held.built is None:
            # Nothing there, or no good, or not wanted any more.
            with told(self.built_path(key)):
                quarantine(self.built_path(key)) if held.damaged else self.built_path(key).unlink(missing_ok=True)
        held.published, held.unpublished, held.damaged = held.generation, 0, False

    # Structures

    def built_path(self, key: ListKey) -> Path:
        """Where a list's structure is published."""
        path = self.path(key)
        return path.with_name(path.name + ANN_SUFFIX)

    def built(self, key: ListKey) -> "tuple[AnnIndex, int, int] | None":
        """A list's structure, and the generation and the commit's mark it was built from. None: there is none."""
        held = self._held[key]
        return None if held.built is None else (held.built, *held.built_from)

    def facts(self, key: ListKey) -> dict[str, Any]:
        """How a list is searched, as `mmsearch.maintenance.index.ListStatus` says it."""
        held, dim = self._held[key], self._space.dim
        files = [path.stat().st_size for path in (self.path(key), self.built_path(key)) if path.exists()]
        found = {
            "preset": presets.FLAT if held.layers is not None else self._backend, "size": len(held.index),
            "since": 0, "memory_bytes": len(held.index) * presets.preset_named(presets.FLAT).bytes_per_vector(dim),
            "file_bytes": sum(files), "generation": held.generation, "effort": None, "target": 1.0, "recall": {},
        }  # fmt: skip
        if held.layers is None or held.layers.built is None:
            return found
        built, exact = held.layers.built, held.layers.exact_size
        memory = len(built) * built.preset.bytes_per_vector(dim) + exact * 4 * dim
        return found | {
            "preset": built.preset.name, "since": held.layers.since, "memory_bytes": memory,
            "effort": built.facts.effort, "target": built.facts.target, "recall": built.facts.recall,
        }  # fmt: skip

    def due(self, refused: Callable[[ListKey, IndexPreset, int], bool]) -> dict[ListKey, IndexPreset]:
        """The lists whose structure should be built, or built anew, and which preset suits them; `refused` says whether
        it was built in vain, for this list, of about this size."""
        found = {}
        for key in self.renew():
            layers = self._held[key].layers
            if layers is None:
                continue
            serving = presets.preset_named(presets.FLAT) if layers.built is None else layers.built.preset
            preset = presets.suited_preset(len(layers), self.kind, serving.name)
            if preset != serving and refused(key, preset, len(layers)):
                preset = serving
            outgrown = layers.since > np.clip((len(layers) - layers.since) // 10, *REBUILD)
            if preset != serving or (outgrown and not preset.exact):
                found[key] = preset
        return found

    def adopt(self, key: ListKey, built: "AnnIndex", generation: int, mark: int) -> None:
        """Publish a structure of some past generation and search with it from now on. One caller at a time, for all
        processes; searches go on meanwhile."""
        path = self.built_path(key)
        publish_index(built, path, self._stamp(key, generation, mark, kind=ANN_SUFFIX))
        serving = self._held[key].built
        if serving is None or serving.facts.token != built.facts.token:
            # What has changed since another structure, or without one: it would never be read again.
            with told(self.path(key)):
                self.path(key).unlink(missing_ok=True)
        self._switch(key, self._over(built, generation, mark, file_identity(path)))

    def drop(self, key: ListKey) -> None:
        """Search a list without a structure from now on, and without its file."""
        with told(self.built_path(key)):
            self.built_path(key).unlink(missing_ok=True)
        self._switch(key, self._empty())

    def _look_for_a_newer(self, key: ListKey, held: LoadedIndex) -> None:
        """If another process has built a structure, read it beside, and search with the old one until that is done."""
        if held.layers is None or file_identity(self.built_path(key)) == held.file:
            return
        going = self._switching.get(key)
        if going is None or not going.is_alive():
            self._switching[key] = Reload(partial(self._reload, key))
            self._switching[key].start()

    def renew(self) -> list[ListKey]:
        """As `refresh`, and searches with what other processes have built from now on. Raises: what reading it did."""
        keys = self.refresh()
        for key in keys:
            if (going := self._switching.get(key)) is not None:
                going.join()
                if going.error is not None:
                    self._switching.pop(key, None)
                    raise going.error
        return keys

    def close(self) -> None:
        """Wait for files that are being read beside; nobody may search meanwhile."""
        for going in list(self._switching.values()):
            going.join()

    def _reload(self, key: ListKey) -> None:
        with self._catalog.reading() as snapshot:
            generation = current_commit(snapshot).generation
        self._switch(key, self._load(key, generation))

    def _switch(self, key: ListKey, made: LoadedIndex) -> None:
        """Bring an index up to date while the old one serves, then put it in its place."""
        with self._catalog.reading() as snapshot:
            self._catch_up(snapshot, key, made, *current_commit(snapshot)[:2])
        with self._refreshing, self._catalog.reading() as snapshot:
            self._catch_up(snapshot, key, made, *current_commit(snapshot)[:2])
            with self._gate.writing():
                self._held[key] = made

    # Verifying

    def damages(self, key: ListKey) -> Iterator[str]:
        """What is wrong with a list's files."""
        wanted = self._stamp(key, 0, built=self._held[key].built)
        for path, stamp in ((self.path(key), wanted), (self.built_path(key), self._stamp(key, 0, kind=ANN_SUFFIX))):
            if path.exists():
                try:
                    check_file(path, stamp, self._space.dim)
                except IndexDamaged as error:
                    yield error.message

    def compared(self, key: ListKey) -> tuple[Ids, Ids]:
        """The ids of a list in the catalog, and in its index, of one generation; int64, ascending."""
        while True:
            self.refresh()
            with self._gate.reading(), self._catalog.reading() as snapshot:
                held = self._held[key]
                if current_commit(snapshot).generation == held.generation:
                    return list_segments(snapshot, key), held.index.ids()

    def misjudged(self, key: ListKey, ids: Ids) -> int:
        """For how many of these segments a search with their own vector gives another score than the catalog does."""
        with self._gate.reading(), self._catalog.reading() as snapshot:
            found, rows = vectors_by_id(snapshot, self._space.id, self._space.dim, ids)
            view, wrong = IndexSnapshot(self._held[key], partial(self.fetch, snapshot)), 0
            for number, row in zip(found, rows, strict=True):
                told = view.search(row[np.newaxis], 1, selection=Selection(np.array([number])))
                # Which ids are there is another question, and one may have gone since it was answered.
                wrong += (
                    told.ids.size > 0 and told.scores.ravel().tolist() != exact_scores(row, row[np.newaxis]).tolist()
                )
        return wrong

    def reset(self, key: ListKey) -> None:
        """Make a list anew from the catalog, without its files. The caller holds the library's writer lock."""
        for path in (self.path(key), self.built_path(key)):
            quarantine(path)
        self._switch(key, self._empty())

    # Loading and catching up

    def _stamp(
        self, key: ListKey, generation: int, mark: int = 0, built: "AnnIndex | None" = None, kind: str = ""
    ) -> Stamp:
        # Two projections may bear the same name one after the other.
        part = f"{key.space}/{key.item}/{key.segment}/{self._space.fingerprint[:16]}{kind}"
        # What has changed since a structure was built is nothing without that very structure.
        part += f"+{built.facts.token}" if built is not None else ""
        return Stamp(self._uuid, part, self._backend, generation, mark)

    def _load(self, key: ListKey, generation: int) -> LoadedIndex:
        if self._backend != LAYERED:
            return self._loaded(key, partial(read_index, self.path(key), self._stamp(key, generation)))
        path, dim = self.built_path(key), self._space.dim
        # Loads faiss, which other backends don't need.
        from mmsearch.vectors.ann import AnnIndex
        from mmsearch.vectors.layered import LayeredIndex

        file = file_identity(path)
        built, stamp = None, self._stamp(key, generation, kind=ANN_SUFFIX)
        if file is not None and self.kind != presets.FLAT:
            with suppress(IndexDamaged):
                built, stamp = read_index_as(AnnIndex.load, path, stamp, dim)
        load = partial(LayeredIndex.load, built=built)
        held = self._loaded(
            key, partial(read_index_as, load, self.path(key), self._stamp(key, generation, built=built))
        )
        if built is not None and held.published < 0:
            return self._over(built, stamp.generation, stamp.mark, file)
        held.file, held.built_from = file, (stamp.generation, stamp.mark)
        return held

    def _loaded(self, key: ListKey, load: Callable[[int], tuple[VectorIndex, Stamp]]) -> LoadedIndex:
        try:
            index, stamp = load(self._space.dim)
        except IndexDamaged:
            return self._empty(damaged=self.path(key).exists())
        return LoadedIndex(index, stamp.generation, stamp.mark, stamp.generation, layered=self._backend == LAYERED)

    def _empty(self, *, damaged: bool = False) -> LoadedIndex:
        index = create_index(self._backend, self._space.dim)
        return LoadedIndex(index, -1, 0, -1, damaged=damaged, layered=self._backend == LAYERED)

    def _over(self, built: "AnnIndex", generation: int, mark: int, file: FileIdentity) -> LoadedIndex:
        """Nothing but a structure."""
        from mmsearch.vectors.layered import LayeredIndex

        layers = LayeredIndex(self._space.dim, built)
        return LoadedIndex(layers, generation, mark, generation, file=file, built_from=(generation, mark))

    def _catch_up(self, snapshot: Snapshot, key: ListKey, held: LoadedIndex, generation: int, floor: int) -> None:
        """Bring an index to the snapshot's generation; where it is searched, the caller has the gate for itself."""
        # Vectors of contents that were there before are no change of theirs: whoever is older looks for them.
        since, floor = held.generation, max(floor, backfilled_at(snapshot, self._space.id))
        foreign = since >= 0 and commit_id(snapshot, since) != held.mark
        if foreign:
            # It is of a past or future that this catalog (a restored copy) never had.
            held.index, held.published, since = create_index(self._backend, self._space.dim), -1, -1
        if 0 <= since < floor:
            self._compare(snapshot, key, held)
        else:
            for change in list_changes(snapshot, key, self._space.dim, since):
                held.unpublished += held.index.remove(change.gone) if len(change.gone) else 0
                if len(change.ids):
                    held.index.add(change.ids, change.vectors)
                    held.unpublished += len(change.ids)
        held.generation, held.mark = generation, commit_id(snapshot, generation)

    def _compare(self, snapshot: Snapshot, key: ListKey, held: LoadedIndex) -> None:
        """Where removals aren't listed any more, the ids tell: none is ever used again, and none changes its vector."""
        listed, known = list_segments(snapshot, key), held.index.ids()
        held.unpublished += held.index.remove(np.setdiff1d(known, listed))
        lacking = np.setdiff1d(listed, known)
        for start in range(0, len(lacking), ROWS):
            part = lacking[start : start + ROWS]
            held.index.add(part, self.fetch(snapshot, part))
            held.unpublished += len(part)
