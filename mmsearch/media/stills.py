"""What is shown of a medium in a few square centimetres: a small picture of it, or the outline of a sound."""

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Prepared, Segment

TARGET = "mmsearch.media.stills:still_space"
"""What a pool of workers takes for a space."""

SIDE = 256
"""Pixels of a picture's longer side."""

PEAKS = 64
"""Points of a sound's outline."""


def shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture of at most `SIDE` pixels a side, uint8 (height, width, 3)."""
    from PIL import Image  # only workers need Pillow for it

    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image.convert("RGB"))


def outline(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """How loud a sound is along its course, float32 (PEAKS,) in [0, 1]; its loudest part is 1."""
    parts = np.array_split(np.abs(samples), PEAKS)
    peaks = np.array([part.max() if part.size else 0.0 for part in parts], np.float32)
    loudest = float(peaks.max())
    return peaks / np.float32(loudest) if loudest > 0 else peaks


class _Pictures:
    def prepare(self, segment: Segment) -> Prepared:
        return shrunk(np.asarray(segment.data))


class _Sounds:
    def prepare(self, segment: Segment) -> Prepared:
        return outline(np.asarray(segment.data, np.float32))


class _StillSpace:
    def __init__(self) -> None:
        self.encoders = MappingProxyType({"image": _Pictures(), "audio": _Sounds()})


def still_space() -> Any:
    """What a worker takes for a space: it "prepares" a picture as a small one, and a sound as its outline."""
    return _StillSpace()
