"""Clips of a video, for spaces that see motion: its length in even spans, each by frames evenly spaced in it."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Segment, Span, Windowing

MOST_CLIPS = 4096
"""Of one file; beyond that clips are longer than the space asks for."""


class ClipMaker:
    """Takes the frames at the moments of one video, in the order of time; none where the space embeds no clips."""

    def __init__(self, windowing: Windowing, length: float) -> None:
        """`length`: of the pictures, in seconds; 0 where it is not known, which makes no clips."""
        wanted = bool(length > 0 and windowing.clip_s > 0 and windowing.clip_frames > 0)
        self._count = min(MOST_CLIPS, math.ceil(length / windowing.clip_s)) if wanted else 0
        self._frames = windowing.clip_frames
        self._span = length / self._count if self._count else 0.0
        self.side = windowing.clip_side or windowing.image_side
        """Pixels of a frame's shorter side, at most."""
        self._number = 0
        self._taken: list[NDArray[np.uint8]] = []
        self._ready: list[Segment] = []

    def moments(self) -> Iterator[tuple[float, int]]:
        """(seconds from the start, number of the clip) of each frame that is wanted."""
        for number in range(self._count):
            for index in range(self._frames):
                yield (number + (index + 0.5) / self._frames) * self._span, number

    def add(self, number: int, pixels: NDArray[np.uint8]) -> None:
        """One frame, uint8 (height, width, 3), of a clip; those before it are complete."""
        if number != self._number:
            self._end()
            self._number = number
        if not self._taken or self._taken[0].shape == pixels.shape:
            self._taken.append(pixels)

    def ready(self) -> list[Segment]:
        """The clips that are complete since the last call: uint8 (frames, height, width, 3)."""
        found, self._ready = self._ready, []
        return found

    def rest(self) -> list[Segment]:
        """The same, no frame being to come."""
        self._end()
        return self.ready()

    def _end(self) -> None:
        if self._taken:
            start, end = self._number * self._span, (self._number + 1) * self._span
            span = Span(start=round(start, 3), end=round(end, 3))
            # What else is known of the file is told by its frames: a clip shows what they show.
            self._ready.append(Segment("video", np.stack(self._taken), span, part=True))
        self._taken = []
