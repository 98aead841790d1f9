"""Previews that were made, below the library: by the hash of their content, written whole, bounded, deletable at any
time. A cache that can't be written is none, and nothing else goes wrong."""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from mmsearch.core import sealed, vault
from mmsearch.errors import LibraryError

_log = logging.getLogger(__name__)

PREVIEW_FOLDER = "previews"

LEFT_S = 60.0
"""Seconds after which a file that was not finished is one that somebody who died left."""

ROOM = 0.9
"""Share of the limit that is left after what was used least lately has gone."""


class _Kept(NamedTuple):
    used: float
    size: int
    path: Path


class PreviewCache:
    """One library's. Thread safety: all methods may be called from any thread; other processes may write, too."""

    def __init__(self, library: Path, limit: int) -> None:
        self._folder = library / PREVIEW_FOLDER
        self._limit = limit
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._size: int | None = None
        """Bytes of all, about; None before the first one is written."""

    def get(self, sha256: str, name: str, make: Callable[[], bytes]) -> bytes:
        """The preview of this name of a content, made and kept if it is not there; by one thread at a time."""
        path = self._path(sha256, name)
        known = self._read(path)
        if known is not None:
            return known
        with self._made_by_one(path.name):
            known = self._read(path)
            if known is None:
                known = make()
                self._keep(path, known)
            return known

    def _path(self, sha256: str, name: str) -> Path:
        key = vault.key_of_library(self._folder)
        if key is not None:
            # A hash would tell whether a known file is here.
            sha256 = key.hidden(sha256)
        return self._folder / sha256[:2] / f"{sha256}-{name}"

    def sweep(self, needed: Callable[[Sequence[str]], Set[str]]) -> None:
        """Remove the previews of contents that are no more: `needed` gives, of some hashes, those that are."""
        if vault.is_encrypted(self._folder):
            shutil.rmtree(self._folder, ignore_errors=True)
        for folder in sorted(self._folder.glob("??")):
            with suppress(OSError):
                there = [path for path in folder.iterdir() if path.is_file()]
                known = needed(sorted({path.name.partition("-")[0] for path in there}))
                for path in there:
                    if path.name.partition("-")[0] not in known:
                        path.unlink(missing_ok=True)

    def _read(self, path: Path) -> bytes | None:
        try:
            content = sealed.read_bytes(path)
            # What is looked at stays.
            os.utime(path)
        except (OSError, LibraryError):
            return None
        return content or None

    def _keep(self, path: Path, content: bytes) -> None:
        if len(content) > self._limit * ROOM:
            return
        try:
            sealed.write_bytes(path, content)
        except (LibraryError, OSError) as error:
            _log.debug("a preview was not kept: %s", error)
            return
        with self._lock:
            self._size = self._size + len(content) if self._size is not None else sum(one.size for one in self._all())
            if self._size > self._limit:
                self._make_room()

    def _make_room(self) -> None:
        kept = sorted(self._all())
        size = sum(one.size for one in kept)
        for one in kept:
            if size <= self._limit * ROOM:
                break
            with suppress(OSError):
                one.path.unlink()
                size -= one.size
        self._size = size

    def _all(self) -> Iterator[_Kept]:
        for folder in self._folder.glob("*"):
            for path in folder.iterdir() if folder.is_dir() else ():
                with suppress(OSError):
                    status = path.stat()
                    if path.name.startswith(".") and status.st_mtime < time.time() - LEFT_S:
                        path.unlink()
                        continue
                    yield _Kept(status.st_mtime, status.st_size, path)

    @contextmanager
    def _made_by_one(self, name: str) -> Iterator[None]:
        with self._lock:
            lock = self._making.setdefault(name, threading.Lock())
        with lock:
            try:
                yield
            finally:
                with self._lock:
                    self._making.pop(name, None)
