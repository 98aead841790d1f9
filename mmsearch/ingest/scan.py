"""Folders -> SourceFiles, in byte order of their whole paths, so that a scan can be merged with the catalog."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from operator import itemgetter
from pathlib import Path

from mmsearch.catalog import FILE_NAME
from mmsearch.types import SourceFile

JUNK = frozenset((b"Thumbs.db", b"desktop.ini", b"$RECYCLE.BIN", b"System Volume Information", b"@eaDir", b"__MACOSX"))
"""Names that operating systems and disk stations leave behind; skipped like hidden files."""

LIBRARY_MARK = os.fsencode(FILE_NAME)
"""A folder with this file in it is a library, never media."""

_SEPARATOR = os.fsencode(os.sep)


@dataclass(slots=True)
class Scan:
    """One walk over a root. `skipped` and `blocked` are filled while `files()` is consumed."""

    root: Path
    exclude: tuple[str, ...] = ()
    """Globs: with a slash they match the path below the root, without one any single name."""
    hidden: bool = False
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> how many: hidden, excluded, link loop, broken link, not a regular file, library."""
    blocked: list[Path] = field(default_factory=list)
    """Folders that could not be read: what they held is unknown, not gone."""

    def files(self) -> Iterator[SourceFile]:
        """The regular files at or below the root. A link to a folder is followed only if it leads out of the root."""
        root = os.fsencode(self.root)
        if os.path.isdir(root):
            yield from self._folder(root, b"", frozenset())
        elif (found := self._file(root)) is not None:
            yield found

    def _folder(self, folder: bytes, below: bytes, above: frozenset[tuple[int, int]]) -> Iterator[SourceFile]:
        try:
            status = os.stat(folder)
            with os.scandir(folder) as entries:
                listed = sorted(((self._key(entry), entry) for entry in entries), key=itemgetter(0))
        except OSError:
            self.blocked.append(Path(os.fsdecode(folder)))
            return
        if any(name == LIBRARY_MARK for name, _ in listed):
            self.skipped["library"] += 1
            return
        here = above | {(status.st_dev, status.st_ino)}
        for name, entry in listed:
            if reason := self._refused(entry.name, below):
                self.skipped[reason] += 1
            elif not name.endswith(_SEPARATOR):
                if (found := self._file(entry.path)) is not None:
                    yield found
            elif self._loops(entry, here):
                self.skipped["link loop"] += 1
            else:
                yield from self._folder(entry.path, below + entry.name + b"/", here)

    @staticmethod
    def _key(entry: "os.DirEntry[bytes]") -> bytes:
        """A folder sorts as if its name ended in the separator: then the walk is in byte order of whole paths."""
        name = entry.name
        try:
            return name + _SEPARATOR if entry.is_dir() else name
        except OSError:
            return name

    def _refused(self, name: bytes, below: bytes) -> str | None:
        if not self.hidden and (name.startswith(b".") or name in JUNK):
            return "hidden"
        if self.exclude and any(
            fnmatch(os.fsdecode(below + name if "/" in glob else name), glob) for glob in self.exclude
        ):
            return "excluded"
        return None

    def _loops(self, entry: "os.DirEntry[bytes]", above: frozenset[tuple[int, int]]) -> bool:
        if not entry.is_symlink():
            return False
        status = entry.stat()
        target, root = os.path.realpath(entry.path), os.path.realpath(os.fsencode(self.root))
        # What lies inside the root is found under its own name.
        return (status.st_dev, status.st_ino) in above or os.path.commonpath([target, root]) == root

    def _file(self, path: bytes) -> SourceFile | None:
        try:
            status = os.stat(path)
        except OSError:
            self.skipped["broken link" if os.path.islink(path) else "vanished"] += 1
            return None
        if not stat.S_ISREG(status.st_mode):
            self.skipped["not a regular file"] += 1
            return None
        return SourceFile(path, status.st_size, status.st_mtime_ns)


def size_of(root: Path) -> int:
    """Files below a root, roughly and fast: only for a progress bar's total."""
    return sum(len(names) for _, _, names in os.walk(root)) or 1
