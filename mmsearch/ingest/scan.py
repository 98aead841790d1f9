"""Folders -> SourceFiles, in byte order of their whole paths, so that a scan can be merged with the catalog."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from mmsearch.catalog import FILE_NAME
from mmsearch.core.file_times import size_and_time
from mmsearch.types import SourceFile

JUNK = frozenset((b"Thumbs.db", b"desktop.ini", b"$RECYCLE.BIN", b"System Volume Information", b"@eaDir", b"__MACOSX"))
"""Names that operating systems and disk stations leave behind; skipped like hidden files."""

LIBRARY_MARK = os.fsencode(FILE_NAME)
"""A folder with this file in it is a library, never media."""

LEADS_OUT = "link out of the folder"
"""Why a link is skipped that leads to something outside of the root."""

_SEPARATOR = os.fsencode(os.sep)


class _Folder(NamedTuple):
    """A folder that is being walked through."""

    identity: tuple[int, int]
    """Device and inode."""
    below: bytes
    """Its path below the root, with a slash at the end; empty for the root."""
    rest: Iterator[tuple[bytes, "os.DirEntry[bytes]"]]
    """What has not been looked at yet, in order."""


@dataclass(slots=True)
class Scan:
    """One walk over a root. `skipped` and `blocked` are filled while `files()` is consumed."""

    root: Path
    exclude: tuple[str, ...] = ()
    """Globs: with a slash they match the path below the root, without one any single name."""
    hidden: bool = False
    follow_links: bool = False
    """Whether to take what links lead to outside of the root."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> how many: hidden, excluded, link loop, link out of the folder, broken link, not a regular file,
    library."""
    blocked: list[Path] = field(default_factory=list)
    """Folders that could not be read: what they held is unknown, not gone."""

    def files(self) -> Iterator[SourceFile]:
        """The regular files at or below the root. A link to a folder is never followed to what lies inside the root,
        which is found under its own name."""
        root = os.fsencode(self.root)
        if os.path.isdir(root):
            yield from self._walk(root)
        elif (found := self._file(root)) is not None:
            yield found

    def _walk(self, root: bytes) -> Iterator[SourceFile]:
        # No recursion: folders may lie deeper than Python can call.
        first = self._opened(root, b"")
        open_folders = [first] if first else []
        while open_folders:
            folder = open_folders[-1]
            name, entry = next(folder.rest, (b"", None))
            if entry is None:
                open_folders.pop()
            elif reason := self._refused(entry.name, folder.below):
                self.skipped[reason] += 1
            elif not name.endswith(_SEPARATOR):
                if (found := self._file(entry.path)) is not None and not self._strays(entry):
                    yield found
            elif self._loops(entry, open_folders):
                self.skipped["link loop"] += 1
            elif not self._strays(entry) and (inner := self._opened(entry.path, folder.below + entry.name + b"/")):
                open_folders.append(inner)

    def _opened(self, folder: bytes, below: bytes) -> _Folder | None:
        try:
            status = os.stat(folder)
            with os.scandir(folder) as entries:
                listed = sorted(((self._key(entry), entry) for entry in entries), key=itemgetter(0))
        except OSError:
            self.blocked.append(Path(os.fsdecode(folder)))
            return None
        if any(name == LIBRARY_MARK for name, _ in listed):
            self.skipped["library"] += 1
            return None
        return _Folder((status.st_dev, status.st_ino), below, iter(listed))

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

    def _loops(self, entry: "os.DirEntry[bytes]", above: list[_Folder]) -> bool:
        """Whether a folder is a link to one above it, or to one that is found under its own name."""
        if not entry.is_symlink():
            return False
        status = entry.stat()
        if any(folder.identity == (status.st_dev, status.st_ino) for folder in above):
            return True
        return not leads_out(entry.path, os.fsencode(self.root))

    def _strays(self, entry: "os.DirEntry[bytes]") -> bool:
        """Whether this is a link to something that nobody named: whoever fills a folder has no say in what else on
        this machine is taken in. Counted."""
        if self.follow_links or not entry.is_symlink() or not leads_out(entry.path, os.fsencode(self.root)):
            return False
        self.skipped[LEADS_OUT] += 1
        return True

    def _file(self, path: bytes) -> SourceFile | None:
        try:
            status = os.stat(path)
        except OSError:
            self.skipped["broken link" if os.path.islink(path) else "vanished"] += 1
            return None
        if not stat.S_ISREG(status.st_mode):
            self.skipped["not a regular file"] += 1
            return None
        return SourceFile(path, *size_and_time(status))


def leads_out(path: bytes, root: bytes) -> bool:
    """Whether a path, all links followed, lies outside of a root, all links followed."""
    target, inside = os.path.realpath(path), os.path.realpath(root)
    try:
        return os.path.commonpath([target, inside]) != inside
    except ValueError:  # on another drive
        return True


def size_of(root: Path) -> int:
    """Files below a root, roughly and fast: only for a progress bar's total."""
    count, folders = 0, [os.fsencode(root)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        count += 1
        except OSError:
            continue
    return count or 1
