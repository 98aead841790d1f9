"""An index in memory as `mmsearch.indexing.lists` keeps it: how it compares with its files, and how it is searched."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from mmsearch.catalog import ListKey, Snapshot
from mmsearch.catalog.selections import is_selection_known, matching_segments, selected_segments, selected_share
from mmsearch.filters.ast import Filter
from mmsearch.types import Neighbours, Selection, VectorIndex, Vectors

if TYPE_CHECKING:
    from mmsearch.vectors.ann import AnnIndex
    from mmsearch.vectors.layered import Fetch, LayeredIndex

_log = logging.getLogger(__name__)

REPLAY_LIMIT = 5000
"""Vectors a reader replays at every start before it is worth publishing the index anew."""

SMALL = 4096
"""Up to so many vectors a file is written with every change; a larger one when an eighth has changed."""

PROBE = 4
"""Under a filter, this many times the wanted neighbours are looked at before its whole selection is asked for."""


FileIdentity: TypeAlias = tuple[int, int, int] | None
"""What tells a file from the one that takes its place: inode, size, time."""


@dataclass(slots=True)
class LoadedIndex:
    """An index in memory, and how it compares with its files."""

    index: VectorIndex
    generation: int
    mark: int
    """Of the commit that made the generation."""
    published: int
    """Generation of the files; -1: none that can be used."""
    unpublished: int = 0
    """Vectors added or removed since the files were written."""
    damaged: bool = False
    """There is something in the file's place, and it is no good."""
    file: FileIdentity = None
    """The structure's, when it was looked at last."""
    built_from: tuple[int, int] = (-1, 0)
    """Generation that the structure was built from, and its mark."""
    layered: bool = True
    """Whether the index can have a structure."""

    @property
    def layers(self) -> "LayeredIndex | None":
        return cast("LayeredIndex", self.index) if self.layered else None

    @property
    def built(self) -> "AnnIndex | None":
        return self.layers.built if self.layers is not None else None

    @property
    def behind(self) -> int:
        """How many unpublished changes are too few to write the file anew: one file more in a large library must not
        cost a large file."""
        held = self.layers.exact_size if self.layers is not None else len(self.index)
        return 0 if held <= SMALL else min(REPLAY_LIMIT, held // 8)


@dataclass(frozen=True, slots=True)
class IndexSnapshot:
    """An index, with the catalog's vectors as of one snapshot at hand."""

    held: LoadedIndex
    fetch: "Fetch"

    def __len__(self) -> int:
        return len(self.held.index)

    def search(self, queries: Vectors, k: int, *, selection: Selection | None = None) -> Neighbours:
        if self.held.layers is not None:
            return self.held.layers.search(queries, k, selection=selection, fetch=self.fetch)
        return self.held.index.search(queries, k, selection=selection)


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
    snapshot: Snapshot, filter: Filter | None, key: ListKey, index: IndexSnapshot, queries: Vectors, k: int
) -> tuple[Neighbours, int]:
    """The k nearest that match, and how many could be.

    Where many match, the nearest of all hold enough of them, in the right order: then nothing else has to be read.
    """
    total = len(index)
    if filter is None:
        return index.search(queries, k), total
    known = is_selection_known(snapshot, filter, key)
    if not known and total > PROBE * k and selected_share(snapshot, filter, key) > 1.5 / PROBE:
        near = index.search(queries, PROBE * k)
        match = np.isin(near.ids, matching_segments(snapshot, filter, key, np.unique(near.ids)))
        if (match.sum(axis=1) >= k).all():
            first = np.argsort(~match, axis=1, kind="stable")[:, :k]
            return Neighbours(np.take_along_axis(near.ids, first, 1), np.take_along_axis(near.scores, first, 1)), total
    ids = selected_segments(snapshot, filter, key)
    if ids is None:
        return index.search(queries, k), total
    return index.search(queries, k, selection=Selection(ids)), len(ids)


def lengths(held: Mapping[ListKey, LoadedIndex]) -> dict[ListKey, int]:
    return {key: len(one.index) for key, one in held.items()}


def file_identity(path: Path) -> FileIdentity:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
