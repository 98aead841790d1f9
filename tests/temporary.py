"""Folders that outlive a test, for models which are made once in a process; gone when its session of tests ends."""

import atexit
import shutil
import tempfile
from pathlib import Path

_MADE: list[Path] = []


def kept_folder(prefix: str) -> Path:
    """A new folder, until `remove_kept_folders` or the end of the process."""
    made = Path(tempfile.mkdtemp(prefix=prefix))
    if not _MADE:
        atexit.register(remove_kept_folders)
    _MADE.append(made)
    return made


def remove_kept_folders() -> None:
    """Called at the end of a session of tests, too: the processes of pytest-xdist end without their exit handlers."""
    while _MADE:
        shutil.rmtree(_MADE.pop(), ignore_errors=True)
