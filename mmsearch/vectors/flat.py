"""The reference index: numpy arrays and an exact scan. Small, obvious, and what the others are compared with."""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from mmsearch.core.atomic import replacing
from mmsearch.errors import IndexDamaged
from mmsearch.types import Ids, Neighbours, Selection, Vectors
from mmsearch.vectors import rank
from mmsearch.vectors.check import (
    checked_count,
    checked_dim,
    checked_id_array,
    checked_ids,
    checked_selection,
    checked_vectors,
)


@dataclass(frozen=True, slots=True, eq=False)
class _Content:
    ids: Ids
    """(n,), ascending."""
    rows: Vectors
    """(n, dim), in the same order."""


class FlatIndex:
    """Exact search over an immutable snapshot: `search` takes no lock, a change copies and swaps the snapshot.

    Cost: `add` and `remove` copy everything, O(n dim); `search` scans everything.
    """

    def __init__(self, dim: int) -> None:
        self._dim = checked_dim(dim)
        self._content = _Content(np.empty(0, np.int64), np.empty((0, dim), np.float32))
        self._change = Lock()

    @property
    def dim(self) -> int:
        return self._dim

    def __len__(self) -> int:
        return len(self._content.ids)

    def ids(self) -> Ids:
        """(n,), every id in the index, ascending."""
        return self._content.ids.copy()

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Insert; a known id is replaced. Raises: InvalidInput, and then nothing is changed."""
        vectors = checked_vectors(vectors, self._dim)
        ids = checked_ids(ids, len(vectors))
        with self._change:
            old = self._content
            stay = ~np.isin(old.ids, ids)
            all_ids = np.concatenate([old.ids[stay], ids])
            order = np.argsort(all_ids)
            self._content = _Content(all_ids[order], np.concatenate([old.rows[stay], vectors])[order])

    def remove(self, ids: Ids) -> int:
        """Forget ids; unknown ones are ignored. Returns how many were there."""
        ids = checked_id_array(ids)
        with self._change:
            old = self._content
            stay = ~np.isin(old.ids, ids)
            self._content = _Content(old.ids[stay], old.rows[stay])
            return len(old.ids) - len(self._content.ids)

    def search(self, queries: Vectors, k: int, *, selection: Selection | None = None) -> Neighbours:
        """The k nearest of each query (q, dim), exactly min(k, matches). Raises: InvalidInput."""
        queries, k, content = checked_vectors(queries, self._dim), checked_count(k), self._content
        if selection is not None:
            chosen = np.isin(content.ids, checked_selection(selection))
            content = _Content(content.ids[chosen], content.rows[chosen])
        k = min(k, len(content.ids))
        return rank.stacked([rank.nearest(query, content.ids, content.rows, k) for query in queries], k)

    def save(self, path: Path) -> None:
        """Write atomically: the ids, then the rows, each as an .npy record. Raises: LibraryError."""
        content = self._content
        with replacing(path) as temporary, temporary.open("xb") as file:
            np.save(file, content.ids)
            np.save(file, content.rows)

    @classmethod
    def load(cls, path: Path, dim: int) -> "FlatIndex":
        """Read what `save` wrote; bytes after it are ignored. Raises: IndexDamaged."""
        try:
            with path.open("rb") as file:
                ids, rows = np.load(file, allow_pickle=False), np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise IndexDamaged(f"{path} can't be read: {error}") from error
        if ids.dtype != np.int64 or rows.dtype != np.float32 or rows.shape != (*ids.shape, dim):
            raise IndexDamaged(f"{path} holds {rows.dtype} {rows.shape}, not float32 (n, {dim})")
        index = cls(dim)
        index._content = _Content(ids, rows)
        return index
