"""Where one shot of a video ends and the next begins, by small pictures of its frames.

A cut is a change that stands out from those before and after it: the adaptive threshold of Yusoff, Christmas and
Kittler, "Video Shot Cut Detection Using Adaptive Thresholding" (BMVC 2000). A dissolve is what nothing else in a film
looks like: each of its frames is the mean of those as far before it and after it (the idea of "twin comparison" made
exact: Zhang, Kankanhalli and Smoliar, "Automatic partitioning of full-motion video", 1993).

Measured on 10 montages of 20 scenes (190 joins, some of them dissolves) beside PySceneDetect 0.7: 186 joins found and
none too many, 161 and 1 there, in less than half its time and without OpenCV (`tests/benchmarks/shots.py`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

WIDTH, HEIGHT = 32, 18
"""Pixels of a small picture."""
EVERY_S = 1 / 16
"""Frames nearer to the last one that was looked at are passed over."""
CUT, RATIO = 12.0, 3.0
"""Mean difference of two neighbours' values (0 to 255) that makes a cut; and how many times the mean of the changes
beside it, so that fast motion is none."""
BESIDE_S = 0.2
DISSOLVE = 22.0
"""The same between the ends of a dissolve."""
DISSOLVES_S = (0.4, 0.8, 1.6)
"""Lengths that are looked for; those in between are found by their middle."""
LEAST_FRAMES = 4
"""Of a dissolve."""
BLENDED = 0.2
"""Of the difference of its ends, how far a frame of a dissolve is from their mean, at most."""
BESIDE = 0.5
"""Of the same, how much changes in as much time before it and after it, at most: a camera that moves goes on."""
ROUNDING = 0.01
"""Of a sum of such differences, at most."""
APART_S = 0.5
"""Between a dissolve and any other change of shots."""
BLOCK_S, MARGIN_S = 10.0, 3.0
"""Frames are looked at together for so long; what is nearer to the end of that is left to the next time."""


def small(frame: Any, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    """uint8 (18, 32, 3), RGB, whatever the proportions.

    Args:
        frame: PyAV's.
        reformatter: The same one for all frames of a video: to prepare it takes five times as long as to use it.
    """
    reduced = reformatter.reformat(frame, WIDTH, HEIGHT, "rgb24", interpolation=Interpolation.FAST_BILINEAR)
    return np.asarray(reduced.to_ndarray(), np.uint8)


class CutFinder:
    """Takes the small pictures of a video in order of time; tells cuts with a delay of `BLOCK_S` at most."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._pictures: list[NDArray[np.uint8]] = []
        self._decided = float("-inf")

    @property
    def decided(self) -> float:
        """Seconds up to which every cut has been told."""
        return self._decided

    def wants(self, moment: float) -> bool:
        """Whether a frame at a moment, in seconds, is worth a look."""
        return not self._times or moment >= self._times[-1] + EVERY_S - 1e-3

    def add(self, moment: float, picture: NDArray[np.uint8]) -> list[float]:
        """Look at uint8 (18, 32, 3). Returns the cuts that have become certain, in seconds, rising: each is the time
        of the first frame of a shot, or the middle of a dissolve."""
        self._times.append(moment)
        self._pictures.append(picture)
        if moment - self._times[0] < BLOCK_S:
            return []
        return self._told(moment - MARGIN_S)

    def rest(self) -> list[float]:
        """The same, no frame being to come."""
        return self._told(float("inf"))

    def _told(self, until: float) -> list[float]:
        times, pictures = np.array(self._times), np.array(self._pictures, np.float32)
        found = [moment for moment in changes(times, pictures) if self._decided < moment <= until]
        self._decided = until
        # The next look needs what lies before a moment as well as what lies behind it.
        kept = int(np.searchsorted(times, until - MARGIN_S))
        self._times, self._pictures = self._times[kept:], self._pictures[kept:]
        return found


def changes(times: NDArray[np.float64], pictures: NDArray[np.float32]) -> list[float]:
    """All cuts and dissolves among pictures, float32 (n, 18, 32, 3), at rising times, float64 (n,), in seconds."""
    change = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3))
    cuts = list(_cuts(times, change))
    found = list(cuts)
    for _, moment in sorted(_dissolves(times, pictures, change, np.array(cuts)), reverse=True):
        if all(abs(moment - other) >= APART_S for other in found):
            found.append(moment)
    return sorted(found)


def _cuts(times: NDArray[np.float64], change: NDArray[np.float32]) -> Iterator[float]:
    for at in np.flatnonzero(change > CUT):
        moment = times[at + 1]
        near = np.flatnonzero(np.abs(times[1:] - moment) <= BESIDE_S)
        beside = change[near[near != at]]
        usual = beside.mean() if len(beside) else 0.0
        if change[at] > RATIO * usual and change[at] >= beside.max(initial=0.0):
            yield float(moment)


def _dissolves(
    times: NDArray[np.float64], pictures: NDArray[np.float32], change: NDArray[np.float32], cuts: NDArray[np.float64]
) -> Iterator[tuple[float, float]]:
    """(how much changes, its middle in seconds)."""
    # Two pictures differ by no more than all the changes between them; most pairs need no look for that alone.
    most, cut_before = np.append(0.0, np.cumsum(change, dtype=np.float64)), np.searchsorted(cuts, times, "right")
    for length in DISSOLVES_S:
        ends = np.searchsorted(times, times + length - 1e-3)
        before = np.searchsorted(times, times - length + 1e-3)
        inside = np.flatnonzero(ends < len(times))
        able = (ends[inside] - inside >= LEAST_FRAMES) & (cut_before[ends[inside]] == cut_before[inside])
        able &= most[ends[inside]] - most[inside] >= DISSOLVE - ROUNDING
        starts = inside[able]
        far = np.abs(pictures[ends[starts]] - pictures[starts]).mean(axis=(1, 2, 3))
        for start, much in zip(starts[far >= DISSOLVE].tolist(), far[far >= DISSOLVE].tolist(), strict=True):
            end = int(ends[start])
            middle = (start + end) // 2
            mixed = all(_blended(pictures, start, end, at) < BLENDED * much for at in (middle, (start + middle) // 2))
            beside = (int(before[start]), start), (end, min(int(ends[end]), len(times) - 1))
            if mixed and all(_change(pictures, *ends_of) < BESIDE * much for ends_of in beside):
                yield much, float((times[start] + times[end]) / 2)


def _change(pictures: NDArray[np.float32], start: int, end: int) -> float:
    return float(np.abs(pictures[end] - pictures[start]).mean())


def _blended(pictures: NDArray[np.float32], start: int, end: int, at: int) -> float:
    """How far a picture is from the mix of two others that would stand in its place."""
    share = (at - start) / (end - start)
    return float(np.abs(pictures[at] - (1 - share) * pictures[start] - share * pictures[end]).mean())
