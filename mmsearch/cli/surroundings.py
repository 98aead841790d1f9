"""Where a command stands: its working folder, its terminal and its library.

They are this process's, unless a warm process answers for a shell elsewhere: it stays where it is, since a working
folder is one for all threads, and a folder that somebody stands in can't be unmounted.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmsearch.library import Library


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Those of a shell elsewhere."""

    folder: Path
    terminal: Mapping[str, str]
    """Environment variables about it."""
    library: "Library"


_elsewhere: ContextVar[Surroundings | None] = ContextVar("elsewhere", default=None)


@contextmanager
def standing(there: Surroundings) -> Iterator[None]:
    """Meanwhile, in this thread, commands stand elsewhere."""
    before = _elsewhere.set(there)
    try:
        yield
    finally:
        _elsewhere.reset(before)


def working_folder() -> Path:
    """Where the command stands."""
    there = _elsewhere.get()
    return Path.cwd() if there is None else there.folder


def terminal() -> Mapping[str, str]:
    """The environment variables that tell of the command's terminal."""
    there = _elsewhere.get()
    return os.environ if there is None else there.terminal


def kept_library() -> "Library | None":
    """The library of a warm process, which commands use and do not close."""
    there = _elsewhere.get()
    return None if there is None else there.library


def located(path: Path | None) -> Path | None:
    """A path as this process has to open it."""
    there = _elsewhere.get()
    return path if there is None or path is None else there.folder / path


def located_word(word: str) -> str:
    """A word that may be the path of a file, so that this process finds that file."""
    there = _elsewhere.get()
    if there is None:
        return word
    try:
        return str(there.folder / word) if (there.folder / word).is_file() else word
    except (OSError, ValueError):  # too long for a name, or a null byte
        return word
