"""When two items are near-duplicates: the same content, or contents whose segments are alike one by one.

Two contents are alike if they hold segments of the same modalities, of each equally many (or, of `FEW` at least, one
more), and if, laid side by side in order, the one more left out at the beginning or at the end, every two segments that
meet have a cosine of at least the threshold of their modality. So a sound that was encoded again is alike, one that was
cut in two is not; of two documents that share all passages but one neither is a near-duplicate of the other.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat

import numpy as np

from mmsearch.types import Modality, Vectors

FEW = 3
"""Of fewer segments than this none may be left out: it would be a large part of the whole."""

SLACK = 1e-6
"""Cosines of equal unit vectors in float32 may be this much below 1."""

_ROUGH = 1e-4
"""What a squared distance in float32 may be off by, with room to spare."""

_BLOCK = 128
"""Profiles compared with all earlier ones at once."""


@dataclass(frozen=True, slots=True, eq=False)
class ContentProfile:
    """A content as near-duplicates see it."""

    content_id: int
    vectors: Mapping[Modality, Vectors]
    """Segment modality -> float32 (n, dim), unit rows in order."""


def similarity(one: ContentProfile, other: ContentProfile, thresholds: Mapping[Modality, float]) -> float | None:
    """The smallest cosine of two segments that meet, in [-1, 1]; None if the two are not alike.

    Args:
        thresholds: Segment modality -> cosine; contents with a segment of another modality are similar only to
            themselves.
    """
    if one.content_id == other.content_id:
        return 1.0
    if not one.vectors or one.vectors.keys() != other.vectors.keys() or not one.vectors.keys() <= thresholds.keys():
        return None
    found = 1.0
    for modality, rows in one.vectors.items():
        aligned = _aligned(rows, other.vectors[modality])
        if aligned < thresholds[modality] - SLACK:
            return None
        found = min(found, aligned)
    return found


def _aligned(one: Vectors, other: Vectors) -> float:
    """The smallest cosine of rows that meet, (n, dim) and (m, dim), in the better of the ways they can; -1 for none."""
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    if len(longer) - len(shorter) > (len(shorter) >= FEW):
        return -1.0
    count = len(shorter)
    # Row by row in float64, so that it is the same wherever the rows lie.
    return max(
        float((longer[start : start + count].astype(np.float64) * shorter).sum(axis=1).min())
        for start in range(len(longer) - count + 1)
    )


def possible_duplicates(
    profiles: Sequence[ContentProfile], thresholds: Mapping[Modality, float]
) -> Iterator[Sequence[int]]:
    """For each profile in turn, the places of earlier ones that may be alike to it, ascending; the others are not.

    If rows that meet have a cosine of at least t, they are no further apart than sqrt(2 - 2t), so neither are their
    means, but for the one row left out, which moves a mean of n unit vectors by 2 / n at most.
    """
    if not profiles:
        return
    contents = np.array([profile.content_id for profile in profiles])
    kinds = [_main(profile) if profile.vectors else None for profile in profiles]
    rows = [None if kind is None else profile.vectors[kind] for kind, profile in zip(kinds, profiles, strict=True)]
    dim = next((one.shape[1] for one in rows if one is not None), 1)
    nothing = np.zeros((1, dim), np.float32)
    means = np.stack([_mean(nothing if one is None else one) for one in rows])  # (n, dim)
    sizes = np.array([0 if one is None else len(one) for one in rows])
    by_kind = {kind: -1.0 if kind is None else _apart(thresholds.get(kind, math.inf)) for kind in set(kinds)}
    apart = np.array([by_kind[kind] for kind in kinds])
    lengths = (means * means).sum(axis=1)
    for start in range(0, len(profiles), _BLOCK):
        block, before = slice(start, start + _BLOCK), slice(0, start + _BLOCK)
        squares = lengths[block, np.newaxis] + lengths[before] - 2 * means[block] @ means[before].T
        more = np.maximum(sizes[block, np.newaxis], sizes[before])
        bounds = apart[block, np.newaxis] + np.where(
            sizes[block, np.newaxis] == sizes[before], 0, 2 / np.maximum(more, 1)
        )
        near = (squares <= bounds**2 + _ROUGH) & (apart[block, np.newaxis] >= 0) & (apart[before] >= 0)
        near |= contents[block, np.newaxis] == contents[before]
        later, earlier = np.nonzero(np.tril(near, start - 1))
        if not len(later):  # as mostly
            yield from repeat((), len(near))
            continue
        ends = np.searchsorted(later, np.arange(len(near) + 1)).tolist()
        places = earlier.tolist()
        yield from (places[first:last] for first, last in pairwise(ends))


def _mean(rows: Vectors) -> Vectors:
    """(dim,), of (n, dim)."""
    return rows[0] if len(rows) == 1 else np.asarray(rows.mean(axis=0))


def _main(profile: ContentProfile) -> Modality:
    """The modality by which profiles are compared at first: frames of a video, not its sound."""
    return max(profile.vectors)


def _apart(threshold: float) -> float:
    """How far apart two unit vectors of at least that cosine may be; below 0 if no two are alike."""
    return math.sqrt(max(2 - 2 * (threshold - SLACK), 0.0)) if threshold <= 1 else -1.0
