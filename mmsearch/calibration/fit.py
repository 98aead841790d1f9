"""From a raw cosine to how unusual it is, by what unrelated pairs of the same two modalities score.

Pairs of a picture and a caption, of two sounds, of a sound and a passage lie on different scales (the modality gap,
Liang et al., NeurIPS 2022). For each pair of a query modality and a list we keep two robust numbers of the scores of
unrelated pairs, the median and the 95th percentile, and take the tail above for exponential (a Laplace distribution
through these two) in Fisher's z, the inverse hyperbolic tangent of the cosine (Fisher, 1915), which has no upper
end: an equal vector is infinitely unusual. p is the chance that an unrelated segment scores as high; a search over n
segments that are all unrelated exceeds p somewhere with probability 1 - exp(-n p) (Poisson), so exp(-n p) is how
sure one can be that a score is no accident. It means the same in every list.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIDDLE, HIGH = 0.5, 0.95
"""The two quantiles the tail is drawn through."""

NARROWEST = 1e-3
"""Least distance of the two: a list of equal vectors has no spread."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was measured for one query modality and one list."""

    middle: float
    """Median of unrelated pairs, in Fisher's z."""
    spread: float
    """95th percentile minus median, in Fisher's z, > 0."""
    segments: int
    """Length of the list when it was measured."""
    tops: tuple[float, ...]
    """Best score of each neutral query in the list, in the order of the queries."""

    def tail(self, score: float) -> float:
        """p in (0, 1]: the chance that an unrelated segment scores at least this."""
        # p = 0.5 at the median and 1 - HIGH at the 95th percentile.
        distance = (float(_fisher(score)) - self.middle) / self.spread
        above = 0.5 * math.exp(-abs(distance) * math.log(0.5 / (1 - HIGH)))
        return above if distance >= 0 else 1.0 - above

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Fitted":
        return cls(stored["middle"], stored["spread"], stored["segments"], tuple(stored["tops"]))


def fit(pairs: NDArray[np.float32], tops: Sequence[float], segments: int) -> Fitted:
    """From scores of unrelated pairs (any shape, at least one; NaN where a pair is related) and each query's best."""
    middle, high = np.nanquantile(_fisher(pairs), (MIDDLE, HIGH))
    return Fitted(float(middle), max(float(high - middle), NARROWEST), segments, tuple(round(t, 4) for t in tops))


def _fisher(cosine: Any) -> NDArray[np.float64]:
    """Fisher's z; a cosine of 1 becomes a large number instead of infinity."""
    return np.arctanh(np.clip(np.asarray(cosine, np.float64), -1 + 1e-7, 1 - 1e-7))


def confidence(score: float, fitted: Fitted, searched: int) -> float:
    """In [0, 1]: how sure it is that no unrelated segment among `searched` would score this high."""
    return math.exp(-searched * fitted.tail(score))


def threshold(fitted: Sequence[Fitted], searched: int, false_accepts: float) -> float:
    """The confidence that a neutral query reaches in these lists with probability `false_accepts`, in (0, 1)."""
    best = [max(confidence(top, f, searched) for f, top in zip(fitted, tops, strict=True)) for tops in _tops(fitted)]
    return float(np.quantile(best, 1 - false_accepts)) if best else 1.0


def _tops(fitted: Sequence[Fitted]) -> list[tuple[float, ...]]:
    """Per neutral query its best score in every list."""
    return list(zip(*(f.tops for f in fitted), strict=False))
