"""Files in: what somebody searches with, kept for a while in a folder that no process outlives for long."""

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from mmsearch import Library
from mmsearch.core import vault
from mmsearch.core.memory_files import memory_folder
from mmsearch.core.paths import TEMPORARY
from mmsearch.errors import BodyTooLarge, MmsearchError, UnknownName
from mmsearch.serve.options import ServeLimits
from mmsearch.types import Modality, QueryPart, StoredVector, Vectors

NO_ITEM = -1
"""The number of no item."""

PREFIX = f"{TEMPORARY}serve-"
LOCK = "in-use.lock"


@dataclass(slots=True)
class Upload:
    """A medium to search with."""

    id: str
    path: Path
    name: str
    """What its sender calls it."""
    modality: Modality
    size: int
    used: float
    """When, by the clock of `Uploads`."""
    generation: int
    """Of the library, as the vector was made: a model that was switched to since has others."""
    vector: Vectors
    """float32 (dim,), unit length."""


class Uploads:
    """The files of one server. Thread safety: all methods may be called from any thread."""

    def __init__(self, library: Library, limits: ServeLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._library = library
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Upload] = {}
        sweep_left_behind()
        within = memory_folder() if vault.is_encrypted(library.path / vault.HEADER) else None
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=within))
        self._in_use = FileLock(self.folder / LOCK)
        self._in_use.acquire()

    def close(self) -> None:
        """Remove all."""
        self._in_use.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def receive(self, source: BinaryIO, name: str) -> Upload:
        """Keep a file, if it is a medium; a decode worker looks at it. Raises: MediaError, BodyTooLarge."""
        made = secrets.token_urlsafe(16)
        # Some kinds of medium are known by their name alone; of that no more than the suffix is taken over.
        suffix = Path(name).suffix.lower() if Path(name).suffix[1:].isalnum() and len(Path(name).suffix) < 10 else ""
        path = self.folder / f"{made}{suffix}"
        try:
            with open(path, "xb") as target:
                shutil.copyfileobj(source, target, 2**20)
            (part,) = self._library.interpret(path).parts
            generation, vector = self._library.generation, self._library.embed(path)
        except MmsearchError as error:
            path.unlink(missing_ok=True)
            # Where the server keeps it is nobody's affair.
            said = error.message.replace(str(path), name or "the file").replace(path.name, name or "the file")
            error.message, error.hint = said, "another file, or words"
            raise
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        upload = Upload(made, path, name, part.modality, path.stat().st_size, self._clock(), generation, vector)
        with self._lock:
            self._known[made] = upload
            self._make_room()
            if made not in self._known:
                raise BodyTooLarge("there is no room for this file", hint="send a smaller file")
        return upload

    def part(self, id: str, weight: float, *, decoded: bool = True) -> QueryPart:
        """A part of a query: its vector, unless the library changed since or it is to be decoded anew.

        Raises: UnknownName.
        """
        with self._lock:
            self._make_room()
            upload = self._known.get(id)
            if upload is None:
                raise UnknownName("there is no such upload, or it has expired", hint="send the file again")
            upload.used = self._clock()
        if decoded and upload.generation == self._library.generation:
            return QueryPart(upload.modality, StoredVector(NO_ITEM, upload.path, upload.vector), weight)
        return QueryPart(upload.modality, upload.path, weight)

    def expires(self, upload: Upload) -> datetime:
        """When it goes, unless it is used again, UTC."""
        return datetime.now(UTC) + timedelta(seconds=self._limits.upload_s - (self._clock() - upload.used))

    def discard(self, upload: Upload) -> None:
        """Remove one."""
        with self._lock:
            self._known.pop(upload.id, None)
        upload.path.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Without those that have expired, and the oldest while there are too many."""
        by_age = sorted(self._known.values(), key=lambda one: one.used)
        total = sum(one.size for one in by_age)
        for count, one in enumerate(by_age):
            expired = one.used + self._limits.upload_s <= self._clock()
            if not expired and total <= self._limits.upload_bytes and len(by_age) - count <= self._limits.uploads:
                return
            del self._known[one.id]
            one.path.unlink(missing_ok=True)
            total -= one.size


def sweep_left_behind() -> None:
    """Remove the folders of servers that died."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):
            if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != os.getuid()):
                continue
            # One that is just being made has no lock yet.
            if not (folder / LOCK).exists() and time.time() - folder.stat().st_mtime < 60:
                continue
            with FileLock(folder / LOCK, timeout=0):
                pass
            shutil.rmtree(folder, ignore_errors=True)
