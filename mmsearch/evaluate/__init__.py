"""Measuring a library's search by questions whose right answers are known. It reads; it never tunes or learns."""

from mmsearch.evaluate import datasets, pairs, plot
from mmsearch.evaluate.evaluation import Subject, evaluate
from mmsearch.evaluate.types import DirectionResult, Estimate, Evaluation, JudgedPairs, Pair, QueryOutcome, UnusedPair

__all__ = [
    "DirectionResult",
    "Estimate",
    "Evaluation",
    "JudgedPairs",
    "Pair",
    "QueryOutcome",
    "Subject",
    "UnusedPair",
    "datasets",
    "evaluate",
    "pairs",
    "plot",
]
