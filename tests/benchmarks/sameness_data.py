"""The pairs that sameness is measured on: altered copies that are the same, and what only looks or sounds alike."""

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WORDS = (
    *("invoice", "total", "amount", "customer", "delivery", "address", "order", "number", "quantity", "price", "net"),
    *("discount", "account", "transfer", "balance", "payment", "received", "thank", "you", "visit", "service", "date"),
    *("period", "contract", "reference", "monthly", "statement", "summary", "tax", "included", "refund", "signature"),
)


def _half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def _cropped(image: Image.Image) -> Image.Image:
    across, down = round(image.width * 0.05), round(image.height * 0.05)
    return image.crop((across, down, image.width - across, image.height - down))


PHOTO_CHANGES: dict[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "q60": (lambda image: image, 60),
    "half": (_half, 90),
    "crop": (_cropped, 90),
    "grey": (lambda image: image.convert("L").convert("RGB"), 90),
}
"""Name -> what is done to a photo, and the JPEG quality it is saved with."""

SOUND_CHANGES: dict[str, tuple[str, str, int]] = {
    "mp3": ("libmp3lame", "mp3", 64_000),
    "opus": ("libopus", "opus", 64_000),
}
"""Name -> codec, suffix, bits a second."""


def alter_photos(originals: Sequence[Path], folder: Path) -> None:
    """Each photo changed in each way, as STEM~CHANGE.jpg."""
    for path in originals:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        for name, (change, quality) in PHOTO_CHANGES.items():
            change(image).save(folder / f"{path.stem}~{name}.jpg", quality=quality)


def bursts(originals: Sequence[Path], folder: Path, seed: int = 0) -> None:
    """A second shot of each photo, as STEM~burst.jpg: shifted by some pixels, noisy, and a part of it moved to where it
    shows."""
    chance = np.random.default_rng(seed)
    for path in originals:
        with Image.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB")).astype(np.float32)
        moved = _moved(pixels, chance)
        shift = chance.integers(0, 3, 2)
        shot = np.roll(moved, tuple(shift), (0, 1)) + chance.normal(0, 3, pixels.shape)
        Image.fromarray(np.clip(shot, 0, 255).astype(np.uint8)).save(folder / f"{path.stem}~burst.jpg", quality=92)


