"""Small films of several tracks, made by the tests themselves."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.media_files import RED

RATE = 16_000

SRT = """1
00:00:01,500 --> 00:00:02,500
Where is the <i>lighthouse</i>?

2
00:01:02,000 --> 00:01:04,250 X1:100 X2:200
{\\an8}- Behind the dunes,
- as <font color="#fff">ever</font> &amp; always.
"""


def tone(seconds: float, hz: float) -> NDArray[np.float32]:
    """float32 (samples,) at 16 kHz: a sine, or silence for 0 Hz."""
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def film(
    path: Path,
    sounds: Sequence[NDArray[np.float32]] = (),
    *,
    default: int | None = None,
    colours: Sequence[tuple[int, int, int]] = (RED,) * 60,
    second: Sequence[tuple[int, int, int]] | None = None,
    codec: str = "mpeg4",
    sound_codec: str = "aac",
    at: float = 0.0,
) -> Path:
    """Pictures at 10 a second (25 in a transport stream) and sound tracks, of which one may be the default, from `at`
    seconds on the file's clock. `second`: another track of pictures, which is the default one."""
    fps = 25 if codec == "mpeg2video" else 10
    with av.open(str(path), "w") as container:
        pictures = [_pictures(container, codec, fps) for _ in range(bool(colours) + (second is not None))]
        if second is not None:
            pictures[1].disposition = av.stream.Disposition.default
        streams: list[Any] = [container.add_stream(sound_codec, rate=RATE, layout="mono") for _ in sounds]
        if default is not None:
            streams[default].disposition = av.stream.Disposition.default
        for stream, shown in zip(pictures, (colours, second or ()), strict=False):
            for index, colour in enumerate(shown):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8), format="rgb24")
                frame.pts, frame.time_base = round(1000 * (at + index / fps)), Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        for stream, samples in zip(streams, sounds, strict=True):
            heard = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
            heard.sample_rate, heard.time_base, heard.pts = RATE, Fraction(1, RATE), round(at * RATE)
            container.mux(stream.encode(heard))
            container.mux(stream.encode(None))
    return path


def _pictures(container: Any, codec: str, fps: int) -> Any:
    stream = container.add_stream(codec, rate=fps)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    # MPEG-2 knows a few rates only; the others take times in milliseconds.
    stream.codec_context.time_base = Fraction(1, fps if codec == "mpeg2video" else 1000)
    return stream


def joined(path: Path, *parts: Path) -> Path:
    """One file behind the other, byte by byte."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def with_words(path: Path, codec: str, tracks: list[list[tuple[float, float, str]]], *, pictures: bool = True) -> Path:
    """A film of 5 s, or a sound, with text tracks; times in seconds."""
    with av.open(str(path), "w") as container:
        if pictures:
            main: Any = container.add_stream("vp8" if path.suffix == ".webm" else "mpeg4", rate=2)
            main.width, main.height, main.pix_fmt = 64, 48, "yuv420p"
        else:
            main = container.add_stream("aac", rate=16_000, layout="mono")
        words: list[Any] = [container.add_mux_stream(codec) for _ in tracks]
        for stream in words:
            stream.time_base = Fraction(1, 1000)
        if pictures:
            for number in range(10):
                frame: Any = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 2)
                container.mux(main.encode(frame))
        else:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 80_000), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16_000
            container.mux(main.encode(frame))
        container.mux(main.encode(None))
        for stream, lines in zip(words, tracks, strict=True):
            for number, (start, end, text) in enumerate(lines):
                packet = av.Packet(_packet(codec, number, text))
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = round(1000 * start)
                packet.duration = round(1000 * (end - start))
                container.mux(packet)
    return path


def _packet(codec: str, number: int, text: str) -> bytes:
    data = text.encode()
    if codec == "mov_text":
        return len(data).to_bytes(2, "big") + data
    return f"{number},0,Default,,0,0,0,,{text}".encode() if codec == "ass" else data
