"""Neutral vectors that this machine has made before: encoding a few hundred texts takes a large model seconds, for a
list of ten photos too, and again whenever a list has grown.

A file for each encoder in the user's cache folder, only theirs to read, deletable at any time. One that is damaged,
somebody else's, or can't be written is none, and nothing else goes wrong.
"""

import hashlib
import logging
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from mmsearch.core.atomic import replacing
from mmsearch.core.paths import cache_folder
from mmsearch.errors import LibraryError
from mmsearch.types import Vectors

FOLDER = "neutral"
KEPT = 16
"""Encoders of which vectors are kept, those used last."""

_DIGEST = 32
_NORM_TOLERANCE = 1e-3
_MINE = 0o600
_OTHERS_MAY_WRITE = 0o022

_log = logging.getLogger(__name__)


def cached_vectors(key: str, rows: int, dim: int) -> Vectors | None:
    """What was kept under a key, float32 (rows, dim), unit rows; None if there is nothing that can be trusted."""
    path = _path(key)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size != _DIGEST + 4 * rows * dim or not _own(status):
                return None
            digest, content = file.read(_DIGEST), file.read()
        os.utime(path)
    except OSError:
        return None
    if _digest(key, content) != digest:
        return None
    vectors = np.frombuffer(content, "<f4").reshape(rows, dim).astype(np.float32)
    return vectors if _unit(vectors) else None


def keep_vectors(key: str, vectors: Vectors) -> None:
    """Keep float32 (n, dim), and let go of what was used least lately."""
    content = np.ascontiguousarray(vectors, "<f4").tobytes()
    path = _path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(path) as temporary:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), _MINE)
            with os.fdopen(handle, "wb") as file:
                file.write(_digest(key, content) + content)
    except (LibraryError, OSError) as error:
        _log.debug("neutral vectors were not kept: %s", error)
        return
    _make_room(path.parent)


def _path(key: str) -> Path:
    return cache_folder() / FOLDER / f"{key}.vectors"


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()


def _own(status: os.stat_result) -> bool:
    """Whether nobody else may have written it. Windows keeps others out of the folder."""
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid == os.getuid() and not status.st_mode & _OTHERS_MAY_WRITE


def _unit(vectors: Vectors) -> bool:
    return bool(np.all(np.abs(np.linalg.norm(vectors, axis=1) - 1) <= _NORM_TOLERANCE))


def _make_room(folder: Path) -> None:
    with suppress(OSError):
        found = [path for path in folder.glob("*.vectors") if path.is_file()]
        for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)[KEPT:]:
            path.unlink(missing_ok=True)
