"""The shots of a video, each by a frame of its own or several: what was shown, and exactly from when to when.

A video is decoded once. Cuts are certain some seconds late (`media.cuts`), so that a few frames of each second wait,
reduced, for the shot that they turn out to belong to.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from mmsearch.media.cuts import CutFinder, small
from mmsearch.types import Segment, Span, Windowing

WAITING_S = 0.25
"""Between two frames that wait."""
WHOLE_S = 20.0
"""A shot up to so long is told as a whole by each of its frames; of a longer one each frame tells its part."""
SHORTEST_S = 0.5
"""A shot that is shorter is a flash: it gets no frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A frame that waits."""

    moment: float
    """Seconds from the start."""
    pixels: Callable[[int], NDArray[np.uint8]]
    """(height, width, 3), its shorter side so many pixels at most."""


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    start: float
    end: float
    """Seconds from the start."""
    frames: tuple[Taken, ...]
    shot: tuple[float, float] | None = None
    """What it tells instead of itself: its whole shot."""

    @property
    def length(self) -> float:
        return self.end - self.start


@dataclass(slots=True)
class _Shot:
    start: float
    parts: list[_Part] = field(default_factory=list)
    """Of its beginning; they wait for its end, as long as it may be told as a whole."""
    until: float = 0.0
    """Where the last part ends."""


class ShotFrames:
    """Frames and clips of shots, from frames and cuts in order of time."""

    def __init__(self, windowing: Windowing, most_per_minute: int) -> None:
        self._windowing = windowing
        self._step = 60 / windowing.frames_per_minute
        self._most = most_per_minute
        self._shot = _Shot(0.0)
        self._waiting: list[Taken] = []
        self._early: list[_Part] | None = []
        """The first parts, until there are `min_frames` of them; None from then on."""
        self._told = 0
        self._cut = False

    def add(self, taken: Taken) -> None:
        """One frame, later than all before."""
        self._waiting.append(taken)

    def settled(self, cuts: Iterable[float], until: float) -> Iterator[Segment]:
        """What is certain, all cuts up to a moment being known."""
        for cut in cuts:
            self._cut = True
            yield from self._parts(self._ended(cut))
        while until - self._shot.until >= 2 * self._step:
            self._close(self._shot.until + self._step)
        if until - self._shot.start > WHOLE_S:
            parts, self._shot.parts = self._shot.parts, []
            yield from self._parts(parts)

    def rest(self, cuts: Iterable[float], end: float) -> Iterator[Segment]:
        """The same, the video ending at a moment."""
        yield from self.settled(cuts, 0.0)
        last = self._ended(end)
        if self._early is None:
            yield from self._parts(last)
            return
        parts, self._early = [*self._early, *last], None
        yield from self._parts(_divided(parts, self._windowing.min_frames))

    def _ended(self, end: float) -> list[_Part]:
        """The parts of the shot that ends at a moment, where the next one begins; none of a flash."""
        shot = self._shot
        if end - shot.until > 1.5 * self._step:
            self._close((shot.until + end) / 2)
        self._close(end)
        self._shot = _Shot(end, until=end)
        if self._cut and end - shot.start < SHORTEST_S:
            return []
        # A video in one take has no shots to tell; where in it something is says more.
        if not self._cut or end - shot.start > WHOLE_S:
            return shot.parts
        return [replace(part, shot=(shot.start, end)) for part in shot.parts]

    def _close(self, end: float) -> None:
        """End a part of the shot."""
        shot = self._shot
        frames = tuple(one for one in self._waiting if one.moment < end)
        self._waiting = self._waiting[len(frames) :]
        if frames:
            shot.parts.append(_Part(shot.until, end, frames))
        elif shot.parts:
            # The same frame is on the screen still.
            shot.parts[-1] = replace(shot.parts[-1], end=end)
        shot.until = end

    def _parts(self, parts: Iterable[_Part]) -> Iterator[Segment]:
        for part in parts:
            if self._early is None:
                yield from self._segments(part)
                continue
            self._early.append(part)
            if len(self._early) >= self._windowing.min_frames:
                early, self._early = self._early, None
                for one in early:
                    yield from self._segments(one)

    def _segments(self, part: _Part) -> Iterator[Segment]:
        # A minute's worth may come at once, as in a trailer; then as many as come in the time.
        if self._told >= self._most * (1 + part.end / 60):
            return
        self._told += 1
        start, end = part.shot or (part.start, part.end)
        span = Span(start=round(start, 3), end=round(end, 3))
        yield Segment("image", _at(part.frames, (part.start + part.end) / 2).pixels(self._windowing.image_side), span)
        if (clip := _clip(part.frames, self._windowing)) is not None:
            # What else is known of the file is told by its frames: a clip shows what they show.
            yield Segment("video", clip, Span(start=round(part.start, 3), end=round(part.end, 3)), part=True)


def _at(frames: tuple[Taken, ...], moment: float) -> Taken:
    """The one on the screen at a moment, or the first."""
    return next((one for one in reversed(frames) if one.moment <= moment), frames[0])


def _clip(frames: tuple[Taken, ...], windowing: Windowing) -> NDArray[np.uint8] | None:
    """uint8 (n, height, width, 3), `clip_frames` at most, evenly spaced; None where no clips are wanted."""
    count, side = windowing.clip_frames, windowing.clip_side or windowing.image_side
    if not count:
        return None
    chosen = dict.fromkeys((2 * number + 1) * len(frames) // (2 * count) for number in range(count))
    seen = [frames[number].pixels(side) for number in chosen]
    return np.stack([one for one in seen if one.shape == seen[0].shape])


def _divided(parts: list[_Part], count: int) -> list[_Part]:
    """So many parts, if they have so many frames: the longest ones in halves."""
    while len(parts) < count:
        able = [number for number, part in enumerate(parts) if len(part.frames) > 1]
        if not able:
            break
        at = max(able, key=lambda number: (parts[number].length, -number))
        part = parts[at]
        middle = (part.start + part.end) / 2
        before = sum(one.moment < middle for one in part.frames)
        if before in (0, len(part.frames)):
            before = len(part.frames) // 2
            middle = part.frames[before].moment
        first = replace(part, end=middle, frames=part.frames[:before])
        second = replace(part, start=middle, frames=part.frames[before:])
        parts = [*parts[:at], first, second, *parts[at + 1 :]]
    return parts


def shot_segments(
    frames: Iterable[tuple[float, Any]],
    take: Callable[[float, Any], Taken],
    length: float,
    windowing: Windowing,
    most_per_minute: int,
) -> Iterator[Segment]:
    """The frames ("image"), and clips ("video") where the space embeds such, of every shot of a video.

    Args:
        frames: (seconds from the start, PyAV's frame); those whose time doesn't rise are passed over.
        take: Makes what waits of a frame.
        length: Of the pictures, in seconds.
        windowing: Long shots get `frames_per_minute`, and the whole video `min_frames` at least.
        most_per_minute: Of frames in all.
    """
    finder, made, last = CutFinder(), ShotFrames(windowing, most_per_minute), float("-inf")
    reformatter, taken, decided = VideoReformatter(), float("-inf"), float("-inf")
    for moment, frame in frames:
        if moment <= last:
            continue
        last = moment
        if moment >= taken + WAITING_S - 1e-3:
            made.add(take(moment, frame))
            taken = moment
        if finder.wants(moment):
            cuts = finder.add(moment, small(frame, reformatter))
            if finder.decided > decided:
                decided = finder.decided
                yield from made.settled(cuts, decided)
    if last > float("-inf"):
        yield from made.rest(finder.rest(), max(length, last))
