"""Exact, position-independent ranking: the same vectors give the same answer on every backend, bit for bit.

A float32 matrix product rounds differently with the place of a row in the matrix, the number of queries and the CPU.
So it only proposes candidates here. Each candidate's final score is computed from its own row alone, in float64, and
rounded to float32 once; order is (-score, id). A candidate list is complete when it holds every row whose rough score
lies within `slack` of the k-th best: by the standard error bound of a dot product (N. Higham, Accuracy and Stability
of Numerical Algorithms, 2002, section 3.1) no other row can belong to the answer.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Ids, Neighbours, Vectors

Scores = NDArray[np.float32]
"""(n,), cosines in [-1, 1]."""

_CHUNK = 2048
"""Rows widened to float64 at a time: bounds memory when everything is scored."""


def exact_scores(query: Vectors, rows: Vectors) -> Scores:
    """float32 (n,) cosines in [-1, 1] of `query` (dim,) with `rows` (n, dim); each depends on its own row only."""
    wide = query.astype(np.float64)
    scores = np.empty(len(rows), np.float64)
    for start in range(0, len(rows), _CHUNK):
        stop = start + _CHUNK
        # Not a matrix product: a row's sum runs along its own contiguous memory, in the same order wherever it lies.
        scores[start:stop] = (rows[start:stop] * wide).sum(axis=1)
    # Adding zero turns -0.0 into 0.0, which would print and compare bitwise differently.
    return np.clip(scores, -1.0, 1.0).astype(np.float32) + np.float32(0.0)


def slack(dim: int) -> float:
    """How far below the k-th rough score a row may be and still belong to the k best."""
    # Either score may be off by dim * 2^-24 for (nearly) unit rows, and each is rounded to float32; 8 covers the rest.
    return (dim + 8) * 2.0**-23


def ranked(query: Vectors, ids: Ids, rows: Vectors, k: int) -> tuple[Ids, Scores]:
    """The k best of a complete candidate list by exact score: ids and scores (min(k, n),), by (-score, id)."""
    scores = exact_scores(query, rows)
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def nearest(query: Vectors, ids: Ids, rows: Vectors, k: int) -> tuple[Ids, Scores]:
    """As `ranked`, over all rows (n, dim): a matrix product proposes, exact scores decide."""
    if k >= len(ids):
        return ranked(query, ids, rows, k)
    rough = np.clip(rows @ query, -1.0, 1.0)  # (n,)
    bar = np.partition(rough, len(rough) - k)[len(rough) - k] - slack(rows.shape[1])
    keep = np.flatnonzero(rough >= bar)
    return ranked(query, ids[keep], rows[keep], k)


def stacked(found: Sequence[tuple[Ids, Scores]], k: int) -> Neighbours:
    """One row per query: ids and scores (q, k). Every entry of `found` has k results."""
    ids = np.empty((len(found), k), np.int64)
    scores = np.empty((len(found), k), np.float32)
    for row, (some_ids, some_scores) in enumerate(found):
        ids[row], scores[row] = some_ids, some_scores
    return Neighbours(ids, scores)
