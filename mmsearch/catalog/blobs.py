"""Vectors as the catalog stores them: the one place that knows what their bytes mean."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.errors import CatalogDamaged
from mmsearch.types import Vectors

TYPES = {"float32": "<f4", "float16": "<f2"}
"""What a space's vectors may be stored as -> how each number lies in a BLOB, little-endian."""

TOLERANCE = 1e-3
"""How far a row's L2 norm may be from 1."""

MEND = "restore it from a backup, or move it away and ingest again"
"""What to do about a damaged catalog."""


def encode(vectors: Vectors, storage: str) -> list[bytes]:
    """A BLOB for each row of float32 (n, dim)."""
    return [row.tobytes() for row in np.ascontiguousarray(vectors, dtype=TYPES[storage])]


def decode(blobs: Sequence[bytes], dim: int) -> Vectors:
    """The rows again, float32 (n, dim), L2 norm 1. Their length tells what they are stored as, the same for all."""
    return unit(stored(blobs, dim))


def whole(blobs: Sequence[bytes], dim: int) -> Vectors:
    """The rows as `decode` gives them, each of the length that it must have. Raises: CatalogDamaged."""
    try:
        rows = decode(blobs, dim)
    except (ValueError, TypeError) as error:
        raise CatalogDamaged("the catalog holds vectors of another length than the space's", hint=MEND) from error
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    # Written so that NaN, which compares false to everything, counts as wrong.
    if not (np.abs(lengths - 1.0) <= TOLERANCE).all():
        raise CatalogDamaged("the catalog holds a vector that mmsearch never writes", hint=MEND)
    return rows


def stored(blobs: Sequence[bytes], dim: int) -> NDArray[Any]:
    """The rows as they lie there, float32 or float16 (n, dim)."""
    kind = TYPES["float16"] if blobs and len(blobs[0]) == 2 * dim else TYPES["float32"]
    return np.frombuffer(b"".join(blobs), kind).reshape(len(blobs), dim)


def unit(rows: NDArray[Any]) -> Vectors:
    """What stored rows stand for, float32 (n, dim), L2 norm 1."""
    made = rows.astype(np.float32)
    if rows.dtype == np.float16:
        # Rounding moves a row's length by up to 5e-4: enough for a copy to score 1.0005 against itself.
        made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made
