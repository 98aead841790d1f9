"""Sounds: mono windows of fixed length at fixed starts, streamed, so that hours of sound need seconds of memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from mmsearch.errors import Corrupt, LimitExceeded, Unsupported
from mmsearch.media import container as files
from mmsearch.types import Limits, Metadata, Modality, Segment, Span, Windowing


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
        found = files.accepts(path, head)
        return found is not None and not found.video

    def describe(self, path: Path) -> Metadata:
        """duration (seconds, by the header), codec, sample_rate (Hz), channels, and tags."""
        with files.opened(path) as container:
            return facts(container) | files.tags(container)

    def decode(self, path: Path) -> Iterator[Segment]:
        """float32 (samples,), mono in [-1, 1] at `audio_rate`, in windows; span.start and span.end in seconds."""
        with files.opened(path) as container:
            if not container.streams.audio:
                raise Corrupt("no sound in it")
            found = False
            for segment in segments(container, self._windowing, self._limits):
                found = True
                yield segment
            if not found:
                raise Corrupt("no sound in it could be decoded")


def facts(container: InputContainer) -> Metadata:
    """duration, codec, sample_rate and channels as the header has them."""
    known: Metadata = {"duration": files.duration(container)}
    for stream in container.streams.audio[:1]:
        if stream.codec_context is not None:
            known |= {
                "codec": stream.codec_context.name,
                "sample_rate": stream.sample_rate,
                "channels": stream.channels,
            }
    return {name: value for name, value in known.items() if value}


def segments(
    container: InputContainer, windowing: Windowing, limits: Limits, origin: float | None = None
) -> Iterator[Segment]:
    """Windows of the first sound track that has a decoder. Times count from its first sample, or, in a video, from
    `origin` on the container's clock (seconds). Raises: LimitExceeded, Unsupported, and PyAV's own errors.
    """
    stream = next((s for s in container.streams.audio if s.codec_context is not None), None)
    if stream is None:
        raise Unsupported("no decoder for this codec")
    rate = windowing.audio_rate
    track = _Track(container, stream, rate, limits.duration_s)
    for begin, samples in windows(
        track.chunks(), round(windowing.audio_window_s * rate), round(windowing.audio_hop_s * rate)
    ):
        start = track.offset(origin) + begin / rate
        span = Span(start=round(start, 3), end=round(start + len(samples) / rate, 3))
        yield Segment("audio", samples, span, rate)


def windows(chunks: Iterator[NDArray[np.float32]], length: int, hop: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(start, samples): windows at 0, hop, 2 hop, ... up to the first that reaches the end, which may be shorter.

    A window that comes within a fiftieth of its length has reached the end: codecs pad, and for some milliseconds
    of padding a sound of exactly one window would count twice.
    """
    slack = length // 50
    held = np.zeros(0, np.float32)
    start = covered = 0
    gap = 0  # samples still to drop, for a hop longer than the window
    for chunk in chunks:
        held = np.concatenate([held, chunk[gap:]])
        gap = max(0, gap - len(chunk))
        while len(held) >= length:
            yield start, held[:length].copy()
            covered = start + length
            start += hop
            gap = max(0, hop - len(held))
            held = held[hop:]
    if len(held) and (covered == 0 or start + len(held) > covered + slack):
        yield start, held


class _Track:
    """One sound stream as mono samples, chunk after chunk."""

    def __init__(self, container: InputContainer, stream: Any, rate: int, limit_s: float) -> None:
        self._container = container
        self._stream = stream
        self._rate = rate
        self._limit_s = limit_s
        self._shape: tuple[Any, ...] | None = None
        self._resampler: Any = None
        self._first: float | None = None

    def offset(self, origin: float | None) -> float:
        """Seconds from `origin` to the first decoded sample; 0 if the file doesn't say or the sound began earlier."""
        return max(0.0, self._first - origin) if self._first is not None and origin is not None else 0.0

    def chunks(self) -> Iterator[NDArray[np.float32]]:
        """Raises: LimitExceeded."""
        total = 0
        for frame in self._frames():
            for samples in self._resampled(frame):
                total += len(samples)
                if total > self._limit_s * self._rate:
                    raise LimitExceeded(f"longer than {self._limit_s:g} s")
                yield samples
        if self._resampler is not None:
            yield from self._mono(self._resampler, None)

    def _frames(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
            except av.error.FFmpegError:
                # The container ends here, by damage; what came before is sound.
                return
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                continue

    def _resampled(self, frame: Any) -> Iterator[NDArray[np.float32]]:
        if self._first is None and frame.time is not None:
            self._first = float(frame.time)
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if not frame.samples or not frame.sample_rate:
            return
        if shape != self._shape:
            if self._resampler is not None:
                yield from self._mono(self._resampler, None)
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=self._rate)
            self._shape = shape
        # Times with holes make the resampler complain; sound is counted in samples here.
        frame.pts = None
        yield from self._mono(self._resampler, frame)

    def _mono(self, resampler: Any, frame: Any) -> Iterator[NDArray[np.float32]]:
        for out in resampler.resample(frame):
            if out.samples:
                samples = out.to_ndarray().reshape(-1)
                yield np.clip(np.nan_to_num(samples, copy=False), -1.0, 1.0).astype(np.float32, copy=False)
