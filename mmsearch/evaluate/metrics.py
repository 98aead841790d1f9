"""Measures of ranked lists, as pure functions of the ranks at which a query's relevant items stand.

Ranks are 1-based and ascending, one for every relevant item. Ties count against us: among equal scores the irrelevant
items come first (McSherry and Najork, Computing information retrieval performance measures efficiently in the
presence of tied scores, 2008, call it the pessimistic order), so a space that gives everything the same score earns
nothing by it.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ranks: TypeAlias = Sequence[int]
"""Ascending, 1-based, at least one."""

Floats: TypeAlias = NDArray[np.float64]

CHUNK = 2**21
"""Numbers drawn at once: bounds the memory of a bootstrap over many queries."""


def ranks(scores: NDArray[np.floating], relevant: NDArray[np.bool_]) -> tuple[int, ...]:
    """Where the relevant items stand, among equals last.

    Args:
        scores: (n,), higher is better. NaN is no candidate: it has no rank and displaces nothing.
        relevant: (n,).
    """
    candidate = ~np.isnan(scores)
    scores, relevant = scores[candidate], relevant[candidate]
    # lexsort's last key leads.
    ordered = relevant[np.lexsort((relevant, -scores))]
    return tuple((np.flatnonzero(ordered) + 1).tolist())


def success_at(ranks: Ranks, k: int) -> float:
    """1 if a relevant item is among the first k. Its mean is what papers on image-text retrieval call recall@k."""
    return float(ranks[0] <= k)


def recall_at(ranks: Ranks, k: int) -> float:
    """Share of the relevant items that are among the first k."""
    return sum(rank <= k for rank in ranks) / len(ranks)


def reciprocal_rank(ranks: Ranks) -> float:
    """Of the first relevant item; the mean over queries is MRR."""
    return 1 / ranks[0]


def average_precision(ranks: Ranks) -> float:
    """Mean, over the relevant items, of the precision at each one's rank; the mean over queries is mAP."""
    return sum(found / rank for found, rank in enumerate(ranks, 1)) / len(ranks)


def ndcg_at(ranks: Ranks, k: int) -> float:
    """Discounted gain of the first k against the best order's (Järvelin and Kekäläinen, 2002; gain 1, log2)."""
    gained = sum(1 / np.log2(rank + 1) for rank in ranks if rank <= k)
    return float(gained / sum(1 / np.log2(rank + 1) for rank in range(1, min(k, len(ranks)) + 1)))


def interval(
    values: Floats, statistic: Callable[..., Floats], *, resamples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Bootstrap percentile interval of a statistic over queries (Efron, 1979): the same seed gives the same interval.

    Args:
        values: (n,), one per query.
        statistic: Takes (m, n) and `axis=1`: `np.mean` or `np.median`.
    """
    random = np.random.default_rng(seed)
    rows = max(1, CHUNK // len(values))
    parts = [
        statistic(values[random.integers(0, len(values), (min(rows, resamples - done), len(values)))], axis=1)
        for done in range(0, resamples, rows)
    ]
    tail = 50 * (1 - level)
    low, high = np.percentile(np.concatenate(parts), [tail, 100 - tail])
    return float(low), float(high)
