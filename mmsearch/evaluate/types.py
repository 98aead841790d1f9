"""What an evaluation is made of and what it finds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from mmsearch.types import Modality

RankedBy: TypeAlias = Literal["confidence", "cosine"]
"""What an evaluation ranks items by: as a search shows them, or by their vectors alone."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its right answers."""

    query: str | Path
    """Words, or a file."""
    relevant: tuple[Path, ...]
    """Absolute."""
    line: int
    """1-based, of the file it was read from."""
    source: Path


@dataclass(frozen=True, slots=True)
class UnusedPair:
    """Something in the pairs that could not be used."""

    file: Path
    line: int
    why: str


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """Pairs as a file has them, and what in it is no use."""

    source: Path
    pairs: Sequence[Pair]
    unused: Sequence[UnusedPair] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % confidence interval over the queries."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """One query and the ranks of its relevant items, ascending and 1-based."""

    query: str
    line: int
    ranks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DirectionResult:
    """How well items of one modality are found by queries of one modality."""

    query: Modality
    item: Modality
    items: int
    """Candidates: every item of this modality in the library. A query among them is none for itself."""
    metrics: dict[str, Estimate] = field(hash=False)
    """success@k and recall@k for each k, "median rank" (of the first relevant item), MRR, mAP, nDCG@k of the last k."""
    index_recall: float
    """Of the 10 nearest segments by an exhaustive search, the share that the library's index finds; same queries."""
    outcomes: tuple[QueryOutcome, ...]

    @property
    def name(self) -> str:
        return f"{self.query}-{self.item}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `Library.evaluate` found."""

    source: Path
    library: Path
    space: str
    fingerprint: str
    directions: tuple[DirectionResult, ...]
    unused: tuple[UnusedPair, ...]
    k: tuple[int, ...]
    seed: int
    resamples: int
    warnings: tuple[str, ...] = ()
    """What makes the figures better than searches are."""
