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

MEDIAN, HIGH = 0.5, 0.95
"""The two quantiles of unrelated pairs that the tail is drawn through."""

MEAN_TAIL = 0.01
"""Share of neutral queries, at either end, whose mean scores are taken for outliers."""

FIT_QUANTILES = (0.25, 0.9)
"""The two quantiles of neutral queries' best finds that Gumbel's distribution is drawn through."""

MIN_SPREAD = 1e-3
"""Least distance of the two quantiles of pairs: a list of equal vectors has no spread."""

MIN_SCALE = 0.1
"""Least scale of Gumbel's distribution; 1 is that of independent segments."""

_MIN_TAIL = 1e-300
"""So that a tail that underflows still has a logarithm."""

_MAX_COSINE = 1 - 1e-7
"""So that a cosine of 1 has a large z, not an infinite one."""


TAIL_SLOPE = math.log((1 - MEDIAN) / (1 - HIGH))
"""By how much -ln of the tail grows from one quantile to the other."""


@dataclass(frozen=True, slots=True, eq=False)
class ListCalibration:
    """What was measured for one query modality and one list. `as_dict` keeps the names that catalogs have."""

    median: float
    """Median of unrelated pairs, in Fisher's z."""
    spread: float
    """95th percentile minus median, in Fisher's z, > 0."""
    segments: int
    """Length of the list when it was measured."""
    centre: NDArray[np.float32]
    """(dim,) mean of the list's vectors: its product with a query is the query's mean score."""
    min_mean: float
    """A query's mean score, a cosine, is clipped to this range."""
    max_mean: float
    neutral_levels: NDArray[np.float32]
    """(queries,) `query_level` of each neutral query, in their order."""
    best_surprisals: NDArray[np.float32]
    """(queries,) surprisal of the best segment that each neutral query finds."""

    def surprisal(self, score: float) -> float:
        """-ln of the tail above the median, continued below it in a straight line."""
        return math.log(2) + TAIL_SLOPE * (fisher(score) - self.median) / self.spread

    def query_level(self, query: Vectors) -> float:
        """Surprisal of a query's mean score with this list; query float32 (dim,)."""
        return self.surprisal(min(max(float(query @ self.centre), self.min_mean), self.max_mean))

    def tail(self, score: float) -> float:
        """p in (0, 1]: the chance that an unrelated segment scores at least this."""
        surprisal = self.surprisal(score)
        if surprisal >= math.log(2):
            return max(math.exp(-surprisal), _MIN_TAIL)
        return 1.0 - 0.25 * math.exp(surprisal)  # the mirror image: 0.5 at the median

    def as_dict(self) -> dict[str, Any]:
        return {
            "middle": self.median, "spread": self.spread, "segments": self.segments, "least": self.min_mean,
            "most": self.max_mean, "centre": [round(value, 5) for value in self.centre.tolist()],
            "levels": [round(value, 3) for value in self.neutral_levels.tolist()],
            "tops": [round(value, 3) for value in self.best_surprisals.tolist()],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "ListCalibration":
        """Raises: ValueError, TypeError, LookupError for what `as_dict` didn't make."""
        arrays = {name: np.asarray(stored[name], np.float32) for name in ("centre", "levels", "tops")}
        median, spread, min_mean, max_mean = (float(stored[name]) for name in ("middle", "spread", "least", "most"))
        segments = int(stored["segments"])
        if not all(array.ndim == 1 and len(array) and np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("a background's series are no numbers")
        if not all(map(math.isfinite, (median, spread, min_mean, max_mean))) or spread <= 0 or segments < 0:
            raise ValueError("a background's numbers are out of range")
        return cls(median, spread, segments, arrays["centre"], min_mean, max_mean, arrays["levels"], arrays["tops"])


def read_calibration(
    stored: Mapping[tuple[Modality, Key], Mapping[str, Any]], dim: int
) -> dict[tuple[Modality, Key], ListCalibration]:
    """Backgrounds of a space as a catalog keeps them. Raises: CatalogDamaged if they can't have been measured."""
    try:
        found = {key: ListCalibration.from_dict(stored_one) for key, stored_one in stored.items()}
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise _damaged() from error
    # Neutral queries of one modality are the same for every list.
    queries = {modality: len(one.best_surprisals) for (modality, _), one in found.items()}
    for (modality, _), one in found.items():
        if len(one.centre) != dim or {len(one.best_surprisals), len(one.neutral_levels)} != {queries[modality]}:
            raise _damaged()
    return found


def _damaged() -> CatalogDamaged:
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
    unrelated = np.flatnonzero(~related.all(axis=1))
    if not len(unrelated):
        return None
    cosines = np.where(related[unrelated], np.nan, queries[unrelated] @ sample.T)  # (unrelated, s)
    median, high = np.nanquantile(_fisher(cosines), (MEDIAN, HIGH)).tolist()
    means = np.nanmean(cosines, axis=1)
    min_mean, max_mean = np.quantile(means, (MEAN_TAIL, 1 - MEAN_TAIL)).tolist()
    spread = max(high - median, MIN_SPREAD)
    # A query without an unrelated segment counts as an average one.
    neutral_levels, best_surprisals = np.full((2, len(queries)), math.log(2))
    neutral_levels[unrelated] += TAIL_SLOPE * (_fisher(np.clip(means, min_mean, max_mean)) - median) / spread
    best_surprisals[unrelated] += TAIL_SLOPE * (_fisher(best[unrelated]) - median) / spread
    centre = sample.mean(axis=0)
    return ListCalibration(
        median,
        spread,
        segments,
        centre,
        min_mean,
        max_mean,
        neutral_levels.astype(np.float32),
        best_surprisals.astype(np.float32),
    )


def _fisher(cosine: Any) -> NDArray[np.float64]:
    return np.arctanh(np.clip(np.asarray(cosine, np.float64), -_MAX_COSINE, _MAX_COSINE))


def fisher(cosine: float) -> float:
    """Fisher's z of a cosine, finite for every one."""
    return math.atanh(min(max(cosine, -_MAX_COSINE), _MAX_COSINE))


@dataclass(frozen=True, slots=True)
class NullDistribution:
    """Gumbel's distribution of -ln of the best tail of a search in which nothing is related."""

    location: float
    """The query's own level included."""
    scale: float
    segments: int
    """Segments of the lists when they were measured, > 0."""

    def confidence(self, tail: float, searched: int) -> float:
        """The probability, in [0, 1], that no unrelated segment of `searched` has so small a tail."""
        above = (-math.log(max(tail, _MIN_TAIL)) - self.location) / self.scale
        return math.exp(-searched / self.segments * math.exp(-above))


def null_distribution(calibrations: Sequence[ListCalibration], query: Vectors) -> NullDistribution:
    """The distribution for a search of these lists, at least one; query float32 (dim,)."""
    neutral = _neutral_distribution(tuple(calibrations))
    query_level = max(one.query_level(query) for one in calibrations)
    return replace(neutral, location=query_level + neutral.location)


@lru_cache(maxsize=64)
def _neutral_distribution(calibrations: tuple[ListCalibration, ...]) -> NullDistribution:
    """The distribution for a query of level 0: the same for every query, so it is computed once."""
    # (queries,): what each finds in any list, above its own level in any
    best = np.max([one.best_surprisals for one in calibrations], axis=0)
    level = np.max([one.neutral_levels for one in calibrations], axis=0)
    low, high = np.quantile(best - level, FIT_QUANTILES).tolist()
    below, above = (-math.log(-math.log(share)) for share in FIT_QUANTILES)
    scale = max((high - low) / (above - below), MIN_SCALE)
    return NullDistribution(low - below * scale, scale, max(sum(one.segments for one in calibrations), 1))
