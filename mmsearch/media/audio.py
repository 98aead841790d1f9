"""Sounds: mono windows of fixed length at fixed starts, streamed, so that hours of sound need seconds of memory."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from mmsearch.errors import Corrupt, LimitExceeded, Unsupported
from mmsearch.media import container as files
from mmsearch.media import subtitles, timeline, tracks
from mmsearch.media.clock import STRAIGHT, Clock
from mmsearch.types import Limits, Metadata, Modality, Segment, Span, Windowing

_GATHERED = 2**15
"""Samples to resample at once."""

_RATES = (100, 1_000_000)
"""Hz; what lies outside is a damaged header, and a filter for it takes minutes to compute."""


_CANCELLED = 0.1
"""Of the louder channel's power, what the mean of two channels has at most where they cancel each other out. Sounds
that have nothing to do with each other keep 0.5, and one channel alone 0.25."""

_COMPARED = 7
"""Of so many samples one is enough to see that."""

HOLE_S, LONGEST_HOLE_S = 1.0, 3600.0
"""Seconds without sound in a video, beyond the rounding of time stamps and short of broken ones."""


class AudioDecoder:
    """Everything PyAV decodes that has a sound and no moving picture; cover art is no picture.

    Damaged packets are skipped, as players do. What was decoded counts, not what the header promises; a sound of
    which nothing can be decoded is corrupt.
    """

    modality: Modality = "audio"

    def __init__(self, windowing: Windowing, limits: Limits) -> None:
        self._windowing = windowing
        self._limits = limits

    def accepts(self, path: Path, head: bytes) -> bool:
        streams = files.accepts(path, head)
        return streams is not None and not streams.video

    def describe(self, path: Path) -> Metadata:
        """duration (seconds, by the header), codec, sample_rate (Hz), channels, and tags."""
        with files.opened_container(path) as container:
            return sound_facts(container) | files.tags(container)

    def decode(self, path: Path) -> Generator[Segment, None, Metadata]:
        """float32 (samples,), mono in [-1, 1] at `audio_rate`, in windows; then the lines of text tracks; span.start
        and span.end in seconds. Returns the duration where the header's is another."""
        with files.opened_container(path) as container:
            if not container.streams.audio:
                raise Corrupt("no sound in it")
            end = 0.0
            for segment in sound_segments(path, container, self._windowing, self._limits):
                end = max(end, segment.span.end or 0.0)
                yield segment
            if not end:
                raise Corrupt("no sound in it could be decoded")
            if subtitles.text_tracks(container):
                with files.opened_container(path) as again:
                    yield from subtitles.embedded_segments(again, STRAIGHT, timeline.origin(again))
            return tracks.true_duration(files.duration(container), end)


def sound_facts(container: InputContainer) -> Metadata:
    """duration, codec, sample_rate and channels as the header has them, of the main track; and how many tracks there
    are, if several."""
    known: Metadata = {"duration": files.duration(container)}
    if len(container.streams.audio) > 1:
        known["audio_tracks"] = len(container.streams.audio)
    for stream in [*tracks.sound_streams(container), *container.streams.audio][:1]:
        if stream.codec_context is not None:
            known |= {
                "codec": stream.codec_context.name,
                "sample_rate": stream.sample_rate,
                "channels": stream.channels,
            }
    return {name: value for name, value in known.items() if value}


