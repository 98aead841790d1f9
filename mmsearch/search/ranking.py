"""What the stages of a search hand on: ranked items, and how far a ranking is looked into."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mmsearch.types import Modality

SPARE_SEGMENTS = 30
"""Segments asked for beyond the items that are wanted, at first: several may lie in one file."""

GROWTH = 2
"""How many times deeper a ranking is looked into where it did not yield enough."""


class RankedItem(NamedTuple):
    """A file or a file group at its place in a ranking: what becomes a `mmsearch.types.Hit`, whose words these are,
    where it is shown. A search looks at many and shows few: hence a tuple, with paths as the catalog has them."""

    item_id: int
    segment_id: int
    """Below 0: words alone brought it, and not by a passage."""
    path: bytes
    modality: Modality
    cosine: float | None = None
    matched: Modality | None = None
    evidence: float | None = None
    """-ln(1 - confidence), at least 0: what a ranking is ordered by (`search.word_evidence` says why not by
    confidence). None while nothing is known of how scores compare."""
    keyword_score: float | None = None
    by: tuple[str, ...] = ("vector",)
    duplicates: tuple[bytes, ...] = ()
    members: tuple[bytes, ...] = ()
    part: bytes | None = None
    content_id: int = -1
    """Below 0: not known."""
    alone: bool = False
    """Whether it is known to be in no file group."""
    single: bool = False
    """Whether its content is known to have this segment and no other."""
    lift: float = 0.0
    """Of what words brought: what they add to the log-odds of what the item means (`search.word_evidence`)."""

    @property
    def confidence(self) -> float | None:
        """In [0, 1]."""
        return None if self.evidence is None else probability(self.evidence)

    @property
    def place(self) -> tuple[bool, float, float, bytes]:
        """What it is sorted by: the surest first, ties by cosine and path, and last what nothing is known of."""
        unknown = self.evidence is None
        cosine = -1.0 if self.cosine is None else self.cosine
        return unknown, -(self.evidence or 0.0), -cosine, self.path


def probability(evidence: float) -> float:
    """In [0, 1]: the p that evidence is -ln(1 - p) of."""
    return -math.expm1(-evidence)


class Depth(NamedTuple):
    """How far a ranking is looked into."""

    items: int
    """Items wanted, at least 1."""
    spare_segments: int = SPARE_SEGMENTS
    """Segments looked at in each list beyond as many as there are items wanted."""

    def deeper(self) -> "Depth":
        """The next depth to try."""
        return Depth(GROWTH * self.items, GROWTH * self.spare_segments)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The first items of a ranking, which stay the first ones however deep it is looked into."""

    items: Sequence[RankedItem] = ()
    """Best first."""
    complete: bool = False
    """Whether nothing follows them."""

    def holds(self, count: int) -> bool:
        """Whether the first `count` items are here, or all there are."""
        return self.complete or len(self.items) >= count

    def first(self, count: int) -> "Ranking":
        """The first `count` items alone."""
        return self if len(self.items) <= count else Ranking(self.items[:count])


class Stage(NamedTuple):
    """A stage of the search pipeline."""

    apply: Callable[[Ranking, Depth], Ranking]
    """Makes its ranking of the one before, where `depth` is looked into."""
    enough: int
    """Items that what follows needs: where it yields fewer, though more are to be had, all begins anew, deeper."""


def deepen(stages: Sequence[Stage], depth: Depth) -> Ranking:
    """The ranking that the stages make, each of the one before it, looked into as deep as each of them needs.

    This is the only place where a search looks deeper. No stage's answer depends on the depth but in its length, so
    neither does the result.

    Args:
        depth: How deep to look at first.
    """
    while True:
        ranking = Ranking()
        for stage in stages:
            ranking = stage.apply(ranking, depth)
            if not ranking.holds(stage.enough):
                break
        else:
            return ranking
        depth = depth.deeper()
