"""Whose the segments of a list are, beside its index and in step with it: a search asks SQL about what it shows alone.

Numbers and nothing else: paths, names and texts stay in the catalog, where they can be forgotten. The file is a cache
of the catalog. What it does not say of a segment, the catalog is asked.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmsearch.catalog import Catalog, ListKey, Snapshot
from mmsearch.catalog.commits import CommitState, commit_id, current_commit
from mmsearch.catalog.owners import OwnerRows, changed_owners, list_owners
from mmsearch.core.atomic import replacing, told
from mmsearch.errors import IndexDamaged
from mmsearch.types import Ids
from mmsearch.vectors import Stamp, check_file, publish_index, quarantine, read_index_as

SUFFIX = ".owners"
"""Ends the name of a file of owners, beside the list's."""

KIND = "owners"

MAPPED_FILES_ARE_REPLACED = os.name != "nt"
"""Whether the system lets a file be replaced while it is mapped."""

MAPPED = 2**20
"""Files of so many segments, 32 MB, are mapped. A map of numpy's holds its file open, which shorter ones are not worth:
a program may have a hundred libraries open."""

READ_AT_ONCE = 20_000
"""Of lists of up to so many segments they are read from the catalog where there is no file of them."""

OUTGROWN = 5000
"""Segments that may have changed since a file was written."""

_COLUMNS = 4
"""Of int64 in a file: segment, content, item, and the two facts as bits."""

_ALONE, _SINGLE = 1, 2


class Owner(NamedTuple):
    """Whose a segment is."""

    content_id: int
    item_id: int
    """Below 0: of several present items, or of none."""
    alone: bool
    """Whether no other present item has the item's group key."""
    single: bool
    """Whether a decoder made of the content this segment and no other."""


@dataclass(frozen=True, slots=True, eq=False)
class Owners:
    """See above. Thread safety: nothing changes, so any number of threads may use it."""

    commit: tuple[int, int]
    """Generation, and id of its commit, that it is of."""
    segments: Ids
    """(n,), ascending."""
    table: NDArray[np.int64]
    """(n, 3): content, item, bits."""
    changed: Mapping[int, Owner] = field(default_factory=dict)
    """Of segments of contents that have changed since the arrays were made."""
    joined: frozenset[int] = frozenset()
    """Items that others have joined since."""

    @property
    def dim(self) -> int:
        """Columns of a file."""
        return _COLUMNS

    def __len__(self) -> int:
        return len(self.segments)

    def of(self, ids: Ids) -> list[Owner | None]:
        """Whose segments (n,) are; None of what isn't known."""
        if not len(self.segments):
            return [self.changed.get(segment) for segment in ids.tolist()]
        at = np.minimum(np.searchsorted(self.segments, ids), len(self.segments) - 1)
        known = (self.segments[at] == ids).tolist()
        rows = self.table[at].tolist()
        joined = self.joined
        made = [
            Owner(content, item, bits & _ALONE > 0 and item not in joined, bits & _SINGLE > 0) if there else None
            for (content, item, bits), there in zip(rows, known, strict=True)
        ]
        if self.changed:
            return [self.changed.get(segment, owner) for segment, owner in zip(ids.tolist(), made, strict=True)]
        return made

    def segments_of(self, contents: Ids) -> Ids:
        """The list's segments of contents (n,): ascending."""
        found = np.asarray(self.segments[np.isin(self.table[:, 0], contents)])
        if not self.changed:
            return found
        wanted = set(contents.tolist())
        later = [segment for segment, owner in self.changed.items() if owner.content_id in wanted]
        return np.union1d(found, np.array(later, np.int64))

    def caught_up(self, snapshot: Snapshot, key: ListKey) -> "Owners":
        """The same as of a snapshot. Where it is of a past that the catalog never had, all is read anew."""
        commit = current_commit(snapshot)
        generation, mark = self.commit
        if commit_id(snapshot, generation) != mark or generation > commit.generation:
            return read_owners(snapshot, key)
        rows, shared = changed_owners(snapshot, key, generation)
        joined = frozenset(shared.tolist())
        known = {
            one: owner._replace(alone=owner.alone and owner.item_id not in joined)
            for one, owner in self.changed.items()
        }
        return replace(self, commit=_of(commit), changed=known | _by_segment(rows), joined=self.joined | joined)

    def merged(self, left: Ids) -> "Owners":
        """The same in arrays alone, and nothing of segments that are not among those that are left, ascending."""
        old = np.isin(self.segments, left, assume_unique=True)
        table = self.table[old].copy()
        table[np.isin(table[:, 1], list(self.joined)), 2] &= ~_ALONE
        fresh = np.intersect1d(np.array(list(self.changed), np.int64), left)
        added = np.array([_row(self.changed[segment]) for segment in fresh.tolist()], np.int64).reshape(-1, 3)
        stay = ~np.isin(self.segments[old], fresh)
        segments = np.concatenate([self.segments[old][stay], fresh])
        order = np.argsort(segments)
        return Owners(self.commit, segments[order], np.concatenate([table[stay], added])[order])

    def save(self, path: Path) -> None:
        """Write atomically: segments, contents, items and bits, int64 each. Raises: LibraryError."""
        with replacing(path) as temporary, temporary.open("xb") as file:
            file.write(len(self.segments).to_bytes(8, "little"))
            file.write(np.ascontiguousarray(self.segments, "<i8").tobytes())
            file.write(np.ascontiguousarray(self.table, "<i8").tobytes())

    @classmethod
    def load(cls, path: Path, dim: int) -> "Owners":
        """Read what `save` wrote, mapped where it is long; bytes after it are ignored. Raises: IndexDamaged."""
        try:
            with path.open("rb") as file:
                count = int.from_bytes(file.read(8), "little")
            shape = (count * _COLUMNS,)
            if MAPPED_FILES_ARE_REPLACED and count >= MAPPED:
                numbers = np.asarray(np.memmap(path, "<i8", "r", 8, shape))
            else:
                numbers = np.fromfile(path, "<i8", shape[0], offset=8)
        except (OSError, ValueError, MemoryError, OverflowError) as error:
            raise IndexDamaged(f"{path} can't be read: {error}") from error
        if len(numbers) != count * dim:
            raise IndexDamaged(f"{path} is shorter than it says")
        return cls((-1, 0), numbers[:count], numbers[count:].reshape(count, dim - 1))


