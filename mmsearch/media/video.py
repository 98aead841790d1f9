"""Videos: frames at evenly spaced moments, then the sound track, both on one clock."""

import math
from bisect import bisect_right
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from heapq import merge
from pathlib import Path
from typing import Any

import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from mmsearch.errors import Corrupt, LimitExceeded, MediaError, OutOfMemory, Transient, Unreadable
from mmsearch.media import audio, subtitles, timeline, tracks
from mmsearch.media import container as files
from mmsearch.media.clips import ClipMaker
from mmsearch.media.clock import STRAIGHT, Clock
from mmsearch.media.dates import EARLIEST, written_time
from mmsearch.media.heard import ClipSounds
from mmsearch.media.shots import Taken, shot_segments
from mmsearch.types import Limits, Metadata, Modality, Segment, Span, Windowing

SPARING, SPARED_RATE = ("h264", "hevc"), 23.0
"""Codecs whose frames that no other refers to can be left out, a third of the work; and frames a second from which
enough are left."""
SPARSE_S = 0.2
"""Between two frames, from which that leaves too few."""
WAITING_PIXELS = 1_000_000
"""Of a frame that may wait as it is: some forty do."""


class VideoDecoder:
    """Everything PyAV decodes that has moving pictures.

    Frames: the duration is cut into even spans, at least `min_frames` and at most `frames_per_minute` of them, and the
    frame on the screen in the middle of each is taken; one that is on the screen for several spans is taken once.
    Where the space tells shots apart, each shot has its own instead (`media.shots`).
    For a space that embeds clips, these are taken in the same pass, with their sound where it wants that. Damaged
    frames are skipped; a video of which no frame, but sound can be decoded gives the sound.
    """

    modality: Modality = "video"

    def __init__(self, windowing: Windowing, limits: Limits) -> None:
        self._windowing = windowing
        self._limits = limits

    def accepts(self, path: Path, head: bytes) -> bool:
        streams = files.accepts(path, head)
        return streams is not None and streams.video

    def describe(self, path: Path) -> Metadata:
        """duration (seconds, by the header), width and height as shown, fps, codec, audio_codec, and tags."""
        with files.opened_container(path) as container:
            sound = audio.sound_facts(container)
            known: Metadata = {"duration": files.duration(container), "audio_codec": sound.get("codec")}
            known["audio_tracks"] = sound.get("audio_tracks")
            stream = files.picture_stream(container)
            if stream is not None:
                rate = float(stream.average_rate or 0)
                width, height = shown_size(stream.codec_context, stream.sample_aspect_ratio)
                known |= {"codec": stream.codec_context.name, "width": width, "height": height}
                known["fps"] = round(rate, 3) if math.isfinite(rate) else None
            tags = files.tags(container)
            local = written_time(str(tags.get("date", "")))
            if local and not local.endswith("Z") and local[:4] >= str(EARLIEST):
                tags.setdefault("taken", local)
            return {name: value for name, value in known.items() if value} | tags

    def decode(self, path: Path) -> Generator[Segment, None, Metadata]:
        """Frames as uint8 (height, width, 3) sRGB, upright, the shorter side `image_side` at most; then windows of
        sound as `AudioDecoder` makes them; then the lines of text tracks. span.start and span.end in seconds from the
        start of the file, on a clock that rises even where the file's own begins anew (`media.clock`). Where clips have
        sound, its windows come behind the first clip that needs them. Returns the duration where the header's is
        another.
        """
        end: float | None = None
        trouble: MediaError | None = None
        timing = _Timing()
        frames, sound = self._frames(path, timing), self._sound(path, timing)
        if self._windowing.clip_sound:
            beside = ClipSounds(sound, self._windowing.audio_rate)
            frames, sound = beside.added(frames), beside.rest()
        for part in (frames, sound, self._words(path, timing)):
            try:
                for segment in part:
                    if segment.modality != "text":
                        end = max(end or 0.0, segment.span.end or 0.0)
                    yield segment
            except (LimitExceeded, OutOfMemory, Transient, Unreadable):
                raise
            except MediaError as error:
                trouble = trouble or error
        if end is None:
            raise trouble or Corrupt("neither a frame nor a sound in it could be decoded")
        return tracks.true_duration(timing.promised, max(end, timing.length or 0.0))

    def sound(self, path: Path) -> Iterator[Segment]:
        """The windows of sound alone, as `decode` gives them; no frame is decoded."""
        timing = _Timing()
        with files.opened_container(path) as container:
            if (stream := files.picture_stream(container)) is not None:
                _, timing.clock = timeline.measured(path, container, stream, self._limits.duration_s)
        yield from self._sound(path, timing)

    def _frames(self, path: Path, timing: "_Timing") -> Iterator[Segment]:
        with files.opened_container(path) as container:
            stream = files.picture_stream(container)
            if stream is None:
                return
            context = stream.codec_context
            if context.width * context.height > self._limits.pixels:
                raise LimitExceeded(f"frames of {context.width} x {context.height} pixels")
            length, timing.clock = timeline.measured(path, container, stream, self._limits.duration_s)
            timing.length, timing.promised = length, files.duration(container)
            timing.words = bool(subtitles.text_tracks(container))
            if length is not None and length > self._limits.duration_s:
                raise LimitExceeded(f"{length:.0f} s long, the limit is {self._limits.duration_s:g} s")
        count = max(self._windowing.min_frames, math.ceil((length or 0) / 60 * self._windowing.frames_per_minute))
        # A short clip is looked through twice rather than shown by fewer frames than it has.
        few = count <= self._windowing.min_frames
        clips = ClipMaker(self._windowing, length or 0.0)
        if self._windowing.shots and length:
            yield from self._of_shots(path, length, timing.clock)
            return
        shots = self._sampled(path, length, count, timing.clock, clips) if length else iter(())
        if few:
            taken = list(shots)
            if len(taken) < count:
                taken = list(self._few(path, count, timing.clock)) or taken
            shots = iter(taken)
        for shot in shots:
            yield from clips.ready()
            yield _still(shot)
        yield from clips.rest()

    def _of_shots(self, path: Path, length: float, clock: Clock) -> Iterator[Segment]:
        """Every shot's frames and clips; as many as `_few` finds where that is more."""
        least = self._windowing.min_frames
        with files.opened_container(path) as container:
            stream = files.picture_stream(container)
            found = shot_segments(
                _timed(container, stream, clock), self._taken, length, self._windowing, self._limits.frames_per_minute
            )
            first: list[Segment] = []
            for segment in found:
                first.append(segment)
                if sum(one.modality == "image" for one in first) >= least:
                    break
            else:
                few = [_still(shot) for shot in self._few(path, least, clock)]
                pictures = [one for one in first if one.modality == "image"]
                first = [*max(few, pictures, key=len), *(one for one in first if one.modality != "image")]
            yield from first
            yield from found

    def _taken(self, moment: float, frame: Any) -> Taken:
        """A small frame waits as it is, since most that wait are not chosen; a large one is reduced before."""
        if frame.width * frame.height <= WAITING_PIXELS:
            return Taken(moment, partial(self._pixels, frame))
        sides = {self._windowing.image_side, self._windowing.clip_side or self._windowing.image_side}
        return Taken(moment, {side: self._pixels(frame, side) for side in sides}.__getitem__)

    def _sampled(self, path: Path, length: float, count: int, clock: Clock, clips: ClipMaker) -> Iterator["_Shot"]:
        """The frame in the middle of each of `count` even spans; `clips` get theirs in the same pass."""
        with files.opened_container(path) as container:
            stream = files.picture_stream(container)
            reader = timeline.Reader(container, stream, clock)
            origin = timeline.origin(container)
            step = length / count
            pending: _Shot | None = None
            spans = (((index + 0.5) * step, index, False) for index in range(count))
            wanted = ((moment, number, True) for moment, number in clips.moments())
            for moment, index, of_clip in merge(spans, wanted):
                frame = reader.shown_at(origin + moment)
                if frame is None:
                    continue
                if of_clip:
                    clips.add(index, self._pixels(frame, clips.side))
                    continue
                if pending is not None and pending.pts == frame.pts:
                    pending = replace(pending, end=(index + 1) * step)
                    continue
                if pending is not None:
                    yield pending
                pending = self._shot(frame, index * step, (index + 1) * step)
            if pending is not None:
                yield pending

    def _few(self, path: Path, count: int, clock: Clock) -> Iterator["_Shot"]:
        """`count` frames, or all if there are fewer, of a clip whose frames lie too unevenly for `_sampled`.

        The file is read through twice.
        """
        with files.opened_container(path) as container:
            origin = timeline.origin(container)
            stream = files.picture_stream(container)
            times = [timeline.since(frame, origin) for frame in timeline.frames(container, stream, clock)]
        chosen = spread(times, count)
        with files.opened_container(path) as container:
            for number, frame in enumerate(timeline.frames(container, files.picture_stream(container), clock)):
                if number in chosen:
                    start = times[number]
                    yield self._shot(frame, start, max(start, *times[number + 1 : number + 2], start))

    def _shot(self, frame: Any, start: float, end: float) -> "_Shot":
        return _Shot(frame.pts, self._pixels(frame, self._windowing.image_side), start, end)

    def _pixels(self, frame: Any, side: int) -> NDArray[np.uint8]:
        if frame.width * frame.height > self._limits.pixels:
            raise LimitExceeded(f"a frame of {frame.width} x {frame.height} pixels")
        return upright_rgb(frame, side)

    def _sound(self, path: Path, timing: "_Timing") -> Iterator[Segment]:
        with files.opened_container(path) as container:
            if container.streams.audio:
                origin = timeline.origin(container)
                yield from audio.sound_segments(path, container, self._windowing, self._limits, origin, timing.clock)

    def _words(self, path: Path, timing: "_Timing") -> Iterator[Segment]:
        if timing.words:
            with files.opened_container(path) as container:
                yield from subtitles.embedded_segments(container, timing.clock, timeline.origin(container))


