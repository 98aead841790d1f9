"""What is kept of a content to tell whether another one is the same (`media.sameness`), made while it is decoded."""

import hashlib
import unicodedata
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmsearch.media.sameness.evidence import (
    BANDS,
    COLOURS,
    HASHES,
    Evidence,
    PictureEvidence,
    SoundEvidence,
    TextEvidence,
    pack,
)
from mmsearch.types import Modality, Segment

PHOTO, DRAWN, FRAME = 96, 256, 32
"""Sides of the grey copies: of a photo; of a page, a screen or a drawing, where one digit may be the difference; of a
frame of a video."""

DRAWN_FROM = 0.25
"""What `flatness` is from in drawn pictures; of 360 photos 3 % have as much, of pages all."""

PICTURES, FRAMES = 3, 16
"""Pictures of an image file (it may be animated), and frames of a video, at most."""

HOP_S = 0.016
"""Seconds from one frame of a spectrogram to the next; twice as many in a longer sound, and so on."""
FEW_FRAMES, MOST_FRAMES, LONG_HOP_S = 256, 2048, 0.5
FLOOR_DB = 60.0
"""Decibels below the loudest band of the loudest frame that still count."""
SILENT = 1e-8
"""Mean power of a band below which a sound is silent."""

LOWEST_HZ, HIGHEST_HZ = 80.0, 3800.0
"""What telephones and the lowest bit rates keep."""

SHINGLE = 4
"""Words in a run."""


class EvidenceMaker:
    """Takes the segments of one file in their order."""

    def __init__(self, modality: Modality) -> None:
        """`modality`: the file's."""
        self._modality = modality
        self._pictures: list[tuple[NDArray[np.uint8], PictureEvidence | None]] = []
        self._sound = _SoundMaker()
        self._text = _TextMaker()

    def add(self, segment: Segment) -> None:
        if segment.part:
            return
        if segment.modality == "image" and isinstance(segment.data, np.ndarray) and self._modality != "text":
            self._add_picture(segment.data)
        elif segment.modality == "audio" and isinstance(segment.data, np.ndarray):
            self._sound.add(segment.data, segment.rate or 16_000, segment.span.start or 0.0)
        elif isinstance(segment.data, str):
            self._text.add(segment.data, segment.span.page, segment.span.char_start or 0)

    def finish(self, left_out: str = "") -> bytes:
        """What to keep; empty for what nothing can be told of.

        Args:
            left_out: A hash of what no segment has of a text.
        """
        if left_out:
            self._text.seal(left_out)
        pictures = [self._frame(pixels) if made is None else made for pixels, made in _some(self._pictures, FRAMES)]
        evidence = Evidence(tuple(pictures), self._sound.finish(), self._text.finish())
        return pack(evidence) if evidence else b""

    def _add_picture(self, pixels: NDArray[Any]) -> None:
        if self._modality == "video":
            self._pictures.append((_grey_copy(Image.fromarray(pixels), FRAME), None))
        elif len(self._pictures) < PICTURES:
            self._pictures.append((pixels[:0], picture_evidence(pixels)))

    def _frame(self, grey: NDArray[np.uint8]) -> PictureEvidence:
        return PictureEvidence(grey, np.empty((2, 0, 0), np.int8), 0.0)


