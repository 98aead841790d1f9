"""An index in memory as `mmsearch.indexing.lists` keeps it: how it compares with its files, and how it is searched."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import numpy as np

from mmsearch.catalog import ListKey, Snapshot, SpaceRecord
from mmsearch.catalog.commits import commit_id
from mmsearch.catalog.embeddings import vectors_by_id
from mmsearch.catalog.lists import ROWS, list_changes, list_segments
from mmsearch.catalog.selections import (
    is_filter_known,
    is_selection_known,
    matching_segments,
    selected_segments,
    selected_share,
)
from mmsearch.catalog.spaces import backfilled_at
from mmsearch.core.filters.ast import Filter
from mmsearch.errors import CatalogDamaged
from mmsearch.indexing.owners import Owners
from mmsearch.types import Ids, Neighbours, Selection, VectorIndex, Vectors
from mmsearch.vectors import create_index

if TYPE_CHECKING:
    from mmsearch.vectors.ann import AnnIndex
    from mmsearch.vectors.layered import Fetch, LayeredIndex

_log = logging.getLogger(__name__)

LAYERED = "faiss"
"""The backend that can have an ANN index: the presets are its own."""

REPLAY_LIMIT = 5000
"""Vectors a reader replays at every start before it is worth publishing the index anew."""

SMALL = 4096
"""Up to so many vectors a file is written with every change; a larger one when an eighth has changed."""

PROBE = 4
"""Under a filter, this many times the wanted neighbours are looked at before its whole selection is asked for."""

NEARLY_ALL = 0.7
"""Share of a list from which on no selection is made though a filter is asked for again: to look at a few more than are
wanted takes no longer."""


FileIdentity: TypeAlias = tuple[int, int, int] | None
"""What tells a file from the one that takes its place: inode, size, time."""


@dataclass(slots=True)
class LoadedIndex:
    """An index in memory, and how it compares with its files."""

    index: VectorIndex
    generation: int
    commit_id: int
    """Id of the commit that made the generation."""
    published_generation: int
    """Generation of the files; -1: none that can be used."""
    unpublished_changes: int = 0
    """Vectors added or removed since the files were written."""
    damaged: bool = False
    """There is something in the file's place, and it is no good."""
    ann_file: FileIdentity = None
    """The file of the ANN index, as it was when it was loaded."""
    ann_commit: tuple[int, int] = (-1, 0)
    """Generation and id of the commit that the ANN index was built from."""
    backend: str = LAYERED

    @property
    def layers(self) -> "LayeredIndex | None":
        return cast("LayeredIndex", self.index) if self.backend == LAYERED else None

    @property
    def ann(self) -> "AnnIndex | None":
        return self.layers.ann if self.layers is not None else None

    @property
    def has_outgrown_file(self) -> bool:
        """Whether enough has changed to write the file anew: one more file in a large library must not cost a large
        one."""
        size = self.layers.exact_size if self.layers is not None else len(self.index)
        return self.unpublished_changes > (0 if size <= SMALL else min(REPLAY_LIMIT, size // 8))


@dataclass(frozen=True, slots=True)
class IndexSnapshot:
    """An index, with the catalog's vectors as of one snapshot at hand."""

    loaded: LoadedIndex
    fetch: "Fetch"
    owners: Owners | None = None
    """As of the snapshot."""

    def __len__(self) -> int:
        return len(self.loaded.index)

    def search(self, queries: Vectors, k: int, *, selection: Selection | None = None) -> Neighbours:
        if self.loaded.layers is not None:
            return self.loaded.layers.search(queries, k, selection=selection, fetch=self.fetch)
        return self.loaded.index.search(queries, k, selection=selection)


class SearchedList(Protocol):
    """A list as one snapshot has it."""

    @property
    def owners(self) -> Owners | None:
        """Whose its segments are, where that is at hand."""

    def __len__(self) -> int: ...

    def search(self, queries: Vectors, k: int, *, selection: Selection | None = None) -> Neighbours:
        """The min(k, n) nearest of the n that it has, or of the selection's, by true scores."""


class Reload(Thread):
    """Reads what another process built. What goes wrong is logged, and told to who waits for it."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(name="mmsearch-index", daemon=True)
        self._work = work
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self.error = error
            _log.warning("an index that another process built can't be read: %s", type(error).__name__)
            _log.debug("%s", error, exc_info=error)


def nearest_matching(
    snapshot: Snapshot, filter: Filter | None, key: ListKey, index: SearchedList, queries: Vectors, k: int
) -> tuple[Neighbours, int]:
    """The k nearest that match, and how many could be.

    Where many match, the nearest of all hold enough of them, in the right order: then nothing else has to be read.
    """
    total = len(index)
    if filter is None:
        return index.search(queries, k), total
    known = is_selection_known(snapshot, filter, key)
    often = is_filter_known(snapshot, filter, key)
    share = 0.0 if known or total <= PROBE * k else selected_share(snapshot, filter, key)
    if share > (NEARLY_ALL if often else 1.5 / PROBE):
        near = index.search(queries, min(PROBE * k, math.ceil(1.3 * k / share) + 8))
        match = np.isin(near.ids, matching_segments(snapshot, filter, key, np.unique(near.ids)))
        if (match.sum(axis=1) >= k).all():
            first = np.argsort(~match, axis=1, kind="stable")[:, :k]
            return Neighbours(np.take_along_axis(near.ids, first, 1), np.take_along_axis(near.scores, first, 1)), total
    ids = selected_segments(snapshot, filter, key, None if index.owners is None else index.owners.segments_of)
    if ids is None:
        return index.search(queries, k), total
    found = index.search(queries, k, selection=Selection(ids))
    return found, len(ids) if found.ids.shape[1] == k else found.ids.shape[1]


def lengths(loaded: Mapping[ListKey, LoadedIndex]) -> dict[ListKey, int]:
    return {key: len(one.index) for key, one in loaded.items()}


def file_identity(path: Path) -> FileIdentity:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def fetch_vectors(snapshot: Snapshot, space: SpaceRecord, ids: Ids) -> Vectors:
    """The catalog's vectors of segments of a space, float32 (n, dim); ids (n,) ascending and unique.

    Raises: CatalogDamaged if it lacks one.
    """
    found, vectors = vectors_by_id(snapshot, space.id, space.dim, ids)
    if len(found) != len(ids):
        missing = np.setdiff1d(ids, found)
        raise CatalogDamaged(
            f"the catalog has no vectors of {len(missing)} segments that an index has, such as {missing[0]}",
            hint="mmsearch index verify --repair",
        )
    return vectors


def catch_up(
    loaded: LoadedIndex, snapshot: Snapshot, key: ListKey, space: SpaceRecord, generation: int, oldest_replayable: int
) -> None:
    """Bring an index to the snapshot's generation; nobody may search it meanwhile.

    Args:
        oldest_replayable: The generation since which the catalog lists removals.
    """
    # Vectors of contents that were there before are no change of theirs: whoever is older compares ids.
    since, oldest = loaded.generation, max(oldest_replayable, backfilled_at(snapshot, space.id))
    if since >= 0 and commit_id(snapshot, since) != loaded.commit_id:
        # It is of a past or future that this catalog (a restored copy) never had.
        loaded.index, loaded.published_generation, since = create_index(loaded.backend, space.dim), -1, -1
    if 0 <= since < oldest:
        _catch_up_by_ids(loaded, snapshot, key, space)
    else:
        for change in list_changes(snapshot, key, space.dim, since):
            loaded.unpublished_changes += loaded.index.remove(change.gone) if len(change.gone) else 0
            if len(change.ids):
                loaded.index.add(change.ids, change.vectors)
                loaded.unpublished_changes += len(change.ids)
    loaded.generation, loaded.commit_id = generation, commit_id(snapshot, generation)


def _catch_up_by_ids(loaded: LoadedIndex, snapshot: Snapshot, key: ListKey, space: SpaceRecord) -> None:
    """Where removals aren't listed any more, the ids tell: none is ever used again, and none changes its vector."""
    listed, indexed = list_segments(snapshot, key), loaded.index.ids()
    loaded.unpublished_changes += loaded.index.remove(np.setdiff1d(indexed, listed))
    missing = np.setdiff1d(listed, indexed)
    for start in range(0, len(missing), ROWS):
        part = missing[start : start + ROWS]
        loaded.index.add(part, fetch_vectors(snapshot, space, part))
        loaded.unpublished_changes += len(part)
