"""Indexes kept in step with the catalog: loaded, replayed, rebuilt or quarantined as need be, without being asked."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from urllib.parse import quote

import numpy as np

from mmsearch.catalog import Catalog, ListKey, Snapshot, SpaceRecord
from mmsearch.catalog import fill
from mmsearch.catalog import read as catalog_read
from mmsearch.catalog import select as catalog_select
from mmsearch.criteria import Filter
from mmsearch.errors import IndexDamaged
from mmsearch.types import Neighbours, Selection, VectorIndex, Vectors
from mmsearch.vectors import Gate, Stamp, create, publish, quarantine, read

REPLAY_LIMIT = 5000
"""Vectors a reader replays at every start before it is worth publishing the index anew."""

PROBE = 4
"""Under a filter, this many times the wanted neighbours are looked at before its whole selection is asked for."""


@dataclass(slots=True)
class _Held:
    """An index in memory, and how it compares with its file."""

    index: VectorIndex
    generation: int
    published: int
    """Generation of the file; -1: none that can be used."""
    unpublished: int = 0
    """Vectors added or removed since the file was written."""
    damaged: bool = False
    """There is something in the file's place, and it is no good."""


class IndexSet:
    """The indexes of one library and space, one for each list of vectors that may be ranked together.

    Thread safety: any number of threads may search; each search sees one committed generation.
    """

    def __init__(self, catalog: Catalog, folder: Path, space: SpaceRecord, backend: str) -> None:
        self._catalog = catalog
        self._folder = folder
        self._space = space
        self._backend = backend
        self._held: dict[ListKey, _Held] = {}
        self._uuid = catalog.uuid()
        self._refreshing = Lock()
        self._gate = Gate()

    def search(
        self, queries: Vectors, k: int, within: Collection[str] | None = None, *, among: Filter | None = None
    ) -> tuple[dict[ListKey, Neighbours], dict[ListKey, int]]:
        """The k nearest segments in every list, and each list's length. `within` keeps lists of these item modalities.

        Args:
            queries: float32 (q, dim), unit rows.
            among: Keeps segments of items that match, exactly: the k nearest of those. The length is then how many
                match, or, where k were found without counting them, still that of the list.
        """
        if among is not None:
            return self._search_among(queries, k, within, among)
        keys = self.refresh(within)
        with self._gate.reading():
            held = {key: self._held[key].index for key in keys}
            return {key: index.search(queries, k) for key, index in held.items()}, {
                key: len(index) for key, index in held.items()
            }

    def _search_among(
        self, queries: Vectors, k: int, within: Collection[str] | None, among: Filter
    ) -> tuple[dict[ListKey, Neighbours], dict[ListKey, int]]:
        while True:
            keys = self.refresh(within)
            with self._gate.reading(), self._catalog.reading() as snapshot:
                held = {key: self._held[key] for key in keys}
                generation, _ = catalog_read.generation(snapshot)
                # If a commit came in between, the filter would speak of other items than the indexes do: once more.
                if all(one.generation == generation for one in held.values()):
                    found = {key: _nearest(snapshot, among, key, one.index, queries, k) for key, one in held.items()}
                    break
        return {key: near for key, (near, _) in found.items()}, {key: size for key, (_, size) in found.items()}

    def refresh(self, within: Collection[str] | None = None) -> list[ListKey]:
        """Bring the lists to the catalog's present generation; returns their keys."""
        with self._refreshing, self._catalog.reading() as connection:
            generation, floor = catalog_read.generation(connection)
            keys = [
                key
                for key in catalog_read.list_keys(connection, self._space.name)
                if within is None or key.item in within
            ]
            for key in keys:
                held = self._held.get(key) or self._load(key, generation)
                self._held[key] = held
                if held.generation != generation:
                    self._catch_up(connection, key, held, generation, floor)
            return keys

    def sizes(self, within: Collection[str] | None = None) -> dict[ListKey, int]:
        """Segments of the lists, at the catalog's present generation."""
        return {key: len(self._held[key].index) for key in self.refresh(within)}

    def path(self, key: ListKey) -> Path:
        """Where a list is published."""
        return self._folder / quote(key.space, safe="") / f"{quote(key.item, safe='')}-{quote(key.segment, safe='')}"

    def worth_publishing(self) -> bool:
        """Whether the files are so far behind, or so damaged, that a mere reader should have them written."""
        return any(h.damaged or h.published < 0 or h.unpublished > REPLAY_LIMIT for h in self._held.values())

    def publish(self) -> None:
        """Write every list that differs from its file. The caller holds the library's writer lock."""
        keys = self.refresh()
        for key in keys:
            held, path = self._held[key], self.path(key)
            if held.damaged:
                quarantine(path)
            if held.published < 0 or held.unpublished:
                path.parent.mkdir(parents=True, exist_ok=True)
                publish(held.index, path, self._stamp(key, held.generation))
                held.published, held.unpublished, held.damaged = held.generation, 0, False
        if keys:
            self._catalog.raise_floor(min(self._held[key].published for key in keys))

    def _stamp(self, key: ListKey, generation: int) -> Stamp:
        # Two projections may bear the same name one after the other.
        part = f"{key.space}/{key.item}/{key.segment}/{self._space.fingerprint[:16]}"
        return Stamp(self._uuid, part, self._backend, generation)

    def _load(self, key: ListKey, generation: int) -> _Held:
        path = self.path(key)
        try:
            index, stamp = read(path, self._stamp(key, generation), self._space.dim)
        except IndexDamaged:
            return _Held(create(self._backend, self._space.dim), -1, -1, damaged=path.exists())
        return _Held(index, stamp.generation, stamp.generation)

    def _catch_up(self, snapshot: Snapshot, key: ListKey, held: _Held, generation: int, floor: int) -> None:
        # Vectors of contents that were there before are no change of theirs: whoever is older looks for them.
        since, floor = held.generation, max(floor, fill.filled(snapshot, self._space.id))
        with self._gate.writing():
            if since < floor or since > generation:
                # Its past is not listed any more, or it is of a future this catalog (a restored copy) never had.
                held.index, held.published, since = create(self._backend, self._space.dim), -1, -1
            for change in catalog_read.changes(snapshot, key, self._space.dim, since):
                held.unpublished += held.index.remove(change.gone) if len(change.gone) else 0
                if len(change.ids):
                    held.index.add(change.ids, change.vectors)
                    held.unpublished += len(change.ids)
            held.generation = generation


def _nearest(
    snapshot: Snapshot, among: Filter, key: ListKey, index: VectorIndex, queries: Vectors, k: int
) -> tuple[Neighbours, int]:
    """The k nearest that match, and how many could be.

    Where many match, the nearest of all hold enough of them, in the right order: then nothing else has to be read.
    """
    total = len(index)
    if total > PROBE * k and catalog_select.share(snapshot, among, key) > 1.5 / PROBE:
        near = index.search(queries, PROBE * k)
        match = np.isin(near.ids, catalog_select.matching(snapshot, among, key, np.unique(near.ids)))
        if (match.sum(axis=1) >= k).all():
            first = np.argsort(~match, axis=1, kind="stable")[:, :k]
            return Neighbours(np.take_along_axis(near.ids, first, 1), np.take_along_axis(near.scores, first, 1)), total
    ids = catalog_select.selected(snapshot, among, key)
    if ids is None:
        return index.search(queries, k), total
    return index.search(queries, k, among=Selection(ids)), len(ids)
