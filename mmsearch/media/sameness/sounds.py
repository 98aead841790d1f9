"""What two sounds prove: their spectrograms laid side by side, and by how much they differ.

A codec changes every band a little. Another take of the same words by the same voice is of another length, or its bands
lie elsewhere at some moment; steady noise is alike in the mean, but its ups and downs are its own.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsearch.media.sameness.evidence import BANDS, SoundEvidence

SAME_DB = 1.3
"""What the loud bands may differ by in the mean, in decibels."""
SAME_PATCH_DB = 3.5
"""What the mean of any patch of `PATCH` frames and bands may differ by."""
PATCH = 5
SAME_CORRELATION = 0.9
LENGTH_S = 0.06
"""What two may differ by in length: codecs pad."""
LENGTH_SHARE = 0.0002
"""And by this share of the whole: clocks differ."""
SHIFT_S = 0.1
"""What one may begin later by."""
SHARES = (0.25, 0.5, 0.75)
"""Of a frame, that one may begin later by beside whole frames: what an encoder delays is seldom a multiple of them."""
NEARLY = 2.5
"""How many times `SAME_DB` two differ by at most when they are a share of a frame apart."""
LOUD = 80
"""Quarters of a decibel above the floor from which a band counts."""
LEAST = 40
"""Loud cells that tell anything."""


@dataclass(frozen=True, slots=True)
class SoundProof:
    """Two sounds are the same."""

    figure: float
    """What the loud bands differ by in the mean, in decibels."""


def same_sound(one: SoundEvidence, other: SoundEvidence) -> SoundProof | None:
    """Whether both sound the same from the beginning to the end, as loud or not."""
    longest = max(one.duration_s, other.duration_s)
    if abs(one.duration_s - other.duration_s) > LENGTH_S + LENGTH_SHARE * longest:
        return None
    levels = _of_one_hop(one, other)
    if levels is None:
        return None
    first, second, hop_s = levels
    if abs(float(first.mean()) - float(second.mean())) > 40:
        return None
    best: float | None = None
    nearest, at = SAME_DB * NEARLY, 0
    reach = max(1, round(SHIFT_S / hop_s)) if hop_s < SHIFT_S else 0
    for shift in sorted(range(-reach, reach + 1), key=abs):
        mean, same = _difference(first[max(0, shift) :], second[max(0, -shift) :])
        if mean < nearest:
            nearest, at = mean, shift
        if same and (best is None or mean < best):
            best = mean
        if best is not None and best < SAME_DB / 2:
            break
    if best is None and nearest < SAME_DB * NEARLY:
        best = _between_frames(first, second, at)
    return None if best is None else SoundProof(best)


def _between_frames(first: NDArray[np.float32], second: NDArray[np.float32], at: int) -> float | None:
    """What two differ by of which one begins `at` whole frames later, and a share of one more or less."""
    means = []
    for whole in (at - 1, at):
        for share in SHARES:
            # Each is moved by half of it, so that both lose as much detail.
            a, b = _between(first, share / 2), _between(second, 1 - share / 2)
            mean, same = _difference(a[max(0, whole + 1) :], b[max(0, -whole - 1) :])
            means += [mean] if same else []
    return min(means, default=None)


def _between(levels: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """What lies this share of the way from each frame to the next, float32 (frames - 1, bands)."""
    power = np.exp(levels * _TO_POWER)
    return np.asarray(np.log((1 - share) * power[:-1] + share * power[1:]) / _TO_POWER, np.float32)


SLICES = 8
"""Of a sound, in its outline."""
SLICED_S = 4.0
"""Seconds from which the slices are longer than what one sound may begin later by."""
OUTLINE_DB = 3.0
"""What two outlines differ by in the mean, at most: `SAME_DB`, and as much again for another gain and begin."""


def outline(sound: SoundEvidence) -> NDArray[np.uint8]:
    """(slices * bands,): the mean of each band above `LOUD`, in quarters of a decibel, in eight slices one after
    another; in a short sound all slices are the whole."""
    loud = np.maximum(sound.levels, LOUD)
    parts = SLICES if sound.duration_s >= SLICED_S and len(loud) >= SLICES else 1
    means = np.stack([part.mean(axis=0) for part in np.array_split(loud, parts)])
    return np.asarray(np.rint(np.repeat(means, SLICES // parts, axis=0)).ravel(), np.uint8)


def may_be_same(one: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of many outlines, (n, slices * bands), may be of the same sound as one: those that `same_sound` would
    compare in vain are told apart in a hundredth of its time."""
    a, b = one.reshape(SLICES, BANDS).astype(np.float32), others.reshape(-1, SLICES, BANDS).astype(np.float32)
    apart = np.abs(b - a).mean(axis=(1, 2))
    # One of a little less than `SLICED_S` has no slices.
    unsliced = (b == b[:, :1]).all(axis=(1, 2)) | bool((a == a[0]).all())
    apart[unsliced] = np.abs(b[unsliced].mean(axis=1) - a.mean(axis=0)).mean(axis=1)
    return np.asarray(apart <= 4 * OUTLINE_DB)


def _of_one_hop(
    one: SoundEvidence, other: SoundEvidence
) -> tuple[NDArray[np.float32], NDArray[np.float32], float] | None:
    """Both spectrograms, float32 (frames, bands), with equally long frames; None if no merging makes them so."""
    first, second = one, other
    merged = [first.levels.astype(np.float32), second.levels.astype(np.float32)]
    hops = [first.hop_s, second.hop_s]
    for n in (0, 1):
        if abs(hops[n] * 2 - hops[1 - n]) < 1e-6:
            even = len(merged[n]) // 2 * 2
            power = np.exp(merged[n][:even] * _TO_POWER).reshape(-1, 2, BANDS).mean(axis=1)
            merged[n], hops[n] = np.asarray(np.log(power) / _TO_POWER, np.float32), hops[1 - n]
    return (merged[0], merged[1], hops[0]) if abs(hops[0] - hops[1]) < 1e-6 else None


_TO_POWER = np.float32(np.log(10) / 40)


def _difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[float, bool]:
    """Decibels that the loud cells differ by in the mean, and whether they differ too much nowhere."""
    count = min(len(first), len(second))
    a, b = first[:count], second[:count]
    loud = np.maximum(a, b) > LOUD
    cells = int(loud.sum())
    if cells < LEAST:
        return math.inf, False
    apart = a - b
    apart -= np.median(apart[loud])
    rest = np.abs(apart) * loud / 4
    mean = float(rest.sum()) / cells
    if mean > SAME_DB or _largest_patch(rest) > SAME_PATCH_DB:
        return mean, False
    x, y = a[loud] - a[loud].mean(), b[loud] - b[loud].mean()
    correlation = float(x @ y / np.sqrt(max(float(x @ x) * float(y @ y), 1e-9)))
    return mean, correlation >= SAME_CORRELATION


def _largest_patch(rest: NDArray[np.float32]) -> float:
    sums = np.zeros((len(rest) + 1, BANDS + 1), np.float64)
    sums[1:, 1:] = np.cumsum(np.cumsum(rest, axis=0, dtype=np.float64), axis=1)
    k = min(PATCH, len(rest))
    patches = sums[k:, PATCH:] - sums[:-k, PATCH:] - sums[k:, :-PATCH] + sums[:-k, :-PATCH]
    return float(patches.max()) / (k * PATCH)
