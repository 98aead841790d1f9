"""Whose eyes a library's files are for: of a folder that only its owner may look into, everything below is the owner's
alone, too.

Where others may look into a folder, somebody chose so: what is made in it has the permissions that the system gives.
On Windows files inherit what the folder says; Python makes a folder of mode 0700 so that its owner alone is named.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077
_EMPTY = ".lock"
"""Ends the names of files that hold nothing."""


def is_private(folder: Path) -> bool:
    """Whether nobody but the owner may look into a folder."""
    try:
        return os.name == "posix" and not stat.S_IMODE(folder.stat().st_mode) & OTHERS
    except OSError:
        return False


def make_parents(folder: Path) -> None:
    """Make a folder and those it lies in, each as private as the one it is made in. Raises: OSError."""
    if folder.is_dir():
        return
    make_parents(folder.parent)
    folder.mkdir(mode=0o700 if is_private(folder.parent) else 0o777, exist_ok=True)


def as_private_as_folder(path: Path) -> None:
    """Keep a file that was just made to its owner, if its folder is. Raises: OSError."""
    if is_private(path.parent):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS)


def begin_private(path: Path) -> None:
    """Make an empty file that only the owner may read, where its folder is so and there is none; SQLite gives its log
    the permissions of its file."""
    if is_private(path.parent) and not path.exists():
        # Where nothing can be made, whoever writes says so.
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def open_to_others(folder: Path) -> Iterator[Path]:
    """The folder and whatever is below it that others may read or write by its own permissions, but for empty locks
    and links."""
    for path in (folder, *sorted(folder.rglob("*"))):
        with suppress(OSError):
            found = path.lstat()
            if not stat.S_ISLNK(found.st_mode) and path.suffix != _EMPTY and stat.S_IMODE(found.st_mode) & OTHERS:
                yield path


def keep_to_owner(folder: Path) -> int:
    """Take from others whatever they may do with a folder and all below it. Returns how many files and folders it was;
    raises: OSError for one of somebody else's."""
    changed = 0
    for path in open_to_others(folder):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS)
        changed += 1
    return changed
