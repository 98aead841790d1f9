"""Writing a file so that a reader sees the old content or the new one, and a crash leaves one of them."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmsearch.core.owner_only import as_private_as_folder, is_private, make_parents
from mmsearch.errors import LibraryError, LibraryReadOnly

_MARK = ".writing-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; the file written there takes its place, on disk before this returns.

    The folder is made if need be; in one that only the owner may look into, the file is the owner's alone. One writer
    per path: leftovers of a crashed one are removed first.

    Raises: LibraryReadOnly, LibraryError (disk full, for example); `path` is then as it was.
    """
    temporary = path.with_name(f".{path.name}{_MARK}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with told(path):
            make_parents(path.parent)
            _sweep(path)
            yield temporary
            as_private_as_folder(temporary)
            _to_disk(temporary)
            os.replace(temporary, path)
            folder_to_disk(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `folder`, which bears that name in the end, its files on disk; after an error or
    a kill there is no such folder. One writer per name: what a killed one left is removed first.

    Raises: LibraryReadOnly, LibraryError (it is there already, or the disk is full, for example).
    """
    temporary = folder.with_name(f".{folder.name}{_MARK}")
    try:
        with told(folder):
            shutil.rmtree(temporary, ignore_errors=True)
            make_parents(temporary)
            yield temporary
            for path in temporary.rglob("*"):
                as_private_as_folder(path)
                folder_to_disk(path) if path.is_dir() else _to_disk(path)
            folder_to_disk(temporary)
            temporary.rename(folder)
            folder_to_disk(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """The operating system's errors about a file in our words. Raises: LibraryReadOnly, LibraryError."""
    try:
        yield
    except OSError as error:
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise LibraryReadOnly(f"can't write {path}: {error}", hint="check the folder's permissions") from error
        raise LibraryError(f"can't write {path}: {error}", hint="check free space and the folder") from error


def make_folder(path: Path, *, private: bool = False) -> None:
    """Make a folder, on disk when this returns, unless it is there. Raises: LibraryReadOnly, LibraryError.

    Args:
        private: Only the owner may look into it. One that is there keeps its permissions: they are somebody's choice.
    """
    with told(path):
        if not path.is_dir():
            make_parents(path.parent)
            path.mkdir(mode=0o700 if private or is_private(path.parent) else 0o777, exist_ok=True)
            folder_to_disk(path.parent)


def _sweep(path: Path) -> None:
    """Remove what a writer of `path` that died left, including a temporary of its temporary."""
    for entry in path.parent.iterdir():
        if entry.name.startswith((f".{path.name}{_MARK}", f"..{path.name}{_MARK}")):
            with suppress(OSError):
                entry.unlink()


def _to_disk(path: Path) -> None:
    # Opened for update: Windows flushes no handle that was opened for reading.
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def folder_to_disk(folder: Path) -> None:
    """Make the rename itself durable, where the platform lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
