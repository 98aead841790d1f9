"""Figures of what was said of first hits: errors at a threshold, levels, ROC curves, calibration, bootstrap."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.confidence_questions import Question, column

Numbers = NDArray[np.float64]

SIZES = (90, 300, 600)
"""Where one size of libraries ends and the next begins."""
BINS = 15
DRAWS = 200
ABSENT = (0.1, 0.9)
"""Shares of questions about what is absent, beside a half."""


def area(right: Numbers, wrong: Numbers) -> float:
    """Area under the ROC curve."""
    order = np.concatenate([right, wrong])
    ranks = np.searchsorted(np.sort(order), right, "left") + np.searchsorted(np.sort(order), right, "right") + 1
    return float((ranks.sum() / 2 - len(right) * (len(right) + 1) / 2) / len(right) / len(wrong))


class Told(NamedTuple):
    """What was said of the first hits of questions, (questions,) each."""

    sure: Numbers
    present: NDArray[np.bool_]
    right: NDArray[np.bool_]
    size: NDArray[np.int64]
    """The library's, as the place among `SIZES`."""

    @classmethod
    def of(cls, sure: Numbers, questions: Sequence[Question]) -> "Told":
        size = np.digitize(column(questions, "size"), SIZES)
        return cls(sure, column(questions, "present") > 0, column(questions, "right") > 0, size)

    def some(self, chosen: NDArray[Any]) -> "Told":
        return Told(*(array[chosen] for array in self))


def area_by_size(told: Told) -> float:
    """Area under the ROC curve among libraries of about one size, on average: a size tells no hits apart."""
    areas, counts = list[float](), list[int]()
    for one in np.unique(told.size):
        chosen = told.size == one
        yes, no = told.sure[told.right & chosen], told.sure[~told.right & chosen]
        if len(yes) and len(no):
            areas.append(area(yes, no))
            counts.append(len(yes) + len(no))
    return float(np.average(areas, weights=counts))


def error(sure: Numbers, right: Numbers, weights: Numbers) -> float:
    """Expected calibration error, bins of equal mass."""
    order = np.argsort(sure, kind="stable")
    mass = np.cumsum(weights[order]) / weights.sum()
    bins = np.minimum((mass * BINS - 1e-9).astype(int), BINS - 1)
    gaps = np.bincount(bins, (weights * (sure - right))[order], BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def prevalences(told: Told) -> dict[str, float]:
    """Calibration where 10 and 90 % of the questions are about what is absent, as far as the score allows.

    refit 10 %, refit 90 %: the error of a map fitted for that share alone, by bins, on half of the questions by chance,
        reported on the rest.
    one map: half the sum of both errors is at least this, whatever one map makes of the score: in a bin where the
        shares of right hits are a and b, with masses u and v, it is u |p - a| + v |p - b|, least at a or b.
    """
    sure, present, right, _ = told
    found: dict[str, float] = {}
    bins = np.minimum(np.argsort(np.argsort(sure, kind="stable")) * BINS // len(sure), BINS - 1)
    shares, masses = [], []
    for absent in ABSENT:
        weights = np.where(present, (1 - absent) / present.sum(), absent / (~present).sum())
        mass = np.bincount(bins, weights, BINS)
        share = np.bincount(bins, weights * right, BINS) / np.maximum(mass, 1e-12)
        taught = np.random.default_rng(0).random(len(sure)) < 0.5
        other = ~taught
        of_taught = np.bincount(bins[taught], (weights * right)[taught], BINS) / np.maximum(
            np.bincount(bins[taught], weights[taught], BINS), 1e-12
        )
        found[f"refit {absent:.0%}"] = error(of_taught[bins[other]], right[other].astype(float), weights[other])
        shares.append(share)
        masses.append(mass)
    found["one map"] = float((np.minimum(*masses) * np.abs(shares[0] - shares[1])).sum() / 2)
    return found


def figures(told: Told, levels: tuple[float, float]) -> dict[str, float]:
    sure, present, right, _ = told
    likely, certain = levels
    threshold = np.quantile(sure[~present], 0.95)
    found: dict[str, float] = {
        "questions": len(sure),
        "right": float(right[present].mean()),
        "false rejects": float((sure[right] <= threshold).mean()),
        "of all present": float((sure[present] <= threshold).mean()),
        "AUROC": area_by_size(told),
        "right sure": float((sure[right] >= certain).mean()),
        "right unlikely": float((sure[right] < likely).mean()),
        "absent sure": float((sure[~present] >= certain).mean()),
        "absent likely+": float((sure[~present] >= likely).mean()),
    }
    for absent in (0.1, 0.5, 0.9):
        weights = np.where(present, (1 - absent) / present.sum(), absent / (~present).sum())
        found[f"ECE {absent:.0%}"] = error(sure, right.astype(float), weights)
    return found


def rejects(told: Told, accepts: float) -> float:
    """Share of right first hits that fall where this share of questions without an answer is accepted."""
    return float((told.sure[told.right] <= np.quantile(told.sure[~told.present], 1 - accepts)).mean())


def gain(told: Told, before: Told, questions: Sequence[Question]) -> tuple[float, float]:
    """95 % of bootstrap draws of names: by how much the area under the curve is larger than it was."""
    drawn = [area_by_size(told.some(one)) - area_by_size(before.some(one)) for one in draws(questions)]
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    return low, high


def draws(questions: Sequence[Question]) -> Iterator[NDArray[np.int64]]:
    """Bootstrap draws of names: questions of one depend on each other."""
    draw = np.random.default_rng(0)
    by_name: dict[str, list[int]] = {}
    for number, one in enumerate(questions):
        by_name.setdefault(one.name, []).append(number)
    groups = [np.array(some) for some in by_name.values()]
    for _ in range(DRAWS):
        yield np.concatenate([groups[number] for number in draw.integers(0, len(groups), len(groups))])


def interval(told: Told, questions: Sequence[Question], levels: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """95 % of bootstrap draws of names."""
    drawn: dict[str, list[float]] = {}
    for chosen in draws(questions):
        for key, value in figures(told.some(chosen), levels).items():
            drawn.setdefault(key, []).append(value)
    ends = {key: np.quantile(values, (0.025, 0.975)).tolist() for key, values in drawn.items()}
    return {key: (low, high) for key, (low, high) in ends.items()}