def _moved(pixels: NDArray[np.float32], chance: np.random.Generator) -> NDArray[np.float32]:
    height, width, _ = pixels.shape
    side = max(12, min(height, width) // 10)
    for _ in range(50):
        row, column = chance.integers(0, height - side), chance.integers(0, width - side)
        to_row, to_column = chance.integers(0, height - side), chance.integers(0, width - side)
        part = pixels[row : row + side, column : column + side]
        there = pixels[to_row : to_row + side, to_column : to_column + side]
        if np.abs(part - there).mean() > 30:
            moved = pixels.copy()
            moved[to_row : to_row + side, to_column : to_column + side] = part
            return moved
    return pixels[:, ::-1]


def page(seed: int, digit: int | None = None, size: tuple[int, int] = (1240, 1754)) -> Image.Image:
    """A page of text and amounts; `digit` draws one figure of them anew."""
    chance = random.Random(seed)
    dark = seed % 5 == 4
    ground, ink = ((24,) * 3, (230,) * 3) if dark else ((252,) * 3, (20,) * 3)
    text_size = size[0] // chance.choice((30, 38, 46))
    font = ImageFont.load_default(text_size)
    lines = []
    for _ in range(size[1] // (text_size * 3 // 2) - 6):
        if chance.random() < 0.5:
            lines.append(" ".join(chance.choice(WORDS) for _ in range(chance.randint(2, 7))))
        else:
            amount = f"{chance.randint(1, 999)}.{chance.randint(0, 99):02d}"
            lines.append(
                f"{chance.choice(WORDS)}   {amount} EUR   {chance.randint(2000, 2030)}-{chance.randint(1, 12):02d}"
            )
    if digit is not None:
        drawn = random.Random(digit)
        places = [(n, k) for n, line in enumerate(lines) for k, sign in enumerate(line) if sign.isdigit()]
        row, column = drawn.choice(places)
        other = drawn.choice([sign for sign in "0123456789" if sign != lines[row][column]])
        lines[row] = lines[row][:column] + other + lines[row][column + 1 :]
    image = Image.new("RGB", size, ground)
    pen = ImageDraw.Draw(image)
    for n, line in enumerate(lines):
        pen.text((text_size * 3, text_size * 4 + n * text_size * 3 // 2), line, ink, font=font)
    return image


def logo(seed: int) -> Image.Image:
    """A white word and a shape on nothing."""
    chance = random.Random(seed)
    image = Image.new("RGBA", (400, 240), (255, 255, 255, 0))
    pen = ImageDraw.Draw(image)
    box = (20, 40 + chance.randint(0, 40), 90 + chance.randint(0, 40), 170 + chance.randint(0, 40))
    (pen.ellipse if seed % 2 else pen.rectangle)(box, (255, 255, 255, 255))
    word = "".join(chance.choice("ABCDEFGHKLMNOPRSTUVXYZ") for _ in range(4))
    pen.text((150, 80), word, (255, 255, 255, 255), font=ImageFont.load_default(70))
    return image


def sign(seed: int) -> Image.Image:
    """A sign with an arrow and a word."""
    chance = random.Random(seed)
    image = Image.new("RGB", (640, 400), (chance.randint(20, 90), chance.randint(60, 120), chance.randint(60, 160)))
    pen = ImageDraw.Draw(image)
    pen.polygon([(80, 150), (240, 150), (240, 90), (360, 200), (240, 310), (240, 250), (80, 250)], (250, 250, 250))
    pen.text((390, 160), chance.choice(WORDS)[:7], (250, 250, 250), font=ImageFont.load_default(50))
    return image


def draw_pictures(folder: Path, pages: int = 50) -> None:
    """Pages and copies of each with another figure, logos, signs and their mirror images, flat colours; and what is the
    same: pages as JPEG of quality 60 and at half size."""
    sizes = ((1240, 1754), (1080, 1920), (800, 1100), (2480, 3508))
    for n in range(pages):
        size = sizes[n % len(sizes)]
        made = page(n, None, size)
        made.save(folder / f"page{n}.png")
        page(n, n + 1000, size).save(folder / f"page{n}x.png")
        made.save(folder / f"page{n}~q60.jpg", quality=60)
        _half(made).save(folder / f"page{n}~half.jpg", quality=90)
    for n in range(20):
        logo(n).save(folder / f"logo{n}.png")
        sign(n).save(folder / f"sign{n}.png")
        sign(n).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / f"sign{n}m.png")
    for n in range(12):
        level = 20 * n
        Image.new("RGB", (320 + 10 * n, 240), (level, level // 2, 255 - level)).save(folder / f"flat{n}.png")


def alter_sounds(originals: Sequence[Path], folder: Path) -> None:
    """Each sound by each codec, as STEM~CODEC.SUFFIX; what a codec does not take is left out."""
    for path in originals:
        for name, (codec, suffix, rate) in SOUND_CHANGES.items():
            target = folder / f"{path.stem}~{name}.{suffix}"
            try:
                _transcode_sound(path, target, codec, rate)
            except (av.error.FFmpegError, ValueError):
                target.unlink(missing_ok=True)


def _transcode_sound(source: Path, target: Path, codec: str, bit_rate: int) -> None:
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        track = given.streams.audio[0]
        rate = 48_000 if codec == "libopus" else track.rate
        stream: Any = made.add_stream(codec, rate=rate)
        stream.bit_rate = bit_rate
        shape = "s16" if codec == "libopus" else "s16p"
        resampler = av.AudioResampler(format=shape, layout=track.layout.name, rate=rate)
        for frame in [*given.decode(track), None]:
            if frame is not None:
                frame.pts = None
            for part in resampler.resample(frame):
                part.pts = None
                made.mux(stream.encode(part))
        made.mux(stream.encode(None))


ONE_RECORDING = 0.95
"""Correlation of two waveforms, laid over each other as they fit best, from which they are one recording."""


def one_recording(one: Path, other: Path) -> bool:
    """Whether two sounds have nearly the same waveform, whatever they are called: what the product looks at is how
    spectrograms differ."""
    a, b = _waveform(one), _waveform(other)
    size = 1 << (len(a) + len(b)).bit_length()
    alike = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)
    at = int(np.abs(alike).argmax())
    shift = at if at < size // 2 else at - size
    a, b = a[max(shift, 0) :], b[max(-shift, 0) :]
    length = min(len(a), len(b))
    return bool(np.corrcoef(a[:length], b[:length])[0, 1] >= ONE_RECORDING and 2 * length >= max(len(a), len(b)))


def _waveform(path: Path) -> NDArray[np.float32]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
    with av.open(str(path)) as opened:
        frames = [*opened.decode(opened.streams.audio[0]), None]
        parts = [part.to_ndarray().ravel() for frame in frames for part in resampler.resample(frame)]
    return np.concatenate(parts)


def silences(folder: Path) -> None:
    """Files without a sound, of several lengths."""
    import wave

    for n in range(8):
        with wave.open(str(folder / f"silence{n}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            samples = np.zeros(16_000 * (2 + n // 4) + n, np.int16)
            samples[n] = 1
            file.writeframes(samples.tobytes())


_FAST = {"libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"}, "libx264": {"preset": "veryfast"}}


def transcode_video(
    source: Path, target: Path, codec: str, scale: float = 1.0, between: tuple[float, float] = (0.0, 1e9)
) -> None:
    """The video by another codec, without its sound where the container takes none of ours; or a cut of it.

    Args:
        between: Seconds that are kept.
    """
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        track = given.streams.video[0]
        rate = track.average_rate or Fraction(25)
        width, height = (int(side * scale) // 2 * 2 for side in (track.codec_context.width, track.codec_context.height))
        stream: Any = made.add_stream(codec, rate=rate, options=_FAST.get(codec, {}))
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 600_000
        sound: Any = None
        resampler: Any = None
        if given.streams.audio:
            name = "libopus" if target.suffix == ".webm" else "libmp3lame"
            sound = made.add_stream(name, rate=48_000)
            resampler = av.AudioResampler(format="s16" if name == "libopus" else "s16p", layout="stereo", rate=48_000)
        count = 0
        for frame in given.decode(*([track, given.streams.audio[0]] if sound is not None else [track])):
            if not between[0] <= (frame.time or 0.0) < between[1]:
                continue
            if isinstance(frame, av.VideoFrame):
                image = frame.reformat(width, height, "yuv420p")
                image.pts, image.time_base = count, 1 / Fraction(rate)
                count += 1
                made.mux(stream.encode(image))
            elif resampler is not None and sound is not None:
                frame.pts = None
                for part in resampler.resample(frame):
                    part.pts = None
                    made.mux(sound.encode(part))
        made.mux(stream.encode(None))
        if sound is not None:
            made.mux(sound.encode(None))


VIDEO_CHANGES: dict[str, tuple[str, str, float]] = {
    "h264": ("libx264", "mp4", 1.0), "vp9": ("libvpx-vp9", "webm", 0.5), "mpeg4": ("mpeg4", "mp4", 1.0),
}  # fmt: skip
"""Name -> codec, suffix, scale."""


def alter_videos(originals: Sequence[Path], folder: Path) -> None:
    """Each video transcoded in each way, as STEM~CHANGE.SUFFIX, and two cuts of it, STEM.cut1.mp4 and STEM.cut2.mp4."""
    for path in originals:
        for name, (codec, suffix, scale) in VIDEO_CHANGES.items():
            transcode_video(path, folder / f"{path.stem}~{name}.{suffix}", codec, scale)
        with av.open(str(path)) as opened:
            length = (opened.duration or 5_000_000) / 1_000_000
        transcode_video(path, folder / f"{path.stem}.cut1.mp4", "libx264", between=(0.0, 0.8 * length))
        transcode_video(path, folder / f"{path.stem}.cut2.mp4", "libx264", between=(0.2 * length, length))