def sound_segments(
    path: Path,
    container: InputContainer,
    windowing: Windowing,
    limits: Limits,
    origin: float | None = None,
    clock: Clock = STRAIGHT,
) -> Iterator[Segment]:
    """Windows of the sound tracks of a file that has been opened, in order of time: of the main one all, of others what
    it doesn't have. Times count from its first sample, or, in a video, from `origin` on the clock (seconds).

    A sound over the limit is refused before it is decoded, or, if its header says less than there is, as soon as more
    has come. Raises: LimitExceeded, Unsupported, and PyAV's own errors.
    """
    main, *others = _streams(container)
    promised = files.duration(container)
    if promised is None or promised > limits.duration_s or not clock.straight:
        _check_length(path, limits)
        promised = None

    def windows_of(opened: InputContainer, stream: Any) -> Iterator[Segment]:
        bounds = _Bounds(path, limits, promised)
        return _track_windows(_Track(opened, stream, windowing.audio_rate, bounds, origin, clock), windowing)

    # What lies inside another file can't be opened again by its path.
    if not others or container.name != f"file:{path}":
        yield from windows_of(container, main)
        return
    with ExitStack() as stack:
        beside = [
            windows_of(again, again.streams[stream.index])
            for stream in others
            for again in [stack.enter_context(files.opened_container(path))]
        ]
        yield from tracks.distinct_windows([windows_of(container, main), *beside], windowing)


def _track_windows(track: "_Track", windowing: Windowing) -> Iterator[Segment]:
    """Windows of one track, each stretch without a hole for itself."""
    rate = windowing.audio_rate
    length, hop = round(windowing.audio_window_s * rate), round(windowing.audio_hop_s * rate)
    for start_s, stretch in groupby(track.chunks(), key=itemgetter(0)):
        for begin, samples in windows((chunk for _, chunk in stretch), length, hop):
            start = start_s + begin / rate
            span = Span(start=round(start, 3), end=round(start + len(samples) / rate, 3))
            yield Segment("audio", _in_range(samples), span, rate)


def _streams(container: InputContainer) -> list[Any]:
    """The sound tracks that have a decoder, the main one first. Raises: Unsupported if there are none."""
    streams = tracks.sound_streams(container)
    if not streams:
        raise Unsupported("no decoder for this codec")
    return streams


def _check_length(path: Path, limits: Limits) -> None:
    """Measure a sound by the times of its packets, undecoded. Raises: LimitExceeded."""
    with files.opened_container(path) as container:
        length, _ = timeline.measured(path, container, _streams(container)[0], limits.duration_s)
    if length is not None and length > limits.duration_s:
        raise _too_long(limits)


def _too_long(limits: Limits) -> LimitExceeded:
    return LimitExceeded(f"longer than {limits.duration_s:g} s")


class _Bounds:
    """How long a sound may become while it is decoded."""

    def __init__(self, path: Path, limits: Limits, promised: float | None) -> None:
        self._path = path
        self._limits = limits
        self._promised = promised
        """Seconds by the header; None if it says nothing or isn't believed any more."""

    def check(self, seconds: float) -> None:
        """Raises: LimitExceeded."""
        if seconds > self._limits.duration_s:
            raise _too_long(self._limits)
        # Codecs pad, and a bit rate tells a length roughly.
        if self._promised is not None and seconds > 1.02 * self._promised + 1:
            self._promised = None
            _check_length(self._path, self._limits)


