"""What goes wrong with pictures, sounds and words, as pure functions; whatever is random comes from a generator.

Pictures: the families of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations" (ICLR 2019), at strengths between their second and fourth, and changes of framing. Typos: the four edits
of Damerau, "A technique for computer detection and correction of spelling errors" (1964).
"""

import io
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Picture = NDArray[np.uint8]
"""(height, width, 3), sRGB."""
Wave = NDArray[np.float32]
"""(samples,), mono, in [-1, 1]."""
Draw = np.random.Generator

RATE = 16_000
"""Hz, of every wave here."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def noisy(picture: Picture, draw: Draw, deviation: float) -> Picture:
    """Gaussian noise on every value; `deviation` as a share of the range."""
    made = picture + 255 * deviation * draw.standard_normal(picture.shape, np.float32)
    return made.round().clip(0, 255).astype(np.uint8)


def blurred(picture: Picture, draw: Draw, deviation: float) -> Picture:
    """Gaussian blur; `deviation` as a share of the shorter side, so that every size is as blurred to the eye."""
    radius = deviation * min(picture.shape[:2])
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def compressed(picture: Picture, draw: Draw, quality: int) -> Picture:
    """Through a JPEG file of this quality."""
    with io.BytesIO() as file:
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file).convert("RGB"))


def cropped(picture: Picture, draw: Draw, area: float) -> Picture:
    """A piece of this share of the area, of the same proportions, anywhere."""
    height, width = (max(1, round(side * area**0.5)) for side in picture.shape[:2])
    top = int(draw.integers(0, picture.shape[0] - height + 1))
    left = int(draw.integers(0, picture.shape[1] - width + 1))
    return picture[top : top + height, left : left + width].copy()


def turned(picture: Picture, draw: Draw, degrees: float) -> Picture:
    """Counter-clockwise; what lies beyond the corners is grey. Quarter turns lose nothing."""
    if degrees % 90 == 0:
        return np.rot90(picture, int(degrees // 90)).copy()
    image = Image.fromarray(picture)
    return np.asarray(image.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)))


def grey(picture: Picture, draw: Draw) -> Picture:
    """Luma (ITU-R BT.601) in all three channels."""
    return np.asarray(Image.fromarray(picture).convert("L").convert("RGB"))


PICTURES: Mapping[str, Callable[[Picture, Draw], Picture]] = {
    "noise, deviation 0.18": partial(noisy, deviation=0.18),
    "blur, 1.5 % of the side": partial(blurred, deviation=0.015),
    "JPEG, quality 30": partial(compressed, quality=30),
    "JPEG, quality 10": partial(compressed, quality=10),
    "crop, half the area": partial(cropped, area=0.5),
    "turned by 15 degrees": partial(turned, degrees=15),
    "turned by 90 degrees": partial(turned, degrees=90),
    "greyscale": grey,
}


def augmented(picture: Picture, draw: Draw) -> Picture:
    """One of these at a random strength: what a training may see. A quarter turn is left out: that stays unseen."""
    made: Picture = (
        lambda: noisy(picture, draw, draw.uniform(0.05, 0.25)),
        lambda: blurred(picture, draw, draw.uniform(0.005, 0.025)),
        lambda: compressed(picture, draw, int(draw.integers(5, 40))),
        lambda: cropped(picture, draw, draw.uniform(0.3, 0.8)),
        lambda: turned(picture, draw, draw.uniform(-25, 25)),
        lambda: grey(picture, draw),
    )[int(draw.integers(6))]()
    return made


def mixed(wave: Wave, noise: Wave, decibels: float) -> Wave:
    """With noise added, repeated or cut to the wave's length, at this ratio of the mean powers.

    What would leave [-1, 1] is scaled down as a whole, which keeps the ratio. Silence on either side changes nothing.
    """
    fitted = np.resize(noise, len(wave)).astype(np.float64)
    power, disturbing = np.mean(np.square(wave, dtype=np.float64)), np.mean(fitted**2)
    if power == 0 or disturbing == 0:
        return wave.copy()
    made = wave + fitted * np.sqrt(power / disturbing / 10 ** (decibels / 10))
    return np.asarray(made / max(1.0, float(np.abs(made).max())), np.float32)


def white(wave: Wave, draw: Draw, decibels: float) -> Wave:
    """White noise at this signal-to-noise ratio."""
    return mixed(wave, draw.standard_normal(len(wave), np.float32), decibels)


def clipped(wave: Wave, share: float) -> Wave:
    """Cut off at the level that this share of the samples exceeds."""
    limit = np.quantile(np.abs(wave), 1 - share)
    return np.asarray(wave.clip(-limit, limit), np.float32)


def narrowed(wave: Wave, rate: int) -> Wave:
    """As if it had been sampled at this rate: nothing at or above half of it is left."""
    spectrum = np.fft.rfft(wave)
    spectrum[np.fft.rfftfreq(len(wave), 1 / RATE) >= rate / 2] = 0
    return np.fft.irfft(spectrum, len(wave)).clip(-1, 1).astype(np.float32)


def amplified(wave: Wave, decibels: float) -> Wave:
    """Louder or softer; what leaves [-1, 1] is cut off."""
    return np.asarray((wave * np.float32(10 ** (decibels / 20))).clip(-1, 1), np.float32)


SOUNDS: Mapping[str, Callable[[Wave, Wave, Draw], Wave]] = {
    **{f"white noise, {db} dB": lambda w, o, d, db=db: white(w, d, db) for db in (20, 10, 0)},  # type: ignore[misc]
    **{f"another clip, {db} dB": lambda w, o, d, db=db: mixed(w, o, db) for db in (20, 10, 0)},  # type: ignore[misc]
    "clipping, a quarter": lambda w, o, d: clipped(w, 0.25),
    "8 kHz": lambda w, o, d: narrowed(w, 8000),
    "gain, -30 dB": lambda w, o, d: amplified(w, -30),
    "gain, +20 dB": lambda w, o, d: amplified(w, 20),
}
"""Called with the wave, another clip's, and a generator."""


