"""What may be on a disk after a power cut, made from the log of all calls that changed it.

A write is only in memory until its file is synced: at a cut any part of what was not synced may be there, in any
order, sector by sector. Names (made, renamed, removed) are kept in one of two ways:

- journalled, as ext4, XFS, btrfs, NTFS and APFS do: names reach the disk in order, and any sync brings all earlier ones
  along;
- strict, as POSIX promises: names of a folder are safe only when that folder was synced.
"""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
_HEAD = struct.Struct("cb6xqqqii")


@dataclass(frozen=True, slots=True)
class Entry:
    """One call of the log: what `enter` in `shim.c` was given."""

    op: str
    number: int
    offset: int
    length: int
    path: str
    target: str
    data: bytes


def entries(log: Path) -> Iterator[Entry]:
    """The calls in a log, in order."""
    data, at = log.read_bytes(), 0
    while at < len(data):
        op, without, number, offset, length, path, target = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        pieces: list[bytes] = []
        for size in (path, target, 0 if without else length):
            pieces.append(data[at : at + size])
            at += size
        yield Entry(op.decode(), number, offset, length, pieces[0].decode(), pieces[1].decode(), pieces[2])


@dataclass(slots=True, eq=False)
class _File:
    """A file, whatever it is called: what is on the disk for sure, and what happened to it since."""

    synced: bytes = b""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(offset, data) of a write, (length, None) of a truncation."""

    def whole(self) -> bytes:
        return _applied(self.synced, self.since)

    def sync(self) -> None:
        self.synced, self.since = self.whole(), []

    def torn(self, chance: random.Random) -> bytes:
        """The synced content with an arbitrary part of what came after it."""
        keep = chance.choice((0.0, 0.3, 0.7, 1.0))
        kept: list[tuple[int, bytes | None]] = []
        for offset, data in self.since:
            if data is None:
                kept += [(offset, None)] if chance.random() < keep else []
                continue
            for start in range(0, len(data), SECTOR):
                if chance.random() < keep:
                    kept.append((offset + start, data[start : start + SECTOR]))
        return _applied(self.synced, kept)


def _applied(content: bytes, changes: list[tuple[int, bytes | None]]) -> bytes:
    made = bytearray(content)
    for offset, data in changes:
        if data is None:
            made = made[:offset] + bytearray(max(0, offset - len(made)))
        else:
            if offset > len(made):
                made += bytearray(offset - len(made))
            made[offset : offset + len(data)] = data
    return bytes(made)


_Names = dict[str, "_File | None"]
"""Path -> file, None for a folder."""


class Disk:
    """A folder's past, call by call. `journalled` says how names are kept."""

    def __init__(self, before: Path, harmed: Path, *, journalled: bool) -> None:
        self._journalled = journalled
        self._root = str(harmed)
        self._names: _Names = {str(harmed): None}
        for path in sorted(before.rglob("*")):
            name = str(harmed / path.relative_to(before))
            self._names[name] = _File(path.read_bytes()) if path.is_file() else None
        self._safe: _Names = dict(self._names)
        self._waiting: list[tuple[str, str, _File | None]] = []
        """Changes of names that are not on the disk for sure: (call, path, file); a rename is two."""

    def take(self, entry: Entry) -> None:
        """Let a call happen."""
        file = self._names.get(entry.path)
        if entry.op == "w" and file:
            file.since.append((entry.offset, entry.data))
        elif entry.op == "t" and file:
            file.since.append((entry.offset, None))
        elif entry.op == "s":
            self._sync(entry.path, file)
        elif entry.op in "cm":
            made = _File() if entry.op == "c" else None
            self._change([(entry.op, entry.path, made)])
        elif entry.op in "ud":
            self._change([(entry.op, entry.path, file)])
        elif entry.op == "r":
            self._change([("r", entry.path, None), ("c", entry.target, file)])

    def _change(self, changes: list[tuple[str, str, _File | None]]) -> None:
        # A rename is atomic: its two halves are one entry of the journal.
        for change in changes:
            _rename(self._names, change)
        self._waiting += changes

    def _sync(self, path: str, file: _File | None) -> None:
        if file is not None:
            file.sync()
        kept: list[tuple[str, str, _File | None]] = []
        for change in self._waiting:
            if self._journalled or (file is None and change[1].rpartition("/")[0] == path):
                _rename(self._safe, change)
            else:
                kept.append(change)
        self._waiting = kept

    def cut(self, target: Path, chance: random.Random | None) -> None:
        """Write into a folder what a power cut leaves: only what is safe (None), or that and a part of the rest."""
        names = dict(self._safe)
        if chance is not None:
            upto = chance.randint(0, len(self._waiting))
            while 0 < upto < len(self._waiting) and self._waiting[upto - 1][0] == "r":
                upto += 1
            for change in self._waiting[:upto]:
                _rename(names, change)
        for name, file in sorted(names.items()):
            path = target / name.removeprefix(self._root).lstrip("/")
            if file is None:
                path.mkdir(parents=True, exist_ok=True)
            elif path.parent.is_dir():
                path.write_bytes(file.synced if chance is None else file.torn(chance))


def _rename(names: _Names, change: tuple[str, str, _File | None]) -> None:
    op, path, file = change
    if op in "rud":
        names.pop(path, None)
    else:
        names[path] = file
