"""Time in a video file: how long it really is, and the frame on the screen at a moment."""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from mmsearch.media import container as files
from mmsearch.media.clock import BACK_S, JOINED, STRAIGHT, Clock, measured_clock

_FAR_S = 4.0
"""Without an index: seeking pays from this many seconds ahead."""


def origin(container: InputContainer) -> float:
    """Seconds on the container's clock that count as 0."""
    return (container.start_time or 0) / 1_000_000


def since(frame: Any, start: float) -> float:
    """Seconds of a frame after `start`; 0 for a frame without a time."""
    return 0.0 if frame.time is None else max(0.0, float(frame.time) - start)


def measured(path: Path, container: InputContainer, stream: Any, longest: float) -> tuple[float | None, Clock]:
    """Seconds from the origin to the end of the last packet of a stream, None if no packet has a time; and the clock
    that its packets have to be set by.

    The header is believed if the packets near its end bear it out; otherwise the file is read through, undecoded.

    Args:
        container: Opened from the path.
        longest: Seconds; what promises more has a broken clock, or is too long.
    """
    if container.format.name not in JOINED:
        length, rising = _promised(container, stream)
        if rising and (length is None or length <= longest):
            return length, STRAIGHT
    # Opened again: going back leads to the beginning of the part that it is in.
    with files.opened_container(path) as again:
        clock = measured_clock(again)
    end = clock.ends.get(stream.index)
    return (None if end is None or end <= origin(container) else end - origin(container)), clock


def _promised(container: InputContainer, stream: Any) -> tuple[float | None, bool]:
    """The length of a stream whose clock rises, and whether it does as far as it was read."""
    promised = stream.duration * stream.time_base if stream.duration and stream.time_base else None
    if promised is None and container.duration:
        promised = container.duration / 1_000_000
    start = origin(container)
    if promised and promised > 0:
        target = start + max(0.0, float(promised) * 0.95 - 1.0)
        try:
            container.seek(round(target / stream.time_base), stream=stream)
            end, rising = _last(container, stream)
        except (av.error.FFmpegError, OverflowError, ValueError, ZeroDivisionError):
            end, rising = None, True
        # The last packet may not say how long it lasts.
        if end is not None and end - start >= float(promised) - max(0.2, 0.02 * float(promised)):
            return max(end - start, float(promised)), rising
    try:
        container.seek(0)
    except av.error.FFmpegError:
        return None, True
    end, rising = _last(container, stream)
    return (None if end is None or end <= start else end - start), rising


def packets(container: InputContainer, streams: Any, clock: Clock = STRAIGHT) -> Iterator[Any]:
    """The packets of a stream, or of several, set by the clock; a damaged container just ends."""
    found, straight = container.demux(streams), clock.straight
    while True:
        try:
            packet = next(found, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        if not straight:
            clock.set(packet)
        yield packet


def frames(container: InputContainer, stream: Any, clock: Clock = STRAIGHT) -> Iterator[Any]:
    """Decoded frames in the order shown; damaged ones are left out, and a damaged container just ends."""
    for packet in packets(container, stream, clock):
        try:
            decoded = packet.decode()
        except av.error.FFmpegError:
            continue
        yield from decoded


class Reader:
    """Frames at rising moments; seeks where a key frame lies between, reads on where none does."""

    def __init__(self, container: InputContainer, stream: Any, clock: Clock = STRAIGHT) -> None:
        self._container = container
        self._stream = stream
        self._frames = frames(container, stream, clock)
        self._shown: Any = None
        self._next: Any = None
        self._keys = _key_times(stream)
        # Who seeks by stamps lands in the first part that has them.
        self._seekable = clock.straight

    def shown_at(self, moment: float) -> Any:
        """The last frame with a time up to `moment` (container's clock, seconds), or the first there is; None if
        nothing more could be decoded. Moments must not fall.
        """
        if self._worth_seeking(moment):
            self._seek(moment)
        while self._next is None or self._next.time <= moment:
            if self._next is not None:
                self._shown = self._next
            self._next = next((f for f in self._frames if f.time is not None and self._is_later(f)), None)
            if self._next is None:
                return self._shown
        return self._shown if self._shown is not None else self._next

    def _is_later(self, frame: Any) -> bool:
        return self._shown is None or frame.time > self._shown.time

    def _worth_seeking(self, moment: float) -> bool:
        if not self._seekable:
            return False
        at = self._next.time if self._next is not None else None
        if not self._keys:
            return (moment - (at or origin(self._container))) > _FAR_S
        key = self._keys[max(0, bisect_right(self._keys, moment) - 1)]
        return key > (self._keys[0] if at is None else at)

    def _seek(self, moment: float) -> None:
        shown, ahead = self._shown, self._next
        try:
            self._container.seek(round(moment / self._stream.time_base), stream=self._stream, backward=True)
        except (av.error.FFmpegError, OverflowError):
            self._seekable = False
            return
        self._frames = frames(self._container, self._stream)
        self._next = None
        first = next((f for f in self._frames if f.time is not None), None)
        if first is None or first.time > moment:
            # It landed behind the moment or nowhere: back to the beginning, and from now on straight through.
            self._seekable = False
            self._rewind(shown, ahead)
            return
        self._next = first

    def _rewind(self, current: Any, ahead: Any) -> None:
        self._shown, self._next = current, ahead
        try:
            self._container.seek(0)
        except av.error.FFmpegError:
            return
        self._frames = frames(self._container, self._stream)
        if ahead is not None:
            self._frames = (f for f in self._frames if f.time is not None and f.time > ahead.time)


def _key_times(stream: Any) -> list[float]:
    """Times of the key frames that the container's index names, rising; empty if it has no index."""
    if not stream.time_base:
        return []
    times = [float(e.timestamp * stream.time_base) for e in stream.index_entries if e.is_keyframe and not e.is_discard]
    return sorted(times) if len(times) > 1 else []


def _last(container: InputContainer, stream: Any) -> tuple[float | None, bool]:
    """The end, in seconds, of the packets from here on, and whether their stamps rise."""
    end: float | None = None
    rising, before = True, float("-inf")
    rate = float(getattr(stream, "average_rate", None) or 0)  # sounds have none
    usual = 1 / rate if 0 < rate < 1000 else 0.0
    for packet in packets(container, stream):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None and packet.time_base:
            stored = float((stamp if packet.dts is None else packet.dts) * packet.time_base)
            rising, before = rising and stored >= before - BACK_S, max(before, stored)
            until = float(stamp * packet.time_base) + (float((packet.duration or 0) * packet.time_base) or usual)
            end = until if end is None else max(end, until)
    return end, rising
