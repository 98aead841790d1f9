"""Log-mel spectrograms as CLAP's feature extractor makes them of a whole window, with numpy alone.

Mel scales: HTK's (Young et al., The HTK Book) for models with fusion, else Slaney's (Auditory Toolbox, 1998), with
bands of equal area.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.huggingface.checkpoint import whole_number

Floats = NDArray[np.float64]

FLOOR = 1e-10
"""Of the power: -100 dB."""
PADDINGS = ("repeatpad", "repeat", "pad")
BREAK_HZ, BREAK_MEL, HZ_PER_MEL = 1000.0, 15.0, 200 / 3
LOG_STEP = np.log(6.4) / 27
"""Slaney's scale is linear up to `BREAK_HZ`, then logarithmic: a factor of 6.4 every 27 mels."""


@dataclass(frozen=True, slots=True)
class Mel:
    """How a window of sound becomes the model's input."""

    rate: int
    """Hz."""
    samples: int
    """Of a window."""
    fft: int
    """Samples of a frame, windowed by Hann."""
    hop: int
    bands: int
    low: float
    high: float
    """Hz."""
    fusion: bool
    padding: str
    """How a shorter sound fills the window: repeatpad: repeated whole as often as it fits, then silence; repeat:
    repeated and cut; pad: silence."""

    @classmethod
    def parse(cls, config: Mapping[str, Any], *, fusion: bool) -> "Mel":
        """From the config of ClapFeatureExtractor. Raises: KeyError, TypeError, ValueError.

        Nothing has a default: an assumed one would make other vectors, unnoticed.
        """
        rate, seconds = whole_number(config, "sampling_rate"), whole_number(config, "max_length_s")
        fft, hop = whole_number(config, "fft_window_size"), whole_number(config, "hop_length")
        low, high = float(config["frequency_min"]), float(config["frequency_max"])
        if not 0 <= low < high <= rate / 2:
            raise ValueError(f"frequencies from {low} to {high} Hz at {rate} Hz")
        if config["padding"] not in PADDINGS:
            raise ValueError(f"padding = {config['padding']!r}")
        if (config["truncation"] == "fusion") != fusion:
            raise ValueError(f"truncation = {config['truncation']!r}, while enable_fusion = {fusion}")
        bands = whole_number(config, "feature_size")
        return cls(rate, seconds * rate, fft, hop, bands, low, high, fusion, config["padding"])

    @property
    def tag(self) -> str:
        """Says all of it, for the fingerprint."""
        scale = "htk" if self.fusion else "slaney"
        numbers = (self.rate, self.samples, self.fft, self.hop, self.bands, self.low, self.high)
        return f"{'-'.join(f'{number:g}' for number in numbers)}-{scale}-{self.padding}"

    def prepare(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (frames, bands) in dB, of a window of sound float32 (n,); what is longer than a window is cut."""
        filled = np.pad(self._filled(wave[: self.samples]).astype(np.float64), self.fft // 2, "reflect")
        frames = np.lib.stride_tricks.sliding_window_view(filled, self.fft)[:: self.hop]
        power = np.abs(np.fft.rfft(frames * _hann(self.fft), axis=1)) ** 2  # (frames, fft // 2 + 1)
        mel = power @ filters(self)
        return np.asarray(10 * np.log10(np.maximum(mel, FLOOR)), np.float32)

    def _filled(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        whole = np.zeros(self.samples, np.float32)
        if len(wave):
            times = self.samples // len(wave)
            repeated = {"repeatpad": times, "repeat": times + 1, "pad": 1}[self.padding]
            tiled = np.tile(wave, repeated)[: self.samples]
            whole[: len(tiled)] = tiled
        return whole


@cache
def _hann(size: int) -> Floats:
    """Periodic, as for spectra."""
    return np.hanning(size + 1)[:-1]


@cache
def filters(mel: Mel) -> Floats:
    """(fft // 2 + 1, bands): triangles between the bands' neighbours."""
    edges = _edges(mel)  # (bands + 2,)
    bins = np.linspace(0, mel.rate // 2, mel.fft // 2 + 1)[:, None]
    widths = np.diff(edges)
    rising, falling = (bins - edges[:-2]) / widths[:-1], (edges[2:] - bins) / widths[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles if mel.fusion else triangles * (2 / (edges[2:] - edges[:-2]))


def _edges(mel: Mel) -> Floats:
    """Hz of the bands' edges, equally far apart in mels."""
    if mel.fusion:
        first, last = (2595 * np.log10(1 + hz / 700) for hz in (mel.low, mel.high))
        return np.asarray(700 * (10 ** (np.linspace(first, last, mel.bands + 2) / 2595) - 1))
    first, last = (_slaney(hz) for hz in (mel.low, mel.high))
    mels = np.linspace(first, last, mel.bands + 2)
    above = BREAK_HZ * np.exp(LOG_STEP * np.maximum(mels - BREAK_MEL, 0))
    return np.where(mels < BREAK_MEL, mels * HZ_PER_MEL, above)


def _slaney(hz: float) -> float:
    return hz / HZ_PER_MEL if hz < BREAK_HZ else float(BREAK_MEL + np.log(hz / BREAK_HZ) / LOG_STEP)