@dataclass(slots=True)
class _Timing:
    """What the pass over the pictures finds out about a file."""

    clock: Clock = STRAIGHT
    length: float | None = None
    """Of the pictures, in seconds."""
    promised: float | None = None
    """By the header."""
    words: bool = True
    """Whether it may have text tracks."""


@dataclass(frozen=True, slots=True, eq=False)
class _Shot:
    pts: int | None
    pixels: NDArray[np.uint8]
    start: float
    end: float


def _timed(container: Any, stream: Any, clock: Clock) -> Iterator[tuple[float, Any]]:
    """(seconds from the start, frame) of many frames a second, but not of all where the codec lets some be left out."""
    origin, before = timeline.origin(container), 0.0
    context = stream.codec_context
    if context.name in SPARING and float(stream.average_rate or 0) >= SPARED_RATE:
        context.skip_frame = "NONREF"
    for frame in timeline.frames(container, stream, clock):
        if frame.time is None:
            continue
        moment = float(frame.time) - origin
        if moment - before > SPARSE_S:
            # Hardly any frame is one that others refer to.
            context.skip_frame = "DEFAULT"
        before = moment
        yield moment, frame


def _still(shot: _Shot) -> Segment:
    return Segment("image", shot.pixels, Span(start=round(shot.start, 3), end=round(shot.end, 3)))


