"""From a raw cosine to how unusual it is, by what unrelated pairs of the same two modalities score.

Pairs of a picture and a caption, of two sounds, of a sound and a passage lie on different scales (the modality gap,
Liang et al., NeurIPS 2022). So of each pair of a query modality and a list we keep two robust numbers of the scores of
unrelated pairs, the median and the 95th percentile, and take the tail above for exponential (a Laplace distribution
through these two), in Fisher's z, the inverse hyperbolic tangent of the cosine (Fisher, 1915), which has no upper end:
an equal vector is infinitely unusual. The tail p is the chance that an unrelated segment scores as high; lists are
merged by it.

Some queries score higher than others with whatever there is ("the sound of ..." with every sound). For the confidence,
the query's own level is taken off its best -ln p, as test normalisation does for speakers (Auckenthaler et al., "Score
Normalization for Text-Independent Speaker Verification Systems", 2000): how unusual its mean score with the list is,
the most unusual of all lists searched, so that the order of the lists stays. No more counts than the means of 98 of 100
neutral queries: in a library of nothing but cats a cat's mean is high because cats are there. The deviation is left as
it is: a few right answers would spoil it.

What is left is compared with what whole searches of neutral queries leave. The best of many exponential scores follows
Gumbel's distribution (Fisher and Tippett, 1928; Gumbel, 1935), drawn through two quantiles of those searches, which
allows for segments that say the same; the upper one is the 90th percentile, since now and then a neutral query names
something that is there. Its distribution function is the confidence: how sure one can be that no unrelated segment
would have come so high. It means the same in every list.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmsearch.errors import CatalogDamaged
from mmsearch.types import Modality, Vectors

Key = TypeVar("Key")

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


_STEEP = math.log((1 - MIDDLE) / (1 - HIGH))
"""How much -ln of the tail grows from the one quantile to the other."""


@dataclass(frozen=True, slots=True, eq=False)
class ListCalibration:
    """What was measured for one query modality and one list."""

    middle: float
    """Median of unrelated pairs, in Fisher's z."""
    spread: float
    """95th percentile minus median, in Fisher's z, > 0."""
    segments: int
    """Length of the list when it was measured."""
    centre: NDArray[np.float32]
    """(dim,) mean of the list's vectors: its product with a query is the query's mean score."""
    least: float
    """What a query's mean counts for at least, a cosine."""
    most: float
    levels: NDArray[np.float32]
    """(queries,) each neutral query's own level, in the order of the queries."""
    tops: NDArray[np.float32]
    """(queries,) how unusual each one's best find is."""

    def unusual(self, score: float) -> float:
        """-ln of the tail above the median; on below it in a straight line."""
        return math.log(2) + _STEEP * (_z(score) - self.middle) / self.spread

    def level(self, query: Vectors) -> float:
        """How unusual the mean score of a query, float32 (dim,), is: its own level in this list."""
        return self.unusual(min(max(float(query @ self.centre), self.least), self.most))

    def tail(self, score: float) -> float:
        """p in (0, 1]: the chance that an unrelated segment scores at least this."""
        unusual = self.unusual(score)
        if unusual >= math.log(2):
            return max(math.exp(-unusual), _LEAST)
        return 1.0 - 0.25 * math.exp(unusual)  # the mirror image: 0.5 at the median

    def as_dict(self) -> dict[str, Any]:
        return {
            "middle": self.middle, "spread": self.spread, "segments": self.segments, "least": self.least,
            "most": self.most, "centre": [round(value, 5) for value in self.centre.tolist()],
            "levels": [round(value, 3) for value in self.levels.tolist()],
            "tops": [round(value, 3) for value in self.tops.tolist()],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "ListCalibration":
        """Raises: ValueError, TypeError, LookupError for what `as_dict` didn't make."""
        arrays = {name: np.asarray(stored[name], np.float32) for name in ("centre", "levels", "tops")}
        middle, spread, least, most = (float(stored[name]) for name in ("middle", "spread", "least", "most"))
        segments = int(stored["segments"])
        if not all(array.ndim == 1 and len(array) and np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("a background's series are no numbers")
        if not all(map(math.isfinite, (middle, spread, least, most))) or spread <= 0 or segments < 0:
            raise ValueError("a background's numbers are out of range")
        return cls(middle, spread, segments, least=least, most=most, **arrays)


def read_calibration(
    stored: Mapping[tuple[Modality, Key], Mapping[str, Any]], dim: int
) -> dict[tuple[Modality, Key], ListCalibration]:
    """Backgrounds of a space as a catalog keeps them. Raises: CatalogDamaged if they can't have been measured."""
    try:
        found = {key: ListCalibration.from_dict(told) for key, told in stored.items()}
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise _senseless() from error
    # Neutral queries of one modality are the same for every list.
    queries = {modality: len(one.tops) for (modality, _), one in found.items()}
    for (modality, _), one in found.items():
        if len(one.centre) != dim or {len(one.tops), len(one.levels)} != {queries[modality]}:
            raise _senseless()
    return found


def _senseless() -> CatalogDamaged:
    return CatalogDamaged(
        "what the catalog says of its scores makes no sense",
        hint="have it measured anew: mmsearch ingest FOLDER, any that was ingested before",
    )


def fit_null(
    queries: Vectors, sample: Vectors, related: NDArray[np.bool_], best: NDArray[np.float32], segments: int
) -> ListCalibration | None:
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
    middle, high = np.nanquantile(_fisher(cosines), (MIDDLE, HIGH)).tolist()
    means = np.nanmean(cosines, axis=1)
    least, most = np.quantile(means, (RARE, 1 - RARE)).tolist()
    spread = max(high - middle, NARROWEST)
    # A query without any unrelated segment is taken for one of no distinction.
    levels, tops = np.full((2, len(queries)), math.log(2))
    levels[some] += _STEEP * (_fisher(np.clip(means, least, most)) - middle) / spread
    tops[some] += _STEEP * (_fisher(best[some]) - middle) / spread
    centre = sample.mean(axis=0)
    return ListCalibration(
        middle, spread, segments, centre, least, most, levels.astype(np.float32), tops.astype(np.float32)
    )


def _fisher(cosine: Any) -> NDArray[np.float64]:
    return np.arctanh(np.clip(np.asarray(cosine, np.float64), -_END, _END))


def _z(cosine: float) -> float:
    return math.atanh(min(max(cosine, -_END), _END))


@dataclass(frozen=True, slots=True)
class NullDistribution:
    """What the best of a search is where nothing is related: -ln of its tail, in Gumbel's distribution."""

    location: float
    """With the query's own level."""
    scale: float
    segments: int
    """Segments of the lists when they were measured, > 0."""

    def confidence(self, tail: float, searched: int) -> float:
        """In [0, 1]: how sure it is that no unrelated segment among `searched` would have so small a tail."""
        above = (-math.log(max(tail, _LEAST)) - self.location) / self.scale
        return math.exp(-searched / self.segments * math.exp(-above))


def null_distribution(fitted: Sequence[ListCalibration], query: Vectors) -> NullDistribution:
    """Of a search through these lists, at least one, for a query, float32 (dim,)."""
    usual = _usual(tuple(fitted))
    level = max(one.level(query) for one in fitted)
    return replace(usual, location=level + usual.location)


@lru_cache(maxsize=64)
def _usual(fitted: tuple[ListCalibration, ...]) -> NullDistribution:
    """Of queries that stand out no more than others: the same for every query, so it is worked out once."""
    # (queries,): what each finds in any list, above its own level in any
    tops = np.max([one.tops for one in fitted], axis=0) - np.max([one.levels for one in fitted], axis=0)
    low, high = np.quantile(tops, BODY).tolist()
    below, above = (-math.log(-math.log(share)) for share in BODY)
    scale = max((high - low) / (above - below), SHARPEST)
    return NullDistribution(low - below * scale, scale, max(sum(one.segments for one in fitted), 1))
