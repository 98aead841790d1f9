"""Texts of different lengths in one batch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Prepared


def buckets(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Rows in groups of like length, shortest first, each padded to at most `budget` in all (or a single row).

    Sorting saves the padding; a row goes to the next group once it is over a quarter longer than the first of this.
    """
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
        group = groups[-1] if groups else None
        fits = group is not None and (len(group) + 1) * lengths[row] <= budget
        if group is not None and fits and lengths[row] <= lengths[group[0]] * 1.25 + 4:
            group.append(row)
        else:
            groups.append([row])
    return groups


def padded(rows: Sequence[Prepared], padding: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Token ids (n, longest) of rows int64 (length,), and where they are real."""
    ids = np.full((len(rows), max(map(len, rows))), padding, np.int64)
    real = np.zeros(ids.shape, np.bool_)
    for line, row in enumerate(rows):
        ids[line, : len(row)] = row
        real[line, : len(row)] = True
    return ids, real
