"""Measuring a library's search by questions whose right answers are known. It reads; it never tunes or learns."""

from mmsearch.evaluate import datasets, pairs, plot
from mmsearch.evaluate.run import Subject, evaluate
from mmsearch.evaluate.types import DirectionResult, Estimate, Evaluation, Judged, Outcome, Pair, Unused

__all__ = [
    "DirectionResult",
    "Estimate",
    "Evaluation",
    "Judged",
    "Outcome",
    "Pair",
    "Subject",
    "Unused",
    "datasets",
    "evaluate",
    "pairs",
    "plot",
]
