"""Where a library's catalog is: in a file of the library's folder, or on a server."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import Engine

from mmsearch.catalog import encrypting
from mmsearch.catalog.connections import FILE_NAME
from mmsearch.catalog.database import connect
from mmsearch.core.atomic import told
from mmsearch.core.owner_only import begin_private
from mmsearch.core.paths import data_folder
from mmsearch.core.server_address import URL_NAME, address_in
from mmsearch.errors import InvalidInput, LibraryLocked, LibraryNotFound


class Store(Protocol):
    """The place of one library. Thread safety: any number of threads."""

    name: str
    """What people call it: a folder, or an address without secrets."""
    folder: Path
    """What is the library's on this machine beside its catalog."""
    cache: Path
    """What may be removed at any time."""
    longest_path: int
    """Bytes of a path that the catalog takes."""
    has_queue: bool
    """Whether many machines share the catalog, and take in what one of them has queued."""

    def recover(self) -> None:
        """Bring to its end what somebody was killed at."""

    def exists(self) -> bool:
        """Whether there is a library."""

    def size(self) -> int:
        """Bytes that the catalog takes; 0 if there is none."""

    def identity(self) -> str:
        """Tells the catalog from one that was put in its place. Raises: LibraryNotFound."""

    def engine(self) -> Engine:
        """For connections to it; nothing is opened before the first use."""

    def begin(self) -> None:
        """Before the first connection of an open catalog."""

    def locked(self, name: str, doing: str, wait: float) -> AbstractContextManager[None]:
        """Hold a lock of the library, of this name, which ends with its process. Raises: LibraryLocked after so many
        seconds."""

    def check_file(self, refusal: str, instead: str) -> None:
        """What needs the catalog as a file. Raises: InvalidInput where it is none, with what to do instead."""

    def check_server(self, what: str) -> None:
        """What needs a catalog that many machines share. Raises: InvalidInput."""


class FileStore:
    """A library of files: everything is in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = self.cache = folder
        self.name = os.fspath(folder)
        self.longest_path = sys.maxsize
        self.has_queue = False
        self._path = folder / FILE_NAME

    def recover(self) -> None:
        """As `Store.recover`."""
        if encrypting.unfinished(self.folder):
            encrypting.finish(self.folder)

    def exists(self) -> bool:
        """As `Store.exists`."""
        return self._path.exists()

    def size(self) -> int:
        """As `Store.size`: with what lies beside it for it."""
        return sum(path.stat().st_size for path in self.folder.glob(f"{FILE_NAME}*") if path.is_file())

    def identity(self) -> str:
        """As `Store.identity`."""
        try:
            status = os.stat(self._path)
        except OSError as error:
            raise LibraryNotFound(f"there is no library at {self.name}", hint="was it moved or deleted?") from error
        return f"{status.st_dev}-{status.st_ino}"

    def engine(self) -> Engine:
        """As `Store.engine`."""
        return connect(self._path)

    def begin(self) -> None:
        """As `Store.begin`."""
        begin_private(self._path)

    @contextmanager
    def locked(self, name: str, doing: str, wait: float) -> Iterator[None]:
        """As `Store.locked`."""
        lock = FileLock(self.folder / name, timeout=wait)
        with told(self.folder / name):
            try:
                lock.acquire()
            except Timeout as error:
                raise locked_error(doing, self.name) from error
        try:
            yield
        finally:
            lock.release()

    def check_file(self, refusal: str, instead: str) -> None:
        """As `Store.check_file`."""

    def check_server(self, what: str) -> None:
        """As `Store.check_server`."""
        raise InvalidInput(
            f"{what} needs a library on a server", hint="--library postgresql://USER@HOST/DATABASE; see: help postgres"
        )


def locked_error(doing: str, name: str) -> LibraryLocked:
    """What is said where another process has a lock."""
    return LibraryLocked(
        f"another process is {doing} the library at {name}",
        hint="wait until it is done, then repeat; searching works meanwhile",
    )


def store_of(folder: Path) -> Store:
    """The place of the library that has a folder."""
    address = address_in(folder, data_folder()) if (folder / URL_NAME).is_file() else None
    if address is None:
        return FileStore(folder)
    from mmsearch.catalog.postgres.store import PostgresStore

    return PostgresStore(folder, address)
