"""What a page shows of a medium: small stills, a strip of frames, how loud a sound is, a clip that every browser plays.

All is made in a decode worker, of the same pixels and samples that a library is made of: a file that crashes a decoder
costs one preview.
"""

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray
from PIL import Image

from mmsearch.errors import Corrupt, LimitExceeded, NotEmbedded
from mmsearch.media import audio, timeline, video
from mmsearch.media import container as files
from mmsearch.media.events import Preview
from mmsearch.types import Decoder, Limits, Modality, Space, Windowing

STILL_QUALITY, STRIP_QUALITY = 80, 60
"""Of WebP, in [0, 100]."""

COLUMNS, ROWS, TILE = 5, 4, 240
"""Frames of a strip, across and down, and the longer side of one in pixels."""

PEAKS = 200
"""Of a waveform."""

CLIP_S, CLIP_SIDE, CLIP_RATE = 60.0, 480, 30
"""Seconds of a clip at most, its shorter side in pixels at most, its frames a second at most."""

_LOUDNESS = Windowing(audio_rate=8000, audio_window_s=10.0, audio_hop_s=10.0)
_SOUND_RATE = 48_000
"""Opus knows no other that suits music."""


def empty_space(_device: str = "auto", _precision: str = "auto") -> Space:
    """A space without encoders: a worker that only makes previews loads no model."""
    return Space("previews", 1, Windowing(), {})


def make_preview(preview: Preview, path: Path, decoder: Decoder, limits: Limits) -> bytes:
    """The bytes of a preview of a file that a decoder takes: WebP, JSON or WebM.

    Raises: MediaError; NotEmbedded if a medium of this kind has no such preview.
    """
    made = _MAKERS.get((preview.kind, decoder.modality))
    if made is None:
        raise NotEmbedded(f"{decoder.modality} has no {preview.kind}")
    return made(preview, path, decoder, limits)


def _picture(preview: Preview, path: Path, decoder: Decoder, limits: Limits) -> bytes:
    kind: Any = type(decoder)
    sized: Decoder = kind(Windowing(image_side=preview.side, animation_frames=1), limits)
    segment = next((one for one in sized.decode(path) if one.modality == "image"), None)
    if segment is None:
        raise Corrupt("no picture in it could be decoded")
    return _still(np.asarray(segment.data), preview.side)


def _frame(preview: Preview, path: Path, _decoder: Decoder, limits: Limits) -> bytes:
    """The frame at `start` seconds; by default where a film has begun."""
    with files.opened_container(path) as container:
        stream = _picture_stream(container, limits)
        at = preview.start
        if at is None:
            at = min(0.1 * (files.duration(container) or 0.0), 10.0)
        frame = timeline.Reader(container, stream).shown_at(timeline.origin(container) + at)
        if frame is None:
            raise Corrupt("no frame in it could be decoded")
        return _still(_pixels(frame, preview.side, limits), preview.side)


def _strip(_preview: Preview, path: Path, _decoder: Decoder, limits: Limits) -> bytes:
    """COLUMNS x ROWS frames, each from the middle of as many even spans, row by row."""
    count = COLUMNS * ROWS
    with files.opened_container(path) as container:
        stream = _picture_stream(container, limits)
        measured, clock = timeline.measured(path, container, stream, limits.duration_s)
        length = measured or files.duration(container) or 0.0
        if length > limits.duration_s:
            raise LimitExceeded(f"{length:.0f} s long, the limit is {limits.duration_s:g} s")
    with files.opened_container(path) as container:
        reader = timeline.Reader(container, files.picture_stream(container), clock)
        origin, tiles = timeline.origin(container), list[Image.Image]()
        for index in range(count):
            frame = reader.shown_at(origin + (index + 0.5) * length / count)
            if frame is not None:
                tiles.append(_shrunk(_pixels(frame, TILE, limits), TILE))
            elif tiles:
                tiles.append(tiles[-1])
    if not tiles:
        raise Corrupt("no frame in it could be decoded")
    width, height = tiles[0].size
    sheet = Image.new("RGB", (COLUMNS * width, ROWS * height))
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index % COLUMNS * width, index // COLUMNS * height))
    return _webp(sheet, STRIP_QUALITY)


def _waveform(_preview: Preview, path: Path, _decoder: Decoder, limits: Limits) -> bytes:
    """JSON: {"duration" in seconds, "peaks": PEAKS numbers in [0, 1]}, each the loudest of an even span."""
    step, loud = 0.02, list[NDArray[np.float32]]()
    block = round(step * _LOUDNESS.audio_rate)
    with files.opened_container(path) as container:
        if not container.streams.audio:
            raise NotEmbedded("it has no sound")
        for segment in audio.sound_segments(path, container, _LOUDNESS, limits):
            samples = np.abs(np.asarray(segment.data, np.float32))
            padded = np.pad(samples, (0, -len(samples) % block))
            at = round((segment.span.start or 0.0) / step)
            held = sum(map(len, loud))
            # The last window may begin before the one before it has ended.
            loud.append(padded.reshape(-1, block).max(axis=1)[max(0, held - at) :])
    blocks = np.concatenate(loud) if loud else np.zeros(1, np.float32)
    edges = np.linspace(0, len(blocks), PEAKS + 1)
    peaks = [blocks[int(a) : max(int(a) + 1, math.ceil(b))].max() for a, b in pairwise(edges)]
    told = {"duration": round(len(blocks) * step, 3), "peaks": [round(min(1.0, float(peak)), 3) for peak in peaks]}
    return json.dumps(told).encode()