def read_owners(snapshot: Snapshot, key: ListKey) -> Owners:
    """Those of a list, from the catalog."""
    rows = list_owners(snapshot, key)
    bits = rows.alone * _ALONE + rows.single * _SINGLE
    return Owners(_of(current_commit(snapshot)), rows.segments, np.stack([rows.contents, rows.items, bits], axis=1))


def _of(commit: CommitState) -> tuple[int, int]:
    return commit.generation, commit.commit_id


def _by_segment(rows: OwnerRows) -> dict[int, Owner]:
    columns = (rows.contents, rows.items, rows.alone, rows.single)
    owners = map(Owner, *(column.tolist() for column in columns))
    return dict(zip(rows.segments.tolist(), owners, strict=True))


def _row(owner: Owner) -> tuple[int, int, int]:
    return owner.content_id, owner.item_id, _ALONE * owner.alone + _SINGLE * owner.single


class OwnerFiles:
    """The owners of all lists of a space, and their files.

    Thread safety: `owners` may be called from any thread; the others have a caller at a time.
    """

    def __init__(
        self, path: Callable[[ListKey], Path], stamp: Callable[[ListKey, str], Stamp], *, in_memory: bool = False
    ) -> None:
        """`path`: where a list is published. `stamp`: whose a file of a kind is. `in_memory`: there is no file."""
        self._path, self._stamp, self._in_memory = path, stamp, in_memory
        self._owners: dict[ListKey, Owners | None] = {}
        self._published: set[ListKey] = set()
        self.damaged: set[ListKey] = set()
        """Lists whose file is there and can't be used."""
        self._asked = False

    def owners(self, key: ListKey) -> Owners | None:
        """Those of a list; None while there are none of a long one."""
        return self._owners.get(key)

    def path(self, key: ListKey) -> Path:
        """Where a list's are published."""
        path = self._path(key)
        return path.with_name(path.name + SUFFIX)

    def check(self, key: ListKey) -> None:
        """Raises: IndexDamaged if the file is not what was published."""
        if self.path(key).exists():
            check_file(self.path(key), self._stamp(key, KIND), _COLUMNS)

    def refresh(self, snapshot: Snapshot, key: ListKey, size: int) -> None:
        """Bring those of a list, of so many segments, to a snapshot."""
        known = self._owners[key] if key in self._owners else self._load(key)
        if known is not None and known.commit != _of(current_commit(snapshot)):
            known = known.caught_up(snapshot, key)
        elif known is None and (size <= READ_AT_ONCE or self._in_memory):
            known = read_owners(snapshot, key)
        self._owners[key] = known

    def _load(self, key: ListKey) -> Owners | None:
        if self._in_memory:
            return None
        try:
            found, stamp = read_index_as(Owners.load, self.path(key), self._stamp(key, KIND), _COLUMNS)
        except IndexDamaged:
            if self.path(key).exists():
                self.damaged.add(key)
            return None
        self._published.add(key)
        return replace(found, commit=(stamp.generation, stamp.commit_id))

    def publish(self, catalog: Catalog, key: ListKey, ids: Callable[[], Ids], *, every: bool) -> None:
        """Write those of a list where its file lacks too much, or anything at all with `every`.

        Args:
            ids: Gives the segments that are left, ascending; the file then has no others.
        """
        if self._in_memory:
            return
        known = self._owners.get(key)
        outgrown = known is not None and len(known.changed) + len(known.joined) > min(len(known) // 8, OUTGROWN)
        if known is not None and key in self._published and not outgrown and not every:
            return
        if known is None:
            with catalog.latest() as snapshot:
                known = read_owners(snapshot, key)
        known = known.merged(ids())
        if key in self.damaged:
            with told(self.path(key)):
                quarantine(self.path(key))
        stamp = replace(self._stamp(key, KIND), generation=known.commit[0], commit_id=known.commit[1])
        publish_index(known, self.path(key), stamp)
        self._owners[key] = known
        self._published.add(key)
        self.damaged.discard(key)

    def forget(self, key: ListKey) -> None:
        """Make those of a list anew, without their file."""
        quarantine(self.path(key))
        self._owners.pop(key, None)
        self._published.discard(key)
        self.damaged.discard(key)

    def asks_for_files(self) -> bool:
        """Whether a long list has none: said once, since whoever may not write goes on without."""
        asks = not self._asked and None in self._owners.values()
        self._asked |= asks
        return asks
