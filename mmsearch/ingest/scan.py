"""Folders -> SourceFiles, in byte order of their whole paths, so that a scan can be merged with the catalog."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from mmsearch.catalog import FILE_NAME
from mmsearch.core.file_times import size_and_time
from mmsearch.ingest.excludes import IGNORE_FILE, NO_MEDIA, Rules, excluding, ignoring, kept_for, left_out
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
    rules: tuple[Rules, ...]
    """Of the ignore files in it and above it."""
    rest: Iterator[tuple[bytes, "os.DirEntry[bytes]"]]
    """What has not been looked at yet, in order."""


@dataclass(slots=True)
class Scan:
    """One walk over a root. `skipped` and `blocked` are filled while `files()` is consumed."""

    root: Path
    exclude: tuple[str, ...] = ()
    """Globs as .gitignore means them, from the root."""
    hidden: bool = False
    follow_links: bool = False
    """Whether to take what links lead to outside of the root."""
    kept: Mapping[bytes, Sequence[str]] = field(default_factory=dict)
    """Root -> globs that are kept with it: they count as well where it is this root, or lies above it."""
    within: Path | None = None
    """Only what is at or below this path, which the rules of all folders above it count for; else all of the root."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> how many: hidden, excluded, .nomedia, .mmsearchignore, link loop, link out of the folder, broken link,
    not a regular file, library."""
    blocked: list[Path] = field(default_factory=list)
    """Folders that could not be read: what they held is unknown, not gone."""
    _excluding: Rules = field(init=False)
    _all: tuple[Rules, ...] = field(init=False)
    """Those that are kept, then those of this scan."""
    _ignoring: dict[bytes, Rules] = field(default_factory=dict)
    """Folder, as its path below the root -> the rules of its ignore file."""
    _closed: set[bytes] = field(default_factory=set)
    """Folders with a .nomedia, as their paths below the root."""

    def __post_init__(self) -> None:
        """Raises: InvalidInput for what is no glob."""
        self._excluding = excluding(self.exclude, self.root)
        self._all = (*kept_for(self.root, self.kept), *([self._excluding] if self.exclude else []))

    def files(self) -> Iterator[SourceFile]:
        """The regular files at or below the root. A link to a folder is never followed to what lies inside the root,
        which is found under its own name."""
        root = os.fsencode(self.root)
        if os.path.isdir(root):
            yield from self._walk(root)
        elif left_out(b"", self._all[: -1 if self.exclude else None]):
            self.skipped["excluded"] += 1
        elif (found := self._file(root)) is not None:
            yield found

    def unmatched(self) -> set[str]:
        """The globs of `exclude` that have matched nothing so far."""
        return set(self.exclude) - self._excluding.matched

    def leaves_out(self, path: bytes) -> bool:
        """Whether a file that was not found is left out by what its user wrote, not for another reason."""
        names = path[len(os.fsencode(self.root)) :].strip(_SEPARATOR).split(_SEPARATOR)
        rules, below = list[Rules](), b""
        for number, name in enumerate(names):
            if below in self._closed:
                return True
            rules += [self._ignoring[below]] if below in self._ignoring else []
            below += name + (b"/" if number + 1 < len(names) else b"")
            if left_out(below, self._all) or left_out(below, rules):
                return True
        return False

    def _walk(self, root: bytes) -> Iterator[SourceFile]:
        # No recursion: folders may lie deeper than Python can call.
        first = self._opened(root, b"", ())
        open_folders = [first] if first else []
        while open_folders:
            folder = open_folders[-1]
            name, entry = next(folder.rest, (b"", None))
            if entry is None:
                open_folders.pop()
            elif self.within is not None and not self._leads_within(name, entry.path):
                continue
            elif reason := self._refused(entry.name, folder, name.endswith(_SEPARATOR)):
                self.skipped[reason] += 1
            elif not name.endswith(_SEPARATOR):
                if (found := self._file(entry.path)) is not None and not self._strays(entry):
                    yield found
            elif self._loops(entry, open_folders):
                self.skipped["link loop"] += 1
            elif not self._strays(entry):
                inner = self._opened(entry.path, folder.below + entry.name + b"/", folder.rules)
                open_folders += [inner] if inner else []

    def _opened(self, folder: bytes, below: bytes, rules: tuple[Rules, ...]) -> _Folder | None:
        try:
            status = os.stat(folder)
            with os.scandir(folder) as entries:
                listed = sorted(((self._key(entry), entry) for entry in entries), key=itemgetter(0))
            names = {name for name, _ in listed}
            if IGNORE_FILE in names:
                self._ignoring[below] = ignoring(os.path.join(folder, IGNORE_FILE), below)
                rules = (*rules, self._ignoring[below])
        except OSError:
            self.blocked.append(Path(os.fsdecode(folder)))
            return None
        if LIBRARY_MARK in names:
            self.skipped["library"] += 1
            return None
        if NO_MEDIA in names:
            self.skipped[os.fsdecode(NO_MEDIA)] += 1
            self._closed.add(below)
            return None
        return _Folder((status.st_dev, status.st_ino), below, rules, iter(listed))

    @staticmethod
    def _key(entry: "os.DirEntry[bytes]") -> bytes:
        """A folder sorts as if its name ended in the separator: then the walk is in byte order of whole paths."""
        name = entry.name
        try:
            return name + _SEPARATOR if entry.is_dir() else name
        except OSError:
            return name

    def _refused(self, name: bytes, folder: _Folder, is_folder: bool) -> str | None:
        path = folder.below + name + b"/" * is_folder
        excluded = bool(self._all) and left_out(path, self._all)
        if not self.hidden and (name.startswith(b".") or name in JUNK):
            return "hidden"
        if excluded:
            return "excluded"
        return os.fsdecode(IGNORE_FILE) if folder.rules and left_out(path, folder.rules) else None

    def _leads_within(self, name: bytes, path: bytes) -> bool:
        """Whether an entry is within, or a folder that it lies in."""
        within = os.fsencode(self.within or self.root)
        if path == within or path.startswith(within + _SEPARATOR):
            return True
        return name.endswith(_SEPARATOR) and within.startswith(path + _SEPARATOR)

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