def resounded(wave: Wave, other: Wave, draw: Draw) -> Wave:
    """One of these at a random strength: what a training may see."""
    made: Wave = (
        lambda: white(wave, draw, draw.uniform(-3, 25)),
        lambda: mixed(wave, other, draw.uniform(-3, 25)),
        lambda: clipped(wave, draw.uniform(0.05, 0.4)),
        lambda: narrowed(wave, int(draw.integers(4000, 12_000))),
        lambda: amplified(wave, draw.uniform(-35, 25)),
    )[int(draw.integers(5))]()
    return made


def mistyped(text: str, draw: Draw, edits: int) -> str:
    """With so many edits, in words of their own while there are enough; a text without letters stays as it is."""
    words = text.split(" ")
    lettered = [place for place, word in enumerate(words) if any(one.isalpha() for one in word)]
    if not lettered:
        return text
    order = draw.permutation(lettered)
    for number in range(edits):
        place = int(order[number % len(order)])
        words[place] = _edited(words[place], draw)
    return " ".join(words)


def _edited(word: str, draw: Draw) -> str:
    """One letter inserted, left out, replaced, or swapped with the next: always another word, never an empty one."""
    kind = int(draw.integers(4))
    places = [place for place, one in enumerate(word) if one.isalpha()]
    if not places:
        return word
    place = places[int(draw.integers(len(places)))]
    drawn = LETTERS[int(draw.integers(len(LETTERS)))]
    before, letter, after = word[:place], word[place], word[place + 1 :]
    if kind == 0:
        return before + drawn + letter + after
    if kind == 1 and len(word) > 1:
        return before + after
    if kind == 2 and after[:1].isalpha() and after[0] != letter:
        return before + after[0] + letter + after[1:]
    while drawn == letter:
        drawn = LETTERS[int(draw.integers(len(LETTERS)))]
    return before + drawn + after
