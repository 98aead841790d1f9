"""The rows of a small exact index in plain arrays: importing FAISS takes longer than comparing all of them.

In a file they look as FAISS writes an `IndexIDMap2` over an `IndexFlatIP`, byte for byte: either reads the other's.
"""

import struct
from typing import BinaryIO

import numpy as np

from mmsearch.types import Ids, Vectors

SMALL = 4096
"""Vectors up to which numpy compares all of them in about the time that FAISS takes."""

_HEAD = struct.Struct("=4siqqq?i")
"""Name, dimension, count, two numbers that FAISS doesn't read, whether it is trained, and the metric."""

_COUNT = struct.Struct("=Q")
_UNREAD, _INNER_PRODUCT = 1 << 20, 0


class PlainRows:
    """Vectors by their place, in the order in which they were added. Thread safety: as `FaissFlatIndex`."""

    def __init__(self, dim: int) -> None:
        self.ids: Ids = np.empty(0, np.int64)
        """(n,)."""
        self.rows: Vectors = np.empty((0, dim), np.float32)
        """(n, dim)."""

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add vectors (n, dim) whose ids aren't here."""
        self.ids, self.rows = np.concatenate([self.ids, ids]), np.concatenate([self.rows, vectors])

    def remove(self, ids: Ids) -> int:
        """Forget ids; unknown ones are ignored. Returns how many were there."""
        kept = ~np.isin(self.ids, ids)
        gone = len(self.ids) - int(kept.sum())
        if gone:
            self.ids, self.rows = self.ids[kept], self.rows[kept]
        return gone

    def write(self, file: BinaryIO) -> None:
        """Write what `read` and FAISS read."""
        count, dim = self.rows.shape
        for name in (b"IxM2", b"IxFI"):
            file.write(_HEAD.pack(name, dim, count, _UNREAD, _UNREAD, True, _INNER_PRODUCT))
        file.write(_COUNT.pack(count * dim) + self.rows.tobytes() + _COUNT.pack(count) + self.ids.tobytes())

    @classmethod
    def read(cls, file: BinaryIO, dim: int) -> "PlainRows | None":
        """What FAISS or `write` wrote, the file then at its end; None, and the file where it was, if that is large or
        anything else than such an index, of which FAISS can say what it is."""
        start = file.tell()
        found = cls._read(file, dim)
        if found is None:
            file.seek(start)
        return found

    @classmethod
    def _read(cls, file: BinaryIO, dim: int) -> "PlainRows | None":
        heads = file.read(2 * _HEAD.size)
        if len(heads) < 2 * _HEAD.size:
            return None
        outer, inner = _HEAD.unpack(heads[: _HEAD.size]), _HEAD.unpack(heads[_HEAD.size :])
        count = outer[2]
        wanted = [(name, dim, count, True, _INNER_PRODUCT) for name in (b"IxM2", b"IxFI")]
        if [(*one[:3], *one[5:]) for one in (outer, inner)] != wanted or not 0 <= count <= SMALL:
            return None
        size = 4 * count * dim
        content = file.read(size + 8 * count + 2 * _COUNT.size)
        if len(content) != size + 8 * count + 2 * _COUNT.size:
            return None
        rows_end, ids_begin = _COUNT.size + size, size + 2 * _COUNT.size
        counts = _COUNT.unpack(content[: _COUNT.size]) + _COUNT.unpack(content[rows_end:ids_begin])
        if counts != (count * dim, count):
            return None
        made = cls(dim)
        made.rows = np.frombuffer(content, np.float32, count * dim, _COUNT.size).reshape(count, dim)
        made.ids = np.frombuffer(content, np.int64, count, ids_begin).copy()
        return made
