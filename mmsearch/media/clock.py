"""One rising clock for a file whose time stamps start again or jump: recordings that were joined byte by byte
(MPEG-TS, VOB), receivers that lost their signal, writers that broke.

A file is read through without decoding. Where the stamps of a stream leave their course for good, a new part begins;
its stamps are moved so that it follows the part before it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import av
from av.container import InputContainer

JOINED = frozenset({"mpegts", "mpeg"})
"""Formats without an index and without an end, whose files are joined by writing one behind the other: always looked
through, since neither their header nor their end tells."""

BACK_S = 0.3
"""Stamps of a stream rise; from so many seconds back they begin anew."""

GAP_S, LONG_GAP_S = 10.0, 3600.0
"""Seconds in which no stream has anything, from which the clock has jumped: in formats whose clock may, and in others,
whose pictures may stand still."""

NEAR = 2**22
"""Bytes within which the streams of a file reach the same joint."""


class Shift(NamedTuple):
    """From a byte on, what is added to the stamps of a stream."""

    position: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Clock:
    """What brings the stamps of a file's packets onto one clock."""

    shifts: dict[int, tuple[Shift, ...]] = field(default_factory=dict)
    """Stream index -> its shifts, by position. Others, of words, go with any of them."""
    ends: dict[int, float] = field(default_factory=dict)
    """Stream index -> where its last packet ends, in seconds on that clock."""

    @property
    def straight(self) -> bool:
        """Whether the file's own stamps are one clock."""
        return not self.shifts

    def set(self, packet: Any) -> None:
        """Move the stamps of a packet, which its frames inherit."""
        shifts = self.shifts.get(packet.stream.index) or next(iter(self.shifts.values()), ())
        if packet.pos is None or not packet.time_base:
            return
        at = bisect_right(shifts, (packet.pos, float("inf"))) - 1
        if at < 0:
            return
        ticks = round(shifts[at].seconds / packet.time_base)
        if packet.pts is not None:
            packet.pts += ticks
        if packet.dts is not None:
            packet.dts += ticks


STRAIGHT = Clock()


@dataclass(slots=True)
class _Run:
    """Packets of one stream whose stamps rise."""

    stream: int
    position: int
    start: float
    end: float


def measured_clock(container: InputContainer) -> Clock:
    """Read an opened file through to its end. Raises: nothing of what is damaged in it, which just ends it."""
    gap = GAP_S if container.format.name in JOINED else LONG_GAP_S
    runs = _runs(_packets(container), gap)
    joints = _joints(runs)
    shifts, ends = _shifts(runs, joints)
    return Clock(shifts if joints else {}, ends)


def _packets(container: InputContainer) -> Iterator[Any]:
    """Of sounds and moving pictures; only those with a time."""
    streams = [
        one for one in container.streams
        if one.type in ("audio", "video") and not one.disposition & av.stream.Disposition.attached_pic
    ]  # fmt: skip
    packets = container.demux(streams) if streams else iter(())
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        if (packet.dts is not None or packet.pts is not None) and packet.time_base and packet.size:
            yield packet


def _runs(packets: Iterable[Any], gap: float) -> list[_Run]:
    runs: list[_Run] = []
    current: dict[int, _Run] = {}
    before: dict[int, float] = {}
    strange: dict[int, tuple[int, float, float, float]] = {}
    """Of a stream the last packet that was off its course, which one damaged stamp is as well."""
    latest = float("-inf")

    def begin(stream: int, position: int, start: float, end: float) -> None:
        current[stream] = _Run(stream, position, start, end)
        runs.append(current[stream])

    for packet in packets:
        stream, position = packet.stream.index, packet.pos or 0
        at, start, end = _times(packet)
        off = stream in before and not _follows(before[stream], at, max(latest, before[stream]), gap)
        odd = strange.pop(stream, None)
        if off and odd is not None and -BACK_S <= at - odd[1] <= gap:
            begin(stream, odd[0], min(odd[2], start), max(odd[3], end))
            latest = at
        elif off:
            strange[stream] = (position, at, start, end)
            continue
        elif stream not in current:
            begin(stream, position, start, end)
        else:
            run = current[stream]
            run.start, run.end = min(run.start, start), max(run.end, end)
        before[stream], latest = at, max(latest, at)
    return runs


def _follows(before: float, at: float, latest: float, gap: float) -> bool:
    return at >= before - BACK_S and at <= latest + gap


def _times(packet: Any) -> tuple[float, float, float]:
    """When it is decoded, begins and ends, in seconds."""
    base = packet.time_base
    pts = packet.pts if packet.pts is not None else packet.dts
    dts = packet.dts if packet.dts is not None else packet.pts
    rate = float(getattr(packet.stream, "average_rate", None) or 0)
    lasts = float((packet.duration or 0) * base) or (1 / rate if 0 < rate < 1000 else 0.0)
    return float(dts * base), float(pts * base), float(pts * base) + lasts


def _joints(runs: Sequence[_Run]) -> list[int]:
    """Positions at which new parts begin: where a stream's run does, but for the other streams' at the same place."""
    first: set[int] = set()
    joints: list[int] = []
    here: set[int] = set()
    for run in sorted(runs, key=lambda one: one.position):
        if run.stream not in first:
            first.add(run.stream)
        elif joints and run.stream not in here and run.position - joints[-1] <= NEAR:
            here.add(run.stream)
        else:
            joints.append(run.position)
            here = {run.stream}
    return joints


def _shifts(runs: Sequence[_Run], joints: Sequence[int]) -> tuple[dict[int, tuple[Shift, ...]], dict[int, float]]:
    """What each stream is moved by, and where it ends."""
    parts: list[list[_Run]] = [[] for _ in range(len(joints) + 1)]
    for run in runs:
        parts[bisect_right(joints, run.position)].append(run)
    shifts: dict[int, list[Shift]] = {}
    ends: dict[int, float] = {}
    for part in filter(None, parts):
        moved = max(ends.values()) - min(run.start for run in part) if ends else 0.0
        for run in part:
            shifts.setdefault(run.stream, []).append(Shift(run.position, moved))
            ends[run.stream] = max(ends.get(run.stream, float("-inf")), run.end + moved)
    return {stream: tuple(sorted(some)) for stream, some in shifts.items()}, ends