def _clip(preview: Preview, path: Path, _decoder: Decoder, limits: Limits) -> bytes:
    """WebM, VP9 and Opus, from `start` to `end` seconds."""
    start = preview.start or 0.0
    end = min(preview.end if preview.end is not None else start + CLIP_S, start + CLIP_S)
    target = io.BytesIO()
    with files.errors_wrapped(), av.open(target, "w", format="webm") as out:
        writers = list(_writers(path, out, limits))
        if not writers:
            raise Corrupt("nothing in it could be decoded")
        for write in writers:
            write(start, end)
    return target.getvalue()


Writer = Callable[[float, float], None]


def _writers(path: Path, out: Any, limits: Limits) -> Iterator[Writer]:
    """What writes the pictures and the sound of a file. Streams are added before anything is written."""
    with files.opened_container(path) as container:
        picture = files.picture_stream(container)
        has_sound = any(one.codec_context is not None for one in container.streams.audio)
        if picture is not None:
            stream = _picture_stream(container, limits)
            width, height = video.shown_size(stream.codec_context, stream.sample_aspect_ratio)
            scale = min(1.0, CLIP_SIDE / max(1, min(width, height)))
            rate = min(CLIP_RATE, max(1, round(float(stream.average_rate or 25))))
            shown = out.add_stream("libvpx-vp9", rate=rate)
            shown.width, shown.height = (max(2, round(side * scale / 2) * 2) for side in (width, height))
            shown.pix_fmt = "yuv420p"
            shown.options = {"deadline": "realtime", "cpu-used": "8", "crf": "36", "b": "0"}
    if picture is not None:
        yield lambda start, end: _write_pictures(path, out, shown, rate, start, end)
    if has_sound:
        heard = out.add_stream("libopus", rate=_SOUND_RATE)
        heard.layout = "stereo"
        yield lambda start, end: _write_sound(path, out, heard, start, end)


def _write_pictures(path: Path, out: Any, stream: Any, rate: int, start: float, end: float) -> None:
    with files.opened_container(path) as container:
        reader = timeline.Reader(container, files.picture_stream(container))
        origin = timeline.origin(container)
        length = files.duration(container)
        end = min(end, length) if length else end
        for number in range(max(1, math.floor((end - start) * rate))):
            frame = reader.shown_at(origin + start + number / rate)
            if frame is None:
                break
            small = frame.reformat(stream.width, stream.height, "yuv420p", interpolation=Interpolation.AREA)
            small.pts, small.time_base = number, Fraction(1, rate)
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))


def _write_sound(path: Path, out: Any, stream: Any, start: float, end: float) -> None:
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=_SOUND_RATE)
    with files.opened_container(path) as container:
        source = next(one for one in container.streams.audio if one.codec_context is not None)
        origin, written = timeline.origin(container), 0
        container.seek(round(max(0.0, origin + start) * 1_000_000))
        for frame in timeline.frames(container, source):
            since = timeline.since(frame, origin)
            if since >= end:
                break
            if since + frame.samples / max(1, frame.sample_rate) <= start:
                continue
            for part in resampler.resample(frame):
                part.pts, part.time_base = written, Fraction(1, _SOUND_RATE)
                written += part.samples
                out.mux(stream.encode(part))
        out.mux(stream.encode(None))


def _picture_stream(container: Any, limits: Limits) -> Any:
    stream = files.picture_stream(container)
    if stream is None:
        raise NotEmbedded("it has no pictures")
    if stream.codec_context.width * stream.codec_context.height > limits.pixels:
        raise LimitExceeded("frames of more pixels than the limit")
    return stream


def _pixels(frame: Any, side: int, limits: Limits) -> NDArray[np.uint8]:
    if frame.width * frame.height > limits.pixels:
        raise LimitExceeded(f"a frame of {frame.width} x {frame.height} pixels")
    return video.upright_rgb(frame, side)


def _still(pixels: NDArray[np.uint8], side: int) -> bytes:
    return _webp(_shrunk(pixels, side), STILL_QUALITY)


def _shrunk(pixels: NDArray[np.uint8], side: int) -> Image.Image:
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def _webp(image: Image.Image, quality: int) -> bytes:
    target = io.BytesIO()
    image.save(target, "WEBP", quality=quality, method=2)
    return target.getvalue()


_MAKERS: Mapping[tuple[str, Modality], Callable[[Preview, Path, Decoder, Limits], bytes]] = {
    ("thumbnail", "image"): _picture,
    ("thumbnail", "video"): _frame,
    ("poster", "video"): _frame,
    ("sprite", "video"): _strip,
    ("waveform", "audio"): _waveform,
    ("waveform", "video"): _waveform,
    ("clip", "audio"): _clip,
    ("clip", "video"): _clip,
}
