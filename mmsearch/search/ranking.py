"""What a ranking is made of, before a page of it is shown."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from mmsearch.types import Modality


class RankedItem(NamedTuple):
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
    duplicates: tuple[bytes, ...] = ()
    members: tuple[bytes, ...] = ()
    part: bytes | None = None


Ranking: TypeAlias = Callable[[int], list[RankedItem]]
"""The first n, n >= 1; fewer only where the ranking ends. A longer answer begins with the shorter one."""