def _in_range(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Within [-1, 1]: codecs overshoot, and damaged floats may be anything."""
    if np.isfinite(samples).all():
        return np.clip(samples, -1.0, 1.0)
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), -1.0, 1.0)


def windows(chunks: Iterator[NDArray[np.float32]], length: int, hop: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(start, samples): windows at 0, hop, 2 hop, ... up to the first that reaches the end, which may be shorter.

    A window that comes within a fiftieth of its length has reached the end: codecs pad, and for some milliseconds
    of padding a sound of exactly one window would count twice.
    """
    slack = length // 50
    start = covered = 0
    gap = 0  # samples still to drop, for a hop longer than the window
    parts: list[NDArray[np.float32]] = []
    count = 0
    for chunk in chunks:
        parts.append(chunk[gap:])
        count += len(parts[-1])
        gap = max(0, gap - len(chunk))
        if count < length:
            continue
        waiting = np.concatenate(parts)
        while len(waiting) >= length:
            yield start, waiting[:length].copy()
            covered = start + length
            start += hop
            gap = max(0, hop - len(waiting))
            waiting = waiting[hop:]
        parts, count = [waiting], len(waiting)
    if count and (covered == 0 or start + count > covered + slack):
        yield start, np.concatenate(parts)


class _Track:
    """One sound stream as mono samples, chunk after chunk."""

    def __init__(
        self, container: InputContainer, stream: Any, rate: int, bounds: _Bounds, origin: float | None, clock: Clock
    ) -> None:
        self._container = container
        self._stream = stream
        self._rate = rate
        self._bounds = bounds
        self._origin = origin
        self._clock = clock
        self._start: float | None = None
        """Seconds from the origin to the first sample of this stretch."""

    def chunks(self) -> Iterator[tuple[float, NDArray[np.float32]]]:
        """(when the stretch that it belongs to begins, samples). Raises: LimitExceeded."""
        total = 0
        for samples in self._mono():
            total += len(samples)
            self._bounds.check(total / self._rate)
            yield self._start or 0.0, samples

    def _mono(self) -> Iterator[NDArray[np.float32]]:
        shape: tuple[Any, ...] | None = None
        gathered, resampler, until, starts = av.AudioFifo(), None, 0.0, None
        for frame in timeline.frames(self._container, self._stream, self._clock):
            if not frame.samples:
                continue
            if not _RATES[0] <= frame.sample_rate <= _RATES[1]:
                raise Corrupt(f"a sample rate of {frame.sample_rate:,} Hz")
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            # What is said of time costs as much as a frame of 3 ms: only where there are pictures beside it.
            if self._origin is not None:
                starts = self._starts(frame, self._origin, until)
                until += frame.samples / frame.sample_rate
            if now != shape or starts is not None:
                yield from _drained(gathered, resampler)
                shape, gathered = now, av.AudioFifo()
                resampler = av.AudioResampler(format="flt", layout="mono", rate=self._rate)
            if starts is not None:
                self._start, until = starts, starts + frame.samples / frame.sample_rate
            # Times with holes make FFmpeg complain; sound is counted in samples here.
            frame.pts = None
            gathered.write(frame)
            # Some codecs have frames of 3 ms: resampling each alone costs more than decoding it.
            if gathered.samples >= _GATHERED:
                yield from _samples(resampler, in_phase(gathered.read()))
        yield from _drained(gathered, resampler)

    def _starts(self, frame: Any, origin: float, until: float) -> float | None:
        """When a new stretch begins with a frame, in seconds from the origin: the first, and one behind a hole; None if
        it only follows."""
        if self._start is None:
            return 0.0 if frame.time is None else max(0.0, float(frame.time) - origin)
        if frame.time is None:
            return None
        at = float(frame.time) - origin
        return at if HOLE_S < at - until < LONGEST_HOLE_S else None


def in_phase(frame: Any) -> Any:
    """A stereo frame that a mix to mono leaves something of: where its channels cancel each other out, as with one
    swapped wire, both are the louder one. Any other frame is returned as it is."""
    if frame is None or frame.layout.nb_channels != 2:
        return frame
    data = frame.to_ndarray()
    channels = data if frame.format.is_planar else data.reshape(-1, 2).T
    some = channels[:, ::_COMPARED].astype(np.float64) - (128 if data.dtype == np.uint8 else 0)
    power = np.square(some).mean(axis=1)
    if np.square(some.mean(axis=0)).mean() >= _CANCELLED * power.max():
        return frame
    louder = int(power.argmax())
    channels[1 - louder] = channels[louder]
    made = av.AudioFrame.from_ndarray(data, format=frame.format.name, layout=frame.layout.name)
    made.sample_rate, made.pts, made.time_base = frame.sample_rate, frame.pts, frame.time_base
    return made


def _drained(gathered: Any, resampler: Any) -> Iterator[NDArray[np.float32]]:
    if resampler is not None:
        yield from _samples(resampler, in_phase(gathered.read(partial=True)))
        yield from _samples(resampler, None)


def _samples(resampler: Any, frame: Any) -> Iterator[NDArray[np.float32]]:
    for out in resampler.resample(frame):
        if out.samples:
            yield out.to_ndarray().reshape(-1)
