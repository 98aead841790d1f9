"""An index in memory as `mmsearch.indexing` keeps it: how it compares with its files, and how it is searched."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from mmsearch.catalog import ListKey
from mmsearch.types import Neighbours, Selection, VectorIndex, Vectors

if TYPE_CHECKING:
    from mmsearch.vectors.built import Built
    from mmsearch.vectors.layered import Fetch, LayeredIndex

REPLAY_LIMIT = 5000
"""Vectors a reader replays at every start before it is worth publishing the index anew."""

SMALL = 4096
"""Up to so many vectors a file is written with every change; a larger one when an eighth has changed."""


File: TypeAlias = tuple[int, int, int] | None
"""What tells a file from the one that takes its place: inode, size, time."""


@dataclass(slots=True)
class Held:
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
    file: File = None
    """The structure's, when it was looked at last."""
    built_from: tuple[int, int] = (-1, 0)
    """Generation that the structure was built from, and its mark."""
    layered: bool = True
    """Whether the index can have a structure."""

    @property
    def layers(self) -> "LayeredIndex | None":
        return cast("LayeredIndex", self.index) if self.layered else None

    @property
    def built(self) -> "Built | None":
        return self.layers.built if self.layers is not None else None

    @property
    def behind(self) -> int:
        """How many unpublished changes are too few to write the file anew: one file more in a large library must not
        cost a large file."""
        held = self.layers.exact_size if self.layers is not None else len(self.index)
        return 0 if held <= SMALL else min(REPLAY_LIMIT, held // 8)


@dataclass(frozen=True, slots=True)
class View:
    """An index, with the catalog's vectors as of one snapshot at hand."""

    held: Held
    fetch: "Fetch"

    def __len__(self) -> int:
        return len(self.held.index)

    def search(self, queries: Vectors, k: int, *, among: Selection | None = None) -> Neighbours:
        if self.held.layers is not None:
            return self.held.layers.search(queries, k, among=among, fetch=self.fetch)
        return self.held.index.search(queries, k, among=among)


def lengths(held: Mapping[ListKey, Held]) -> dict[ListKey, int]:
    return {key: len(one.index) for key, one in held.items()}


def file_of(path: Path) -> File:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
