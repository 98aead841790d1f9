"""Which large index files were found whole lately: not every process that opens one has to read all of it.

Beside such a file lies a note of what the file was when its digest was compared. A file that was replaced or written to
since is another one; one that has rotted on its disk is found out a week later, or by `index verify`, which trusts no
note.
"""

import os
from contextlib import suppress
from pathlib import Path
from time import time

from mmsearch.core.atomic import replacing
from mmsearch.errors import LibraryError

LARGE = 128 << 20
"""Bytes of a file from which on it has a note: smaller ones are read in a moment."""

KEPT_S = 7 * 86400.0
"""A note counts for so many seconds."""

SUFFIX = ".whole"


def is_noted(path: Path) -> bool:
    """Whether the file at `path` is as it was when somebody noted that it is whole."""
    try:
        note = _note(path)
        return 0 <= time() - note.stat().st_mtime < KEPT_S and note.read_text("utf-8") == _told(path.stat())
    except (OSError, ValueError):
        return False


def note(path: Path, found: os.stat_result) -> None:
    """Note that the file at `path`, where it is large, is whole. Who may not write there goes without.

    Args:
        found: What it was before it was looked through.
    """
    if found.st_size >= LARGE:
        with suppress(OSError, LibraryError), replacing(_note(path)) as temporary:
            temporary.write_text(_told(found), "utf-8")


def forget(path: Path) -> None:
    """Remove the note of a file that is no more."""
    with suppress(OSError):
        _note(path).unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _told(found: os.stat_result) -> str:
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}\n"
