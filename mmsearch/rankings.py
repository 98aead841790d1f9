"""What a ranking is made of, before a page of it is shown."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from mmsearch.types import Ids, Modality, Vectors

KEPT = 1024
"""Vectors that are kept of one reading, at most: more are no page's, but a whole selection's."""


class Ranked(NamedTuple):
    """A file or a bundle at its place in a ranking: what becomes a `mmsearch.types.Hit`, whose words these are, where
    it is shown. A search looks at many and shows few: hence a tuple, with paths as the catalog has them."""

    item_id: int
    segment_id: int
    """Below 0: words alone brought it, and not by a passage."""
    path: bytes
    modality: Modality
    score: float
    matched: Modality | None = None
    confidence: float | None = None
    weak: bool = False
    by: tuple[str, ...] = ("vector",)
    folded: tuple[bytes, ...] = ()
    members: tuple[bytes, ...] = ()
    part: bytes | None = None


Ranking: TypeAlias = Callable[[int], list[Ranked]]
"""The first n, n >= 1; fewer only where the ranking ends. A longer answer begins with the shorter one."""


class AtHand:
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
