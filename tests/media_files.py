"""Small media files whose content is known, made by the tests themselves."""

import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)

CORNERS = (RED, GREEN, BLUE, WHITE)
"""Top left, top right, bottom left, bottom right of `quarters`."""


def quarters(width: int, height: int) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): four fields of one colour each, so that every turn and flip shows."""
    pixels = np.zeros((height, width, 3), np.uint8)
    middle, centre = height // 2, width // 2
    pixels[:middle, :centre], pixels[:middle, centre:] = CORNERS[0], CORNERS[1]
    pixels[middle:, :centre], pixels[middle:, centre:] = CORNERS[2], CORNERS[3]
    return pixels


def corners(pixels: NDArray[Any]) -> list[tuple[int, int, int]]:
    """The pure colours nearest to the middles of the four quarters, in the order of `CORNERS`."""
    height, width = pixels.shape[:2]
    places = [(height // 4, width // 4), (height // 4, -width // 4), (-height // 4, width // 4)]
    places.append((-height // 4, -width // 4))
    found = []
    for row, column in places:
        red, green, blue = (255 if int(value) > 127 else 0 for value in pixels[row, column])
        found.append((red, green, blue))
    return found


def photo(path: Path, width: int = 64, height: int = 48, **options: Any) -> Path:
    """A picture of four quarters, in the format of the suffix."""
    Image.fromarray(quarters(width, height)).save(path, **options)
    return path


def wav(path: Path, seconds: float, *, hz: float = 1000.0, rate: int = 16_000, channels: int = 1) -> Path:
    """16-bit PCM: a sine of amplitude 0.5 in every channel."""
    time = np.arange(round(seconds * rate)) / rate
    samples = np.round(0.5 * 32767 * np.sin(2 * np.pi * hz * time)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(samples, channels).tobytes())
    return path


def clip(
    path: Path,
    colours: Sequence[tuple[int, int, int]],
    *,
    times: Sequence[float] | None = None,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
    sound_s: float = 0.0,
    sound_at: float = 0.0,
    rotation: int = 0,
    codec: str = "mpeg4",
    tags: dict[str, str] | None = None,
    gop: int = 12,
) -> Path:
    """A video of one-coloured frames, at `times` (seconds) or `fps`, and a 1 kHz tone of `sound_s` at `sound_at`."""
    with av.open(str(path), "w") as container:
        container.metadata.update(tags or {})
        video: Any = container.add_stream(codec, rate=fps)
        video.width, video.height, video.pix_fmt, video.gop_size = *size, "yuv420p", gop
        # MPEG-2 knows a few rates only; the others take times in milliseconds.
        video.codec_context.time_base = Fraction(1, fps if codec == "mpeg2video" else 1000)
        if rotation:
            video.set_display_rotation(rotation)
        audio: Any = container.add_stream("aac", rate=16_000, layout="mono") if sound_s else None
        for index, colour in enumerate(colours):
            pixels = np.full((size[1], size[0], 3), colour, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = round(1000 * (times[index] if times else index / fps))
            frame.time_base = Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _tone(container, audio, sound_s, sound_at)
    return path


def _tone(container: Any, stream: Any, seconds: float, start: float) -> None:
    samples = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(round(seconds * 16_000)) / 16_000)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = 16_000, Fraction(1, 16_000), round(start * 16_000)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def sound(path: Path, seconds: float, codec: str, *, tags: dict[str, str] | None = None, cover: bool = False) -> Path:
    """A 1 kHz tone in any audio codec, with cover art if asked."""
    with av.open(str(path), "w") as container:
        container.metadata.update(tags or {})
        stream: Any = container.add_stream(codec, rate=48_000, layout="mono")
        art: Any = None
        if cover:
            art = container.add_stream("mjpeg")
            art.width, art.height, art.pix_fmt = 16, 16, "yuvj420p"
            art.disposition = av.stream.Disposition.attached_pic
        time = np.arange(round(seconds * 48_000)) / 48_000
        samples = (0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=48_000, frame_size=1152)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        if art is not None:
            picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            container.mux(art.encode(picture.reformat(format="yuvj420p")))
            container.mux(art.encode(None))
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def pdf(path: Path, pages: Sequence[str], *, title: str | None = None) -> Path:
    """A PDF with one line of Latin text a page; an empty string is a page without a text layer."""
    bodies = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    bodies.append(f"<< /Title ({title or ''}) >>".encode())
    kids = []
    for text in pages:
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode("latin-1") if text else b""
        bodies.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        contents = len(bodies)
        bodies.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            b"/Contents %d 0 R >>" % contents
        )
        kids.append(len(bodies))
    bodies[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(b"%d 0 R" % k for k in kids), len(kids))
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(bodies) + 1, table)
    data += b"trailer << /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(bodies) + 1,
        data.rindex(b"xref\n0 "),
    )
    path.write_bytes(data)
    return path
