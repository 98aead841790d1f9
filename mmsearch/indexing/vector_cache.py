"""Vectors that one answer has read, kept for its later stages."""

from collections.abc import Callable

import numpy as np

from mmsearch.types import Ids, Vectors

KEPT = 1024
"""Vectors that are kept of one reading, at most: more are no page's, but a whole selection's."""


class VectorCache:
    """Vectors that one answer has read from the catalog: what scores were made of, folding and a deeper look need too.

    Thread safety: one thread.
    """

    def __init__(self) -> None:
        self._rows: dict[int, Vectors] = {}

    def fetch(self, ids: Ids, read: Callable[[Ids], Vectors]) -> Vectors:
        """The vectors of segments, float32 (n, dim); ids (n,) ascending and unique. `read` gives those not at hand."""
        if len(ids) > KEPT:
            return read(ids)
        wanted = ids.tolist()
        lacking = np.array([one for one in wanted if one not in self._rows], np.int64)
        if len(lacking):
            rows = read(lacking)
            self._rows.update(zip(lacking.tolist(), rows, strict=True))
            if len(lacking) == len(ids):
                return rows
        return np.stack([self._rows[one] for one in wanted]) if wanted else read(ids)

    def get(self, segment_id: int) -> Vectors | None:
        """float32 (dim,), if it is at hand."""
        return self._rows.get(segment_id)