def _some(values: list[Any], count: int) -> list[Any]:
    """`count` of them at most, evenly spaced."""
    if len(values) <= count:
        return values
    return [values[(2 * n + 1) * len(values) // (2 * count)] for n in range(count)]


def picture_evidence(pixels: NDArray[np.uint8]) -> PictureEvidence:
    """Of a picture, uint8 (height, width, 3)."""
    image = Image.fromarray(pixels)
    large = _grey_copy(image, DRAWN)
    flat = flatness(large)
    grey = large if flat >= DRAWN_FROM else _grey_copy(image, PHOTO)
    small = image.resize((COLOURS, COLOURS), Image.Resampling.BILINEAR, reducing_gap=3.0).convert("YCbCr")
    chroma = np.asarray(small)[:, :, 1:].astype(np.int16) - 128
    return PictureEvidence(grey, np.ascontiguousarray(chroma.transpose(2, 0, 1).astype(np.int8)), flat)


def _grey_copy(image: Image.Image, side: int) -> NDArray[np.uint8]:
    # A triangle filter: what a box keeps depends on where the pixels' edges lie.
    return np.asarray(image.convert("L").resize((side, side), Image.Resampling.BILINEAR))


def flatness(grey: NDArray[np.uint8]) -> float:
    """How much of a copy is drawn rather than photographed, in [0, 1]: the share of its cells that are equal to two of
    their neighbours, or, since scans have noise, what its commonest 16 levels hold beyond 0.3."""
    same = (np.diff(grey, axis=0)[:, 1:] == 0) & (np.diff(grey, axis=1)[1:] == 0)
    held = np.cumsum(np.bincount(grey.ravel(), minlength=256))
    commonest = float((held[16:] - held[:-16]).max()) / grey.size
    return max(float(same.mean()), commonest - 0.3)


class _SoundMaker:
    """A spectrogram of bounded size, whatever the windows that the sound comes in."""

    def __init__(self) -> None:
        self._waiting = np.empty(0, np.float32)
        self._frames: list[NDArray[np.float32]] = []
        self._count = 0
        self._merged = 0
        """How many times frames were merged by two."""
        self._first: float | None = None
        self._samples = self._rate = 0

    def add(self, samples: NDArray[Any], rate: int, start_s: float) -> None:
        if self._first is None:
            self._first, self._rate = start_s, rate
        begin = round((start_s - self._first) * self._rate)
        fresh = samples[max(0, self._samples - begin) :]
        gap = max(0, begin - self._samples)
        self._samples += gap + len(fresh)
        if not len(fresh):
            return
        self._waiting = np.concatenate([self._waiting, np.zeros(min(gap, 600 * rate), np.float32), fresh])
        self._take_all(round(HOP_S * rate))

    def _take_all(self, hop: int) -> None:
        """Turn the waiting samples into frames. There are never more than the limit, which is even: so it does not
        matter in which pieces a sound comes."""
        while True:
            limit = FEW_FRAMES if HOP_S * 2**self._merged < LONG_HOP_S else MOST_FRAMES
            whole = min((len(self._waiting) - hop) // hop // 2**self._merged, limit - self._count)
            if whole > 0:
                self._take(whole * 2**self._merged, hop)
            if self._count < limit:
                return
            power = np.concatenate(self._frames).reshape(-1, 2, BANDS).mean(axis=1)
            self._frames, self._count, self._merged = [power], len(power), self._merged + 1

    def _take(self, count: int, hop: int) -> None:
        frames = np.lib.stride_tricks.sliding_window_view(self._waiting, 2 * hop)[: count * hop : hop]
        power = band_power(frames, self._rate)
        self._waiting = self._waiting[count * hop :]
        power = power.reshape(-1, 2**self._merged, BANDS).mean(axis=1)
        self._frames.append(power)
        self._count += len(power)

    def finish(self) -> SoundEvidence | None:
        if self._rate == 0:
            return None
        hop = round(HOP_S * self._rate)
        left = len(self._waiting) // hop
        if left and not self._merged:
            self._waiting = np.concatenate([self._waiting, np.zeros(2 * hop, np.float32)])
            self._take(left, hop)
        if not self._frames:
            return None
        power = np.concatenate(self._frames)
        loudest = float(power.max())
        if not loudest > SILENT:
            return None
        decibels = 10 * np.log10(np.maximum(power / loudest, 1e-9)) + FLOOR_DB
        levels = np.rint(np.clip(decibels, 0, FLOOR_DB) * 4).astype(np.uint8)
        return SoundEvidence(levels, HOP_S * 2**self._merged, self._samples / self._rate)


def band_power(frames: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Mean power of each band, float32 (frames, bands), of (frames, samples); samples are even in number."""
    cosines, sines, bands = _filters(frames.shape[1], rate)
    half = frames.shape[1] // 2
    early, late = frames[:, :half], frames[:, : half - 1 : -1]
    power = ((early + late) @ cosines) ** 2
    power += ((early - late) @ sines) ** 2
    return np.asarray(power @ bands, np.float32)


@lru_cache(maxsize=8)
def _filters(length: int, rate: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines around the middle, under a Hann window, (length // 2, frequencies), and triangles
    (frequencies, bands) evenly spaced on the mel scale. Only what lies in a band is transformed, half of a frame laid
    over the other: a quarter of the time of numpy's FFT."""
    edges = 700 * (np.exp(np.linspace(np.log1p(LOWEST_HZ / 700), np.log1p(HIGHEST_HZ / 700), BANDS + 2)) - 1)
    hertz = np.fft.rfftfreq(length, 1 / rate)[:, np.newaxis]
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    bands = np.clip(np.minimum(rising, falling), 0, None)
    bands /= np.maximum(bands.sum(axis=0), 1e-9) * length**2
    used = np.flatnonzero(bands.any(axis=1))
    half = length // 2
    angles = 2 * np.pi / length * np.outer(np.arange(half) - (length - 1) / 2, used)
    window = np.hanning(length)[:half, np.newaxis]
    made = (window * np.cos(angles), window * np.sin(angles), bands[used])
    return made[0].astype(np.float32), made[1].astype(np.float32), made[2].astype(np.float32)


class _TextMaker:
    """Lines and runs of words of a text that comes in overlapping passages."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._page: int | None = None
        self._until = 0
        self._line = ""
        self._seen = False
        self._least = np.full(HASHES, np.iinfo(np.uint32).max, np.uint32)
        self._words: list[str] = []
        self._shingles = 0
        self._sealed = b""

    def add(self, text: str, page: int | None, start: int) -> None:
        if self._seen and page == self._page:
            fresh = text[max(0, self._until - start) :]
            # What lies between two passages is white space or signs that are in neither.
            between = "\n" if start > self._until else ""
        else:
            fresh, between = text, "\n\f" if self._seen else ""
        self._seen, self._page, self._until = True, page, max(start + len(text), 0)
        self._take(between + fresh)

    def _take(self, fresh: str) -> None:
        whole = self._line + unicodedata.normalize("NFC", fresh.replace("\r\n", "\n").replace("\r", "\n"))
        lines, _, self._line = whole.rpartition("\n")
        for line in lines.split("\n"):
            self._add_line(line)

    def _add_line(self, line: str) -> None:
        bare = line.rstrip()
        if not bare:
            return
        self._digest.update(bare.encode("utf-8", "replace") + b"\n")
        self._words += bare.split()
        if len(self._words) >= 4096:
            self._hash_words(self._words)
            self._words = self._words[1 - SHINGLE :]

    def _hash_words(self, words: list[str]) -> None:
        runs = [" ".join(words[n : n + SHINGLE]) for n in range(max(1, len(words) - SHINGLE + 1))] if words else []
        if not runs:
            return
        values = np.array([_hash(run) for run in runs], np.uint64)
        self._shingles += len(values)
        factors, offsets = _permutations()
        for n in range(0, len(values), 1024):
            mixed = (values[n : n + 1024, np.newaxis] * factors + offsets) >> np.uint64(32)
            self._least = np.minimum(self._least, mixed.min(axis=0).astype(np.uint32))

    def seal(self, left_out: str) -> None:
        """What was left out counts for whether a text is the same, not for what it has in common with others."""
        self._sealed = left_out.encode()

    def finish(self) -> TextEvidence | None:
        if not self._seen:
            return None
        self._add_line(self._line)
        self._hash_words(self._words)
        self._digest.update(self._sealed)
        return TextEvidence(self._digest.digest()[:16], self._shingles, self._least)


def _hash(run: str) -> int:
    data = run.encode("utf-8", "replace")
    return zlib.crc32(data) << 32 | zlib.adler32(data)


@lru_cache(maxsize=1)
def _permutations() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    chance = np.random.Generator(np.random.PCG64(16))
    high = np.iinfo(np.uint64).max
    factors = chance.integers(1, high, HASHES, dtype=np.uint64) | np.uint64(1)
    return factors, chance.integers(0, high, HASHES, dtype=np.uint64)
