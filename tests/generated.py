"""Small media of known content, made where a test needs them: no binary fixture to trust."""

import wave
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "dark": (0, 0, 0)}
TONES = {"low": 200, "mid": 1000, "high": 4000}
"""Hz."""
RATE = 16_000


def picture(path: Path, colour: str, side: int = 32, mark: int = 0) -> Path:
    """A picture of one colour; another `mark` makes another file (one pixel differs a little)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((side, side, 3), COLOURS[colour], np.uint8)
    pixels[0, 0] = (pixels[0, 0].astype(int) ^ (mark % 128)).astype(np.uint8)
    pixels[0, 1] = (pixels[0, 1].astype(int) ^ (mark // 128)).astype(np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return path


def pattern(path: Path, colour: str, side: int = 64, mark: int = 0, seed: int = 0) -> Path:
    """A picture of one hue with light and dark places, the same at every size; another `mark` makes another file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    field = np.random.default_rng(seed).integers(40, 256, (8, 8)).astype(np.uint8)
    light = np.asarray(Image.fromarray(field).resize((256, 256), Image.Resampling.BICUBIC).resize((side, side)))
    pixels = (light[:, :, np.newaxis] * (np.array(COLOURS[colour]) / 255)).astype(np.uint8)
    pixels[0, 0] ^= np.uint8(mark)
    Image.fromarray(pixels).save(path, "PNG")
    return path


def grained(path: Path, colour: str, side: int = 256) -> Path:
    """A `pattern` with grain as fine as 256 pixels show, shrunk to a side."""
    with Image.open(pattern(path, colour, 256)) as image:
        pixels = np.asarray(image).astype(np.float64)
    grain = np.random.default_rng(1).uniform(0.7, 1.0, (256, 256, 1))
    Image.fromarray((pixels * grain).astype(np.uint8)).resize((side, side), Image.Resampling.BOX).save(path, "PNG")
    return path


def agreeing_evidence() -> bytes:
    """What makes any two pictures, sounds, videos and texts the same: then cosines decide."""
    from mmsearch.media.evidence import EvidenceMaker
    from mmsearch.types import Segment

    maker, chance = EvidenceMaker("image"), np.random.default_rng(0)
    maker.add(Segment("image", chance.integers(0, 255, (64, 64, 3), np.uint8)))
    maker.add(Segment("audio", chance.normal(0, 0.1, 16_000).astype(np.float32), rate=16_000))
    maker.add(Segment("text", "the same words"))
    return maker.finish()


def sound(path: Path, *tones: str, seconds: float = 2.5) -> Path:
    """A WAV of tones, one after the other, each of the same length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(RATE * seconds)) / RATE
    samples = np.concatenate([0.5 * np.sin(2 * np.pi * TONES[tone] * time) for tone in tones])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def video(path: Path, *colours: str, seconds: float = 2.0) -> Path:
    """An MP4 that shows one colour after the other, `seconds` each, 8 frames a second, no sound."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for colour in colours:
            pixels = np.full((64, 64, 3), COLOURS[colour], np.uint8)
            for _ in range(int(8 * seconds)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
    return path


def words(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def distinct_words(count: int) -> str:
    """Made-up words of letters alone, no two the same: a text that a person may have written."""
    letters = "abcdefghijklmnopqrst"
    made = (n // 20**3 % 20 * 20**3 + n % 20**3 + (n // 20**4 + 1) * 20**4 for n in range(count))
    return " ".join("".join(letters[one // 20**place % 20] for place in range(5)) for one in made)
