"""Splitting examples so that nothing is on both sides: the same content, near-duplicates, parts of one recording."""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mmsearch.errors import InvalidInput
from mmsearch.types import Vectors

NEAR = 0.98
"""Cosine from which two items count as near-duplicates."""

ROWS = 1024
"""Rows compared with all others at once."""

Groups = NDArray[np.int64]
"""(n,), the group of each example: 0, 1, 2, ... in the order of their first members."""


def split_groups(
    count: int,
    *same: Sequence[Hashable | None],
    ties: Iterable[tuple[int, int]] = (),
    vectors: Vectors | None = None,
    near: float = NEAR,
) -> Groups:
    """Examples that belong together, directly or by way of others, share a group.

    Args:
        same: Each (count,): equal values (hashes, names of recordings) belong together; None says nothing.
        ties: Pairs of examples that belong together.
        vectors: float32 (count, dim), unit rows; NaN rows are near to nothing.
        near: Cosine from which two rows belong together.
    """
    parents = np.arange(count)
    for values in same:
        first: dict[Hashable, int] = {}
        for at, value in enumerate(values):
            if value is not None:
                _join(parents, first.setdefault(value, at), at)
    for a, b in (*ties, *(_near(vectors, near) if vectors is not None else ())):
        _join(parents, a, b)
    roots = [_root(parents, at) for at in range(count)]
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root, len(numbers)) for root in roots], np.int64)


def split_held_back(grouped: Groups, share: float, seed: int) -> NDArray[np.bool_]:
    """(n,): which examples are held back: whole groups, drawn at random, about `share` of all examples.

    Raises: InvalidInput if that leaves one side empty.
    """
    count = int(grouped.max()) + 1 if len(grouped) else 0
    sizes = np.bincount(grouped, minlength=count)
    target, taken = share * len(grouped), 0
    held = np.zeros(count, np.bool_)
    for group in np.random.default_rng([seed, count]).permutation(count):
        # A group that would overshoot by more than it brings nearer is left to training.
        if taken + sizes[group] / 2 <= target:
            held[group] = True
            taken += int(sizes[group])
    chosen = held[grouped] if count else np.zeros(0, np.bool_)
    if chosen.all() or not chosen.any():
        raise InvalidInput(
            f"{len(grouped)} pairs in {count} independent groups can't be split into training and validation",
            hint="give more pairs, of different files",
        )
    return chosen


def _near(vectors: Vectors, near: float) -> Iterable[tuple[int, int]]:
    for start in range(0, len(vectors), ROWS):
        scores = vectors[start : start + ROWS] @ vectors[start:].T
        # NaN compares false.
        for a, b in np.argwhere(scores >= near).tolist():
            if a < b:
                yield start + a, start + b


def _root(parents: NDArray[np.int64], at: int) -> int:
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = int(parents[at])
    return at


def _join(parents: NDArray[np.int64], a: int, b: int) -> None:
    a, b = _root(parents, a), _root(parents, b)
    parents[max(a, b)] = min(a, b)
