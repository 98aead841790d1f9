"""Where libraries lie, and what paths mean."""

import os
from collections.abc import Sequence
from pathlib import Path

from mmsearch.errors import InvalidInput

TEMPORARY = "mmsearch-"
"""Begins the names of our folders among the machine's temporary ones."""


SERVER_SCHEMES = ("postgresql://", "postgres://")
"""Begin the address of a library on a server."""


def default_library(given: str | os.PathLike[str] | None = None) -> Path:
    """`given` > MMSEARCH_LIBRARY > ./indexes/default where ./indexes exists > the user's data folder. An address of a
    library on a server stands for the folder that this machine has for it.

    Raises: InvalidInput for an address that is none, or has a password in it.
    """
    named = given if given is not None else os.environ.get("MMSEARCH_LIBRARY")
    if isinstance(named, str) and named.startswith(SERVER_SCHEMES):
        from mmsearch.core.server_address import folder_of_address

        return folder_of_address(named, data_folder())
    if given is not None or named:
        return absolute_path(named or "")
    if Path("indexes").is_dir():
        return absolute_path("indexes/default")
    return data_folder() / "default"


def data_folder() -> Path:
    """The user's own: the default library and prepared models."""
    import platformdirs

    return Path(platformdirs.user_data_dir("mmsearch", appauthor=False))


def cache_folder() -> Path:
    """The user's own: what may be removed at any time."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("mmsearch", appauthor=False))


def absolute_path(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))


def is_away(root: Path) -> bool:
    """Whether nothing can be told of what lay in a folder: it is not there, or empty, as the place of a disk that isn't
    mounted is."""
    try:
        return not os.path.lexists(root) or (root.is_dir() and not any(root.iterdir()))
    except OSError:
        return False


def path_in_table(text: str, folder: Path) -> Path:
    """The absolute path that a table in this folder names, whose writer may have used Windows' backslashes.

    A file whose name really has backslashes is that file. Raises: OSError, ValueError for what can't be a path.
    """
    path = Path(os.path.abspath(folder / text))
    if "\\" in text and os.sep == "/" and not path.exists():
        return Path(os.path.abspath(folder / text.replace("\\", "/")))
    return path


def checked_roots(paths: Sequence[str | os.PathLike[str]], library: Path) -> list[Path]:
    """Absolute, without those that lie below another: their files would be counted twice."""
    if not paths:
        raise InvalidInput("nothing to ingest", hint="name a folder or a file")
    found = sorted({absolute_path(path) for path in paths})
    if library in found:
        raise InvalidInput(f"{library} is the library itself", hint="name the folder with your media")
    named = set(found)
    return [root for root in found if named.isdisjoint(root.parents)]
