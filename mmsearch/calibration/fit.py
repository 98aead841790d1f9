"""From a raw cosine to how unusual it is, by what unrelated pairs of the same two modalities score.

Pairs of a picture and a caption, of two sounds, of a sound and a passage lie on different scales (the modality gap,
Liang et al., NeurIPS 2022), and some queries score higher than others with whatever there is ("the sound of ..." with
every sound). So a score is taken in three steps:

1. Centred: the query's own mean score with the list is taken off, as test normalisation does for speakers (Auckenthaler
   et al., "Score Normalization for Text-Independent Speaker Verification Systems", 2000), but no more of it than 98 of
   100 neutral queries have: in a library of nothing but cats a cat's mean is high because cats are there. Scores are
   in Fisher's z, the inverse hyperbolic tangent of the cosine (Fisher, 1915), which has no upper end: an equal vector
   is infinitely unusual. Their deviation is left as it is: a few right answers in the list would spoil it.
2. Compared with unrelated pairs: of their centred scores two robust numbers are kept, the median and the 95th
   percentile, and the tail above is taken for exponential (a Laplace distribution through these two). The tail p is
   the chance that an unrelated segment scores as high. Lists are merged by it.
3. Compared with whole searches: the best of many exponential scores follows Gumbel's distribution (Gumbel, 1935;
   Fisher and Tippett, 1928). It is drawn through two quantiles of the best that neutral queries find in the lists
   searched, which allows for segments that say the same; the upper one is the 90th percentile, since now and then a
   neutral query names something that is there. Its distribution function is the confidence: how sure one can be that
   no unrelated segment would have come so high. It means the same in every list.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Vectors

MIDDLE, HIGH = 0.5, 0.95
"""The two quantiles of unrelated pairs that the tail is drawn through."""

RARE = 0.01
"""Share of neutral queries whose mean score is out of the ordinary, at either end."""

BODY = (0.25, 0.9)
"""The two quantiles of neutral queries' best finds that Gumbel's distribution is drawn through."""

NARROWEST = 1e-3
"""Least distance of the two quantiles of pairs: a list of equal vectors has no spread."""

SHARPEST = 0.1
"""Least scale of Gumbel's distribution; 1 is that of independent segments."""

_LEAST = 1e-300
"""A tail that has become zero still has a logarithm so."""

_END = 1 - 1e-7
"""A cosine of 1 has a large z so, instead of an infinite one."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What was measured for one query modality and one list."""

    centre: NDArray[np.float32]
    """(dim,) mean of the list's vectors: its product with a query is the query's mean score."""
    least: float
    """What a query's own mean counts for at least, a cosine."""
    most: float
    middle: float
    """Median of unrelated pairs' centred scores, in Fisher's z."""
    spread: float
    """95th percentile minus median, in Fisher's z, > 0."""
    segments: int
    """Length of the list when it was measured."""
    tops: NDArray[np.float32]
    """(queries,) -ln of the tail of each neutral query's best find, in the order of the queries."""

    def usual(self, query: Vectors) -> float:
        """What a query, float32 (dim,), usually scores in this list, in Fisher's z."""
        return _z(min(max(float(query @ self.centre), self.least), self.most))

    def tail(self, score: float, usual: float) -> float:
        """p in (0, 1]: the chance that an unrelated segment scores at least this, for a query that usually gets
        `usual`."""
        # p = 0.5 at the median and 1 - HIGH at the 95th percentile.
        distance = (_z(score) - usual - self.middle) / self.spread
        above = 0.5 * math.exp(-abs(distance) * math.log(0.5 / (1 - HIGH)))
        return max(above, _LEAST) if distance >= 0 else 1.0 - above

    def as_dict(self) -> dict[str, Any]:
        return {
            "centre": [round(value, 5) for value in self.centre.tolist()],
            "least": self.least, "most": self.most, "middle": self.middle, "spread": self.spread,
            "segments": self.segments, "tops": [round(value, 3) for value in self.tops.tolist()],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Fitted":
        arrays = {name: np.asarray(stored[name], np.float32) for name in ("centre", "tops")}
        return cls(**{**stored, **arrays})


def fit(
    queries: Vectors, sample: Vectors, related: NDArray[np.bool_], best: NDArray[np.float32], segments: int
) -> Fitted | None:
    """What neutral queries find in a list; None if every one of them is related to all of it.

    Args:
        queries: float32 (q, dim), unit rows.
        sample: float32 (s, dim), unit rows of the list, s > 0.
        related: (q, s), pairs that are left out.
        best: (q,) each query's best unrelated cosine in the whole list.
        segments: Length of the list.
    """
    some = np.flatnonzero(~related.all(axis=1))
    if not len(some):
        return None
    cosines = np.where(related[some], np.nan, queries[some] @ sample.T)  # (some, s)
    means = np.nanmean(cosines, axis=1)
    least, most = np.quantile(means, (RARE, 1 - RARE)).tolist()
    usual = _fisher(np.clip(means, least, most))
    middle, high = np.nanquantile(_fisher(cosines) - usual[:, np.newaxis], (MIDDLE, HIGH)).tolist()
    made = Fitted(
        sample.mean(axis=0), least, most, middle, max(high - middle, NARROWEST), segments, np.zeros(0, np.float32)
    )
    # A query without any unrelated segment finds nothing: p = 1.
    tops = np.zeros(len(queries), np.float32)
    tops[some] = [-math.log(made.tail(top, own)) for top, own in zip(best[some].tolist(), usual.tolist(), strict=True)]
    return Fitted(made.centre, least, most, middle, made.spread, segments, tops)


def _fisher(cosine: Any) -> NDArray[np.float64]:
    return np.arctanh(np.clip(np.asarray(cosine, np.float64), -_END, _END))


def _z(cosine: float) -> float:
    return math.atanh(min(max(cosine, -_END), _END))


@dataclass(frozen=True, slots=True)
class Accidents:
    """What the best of a search is where nothing is related: -ln of its tail, in Gumbel's distribution."""

    location: float
    scale: float
    segments: int
    """Segments of the lists when they were measured, > 0."""

    def confidence(self, tail: float, searched: int) -> float:
        """In [0, 1]: how sure it is that no unrelated segment among `searched` would have so small a tail."""
        unusual = (-math.log(max(tail, _LEAST)) - self.location) / self.scale
        return math.exp(-searched / self.segments * math.exp(-unusual))


def accidents(fitted: Sequence[Fitted]) -> Accidents:
    """Of a search through these lists, at least one."""
    tops = np.max([one.tops for one in fitted], axis=0)  # (queries,)
    low, high = np.quantile(tops, BODY).tolist()
    below, above = (-math.log(-math.log(share)) for share in BODY)
    scale = max((high - low) / (above - below), SHARPEST)
    return Accidents(low - below * scale, scale, max(sum(one.segments for one in fitted), 1))