def upright_rgb(frame: Any, side: int) -> NDArray[np.uint8]:
    """uint8 (height, width, 3), sRGB, square pixels, turned as the file says, the shorter side at most `side`."""
    width, height = shown_size(frame, getattr(frame, "sample_aspect_ratio", None))
    scale = min(1.0, side / min(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    small = frame.reformat(width=width, height=height, format="rgb24", interpolation=Interpolation.AREA)
    pixels = small.to_ndarray()
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns))


def spread(times: list[float], count: int) -> set[int]:
    """Numbers of `count` frames (all, if there are fewer): those on the screen in the middles of even spans, and, where
    that is one frame several times, others evenly by number.
    """
    if not times:
        return set()
    step = times[-1] / count
    middles = [max(0, bisect_right(times, (i + 0.5) * step) - 1) for i in range(count)]
    numbers = [(2 * i + 1) * len(times) // (2 * count) for i in range(count)]
    distinct = list(dict.fromkeys([*middles, *numbers, *range(len(times))]))
    return set(distinct[:count])


def shown_size(picture: Any, aspect: Any) -> tuple[int, int]:
    """Width and height in square pixels, before rotation."""
    ratio = float(aspect) if aspect else 1.0
    width = picture.width * ratio if 0.1 < ratio < 10 else picture.width
    return max(1, round(width)), picture.height
