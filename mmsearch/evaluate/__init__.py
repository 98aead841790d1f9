"""Measuring a library's search by questions whose right answers are known. It reads; it never tunes or learns."""

from mmsearch.evaluate import pairs, plot
from mmsearch.evaluate.evaluation import evaluate
from mmsearch.evaluate.types import (
    DirectionResult,
    Estimate,
    Evaluation,
    JudgedPairs,
    Pair,
    QueryOutcome,
    RankedBy,
    UnusedPair,
)

__all__ = [
    "DirectionResult",
    "Estimate",
    "Evaluation",
    "JudgedPairs",
    "Pair",
    "QueryOutcome",
    "RankedBy",
    "UnusedPair",
    "evaluate",
    "pairs",
    "plot",
]
