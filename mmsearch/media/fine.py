"""A page or a screen in the detail that one digit shows in: the second proof, made of the files, that two are one."""

import math
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.media.sameness.pictures import residual
from mmsearch.types import Prepared, Segment

TARGET = "mmsearch.media.fine:fine_space"
"""What a pool of workers takes for a space."""

PIXELS = 2_300_000
"""Of a copy, at most."""
COMPARED = 700_000
"""Of the smaller of two, at most, where they are laid over each other: what half a page loses ends there."""
NEEDED = 360
"""Pixels of the shorter side below which a small digit can't be told from another in a copy of another size: nothing is
proved then. Where nothing was lost by the size, pictures are compared however small they are."""

LEVELS, OUTSTANDING = 31.0, 7.2
"""What four neighbouring cells may differ by, in grey levels, and how many times what is left as a whole."""


def fine_copy(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture, uint8 (height, width, 3), in grey, uint8 (height, width), smaller where it has more than `PIXELS`."""
    # Only workers, and who compares two, need Pillow for it: a search by words loads none.
    from PIL import Image

    return _at_most(np.asarray(Image.fromarray(pixels).convert("L")), PIXELS)


def _at_most(copy: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    from PIL import Image

    share = math.sqrt(pixels / copy.size)
    if share >= 1:
        return copy
    height, width = (max(1, int(side * share)) for side in copy.shape)
    return np.asarray(Image.fromarray(copy).resize((width, height), Image.Resampling.BILINEAR))


def show_the_same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two copies differ in no digit.

    The larger is made as small as the other in each way that programs do it. One of them is the way it was made, if it
    was made of it, and leaves next to nothing but what JPEG changed.

    Args:
        one, other: Of `fine_copy`.
    """
    small, large = sorted((one, other), key=lambda copy: copy.size)
    if small.shape != large.shape and min(small.shape) < NEEDED:
        return False
    worst, usual = differences(small, large)
    return worst <= LEVELS and worst <= OUTSTANDING * (usual + 0.4)


def differences(small: NDArray[np.uint8], large: NDArray[np.uint8]) -> tuple[float, float]:
    """What four neighbouring cells differ by at most, and the root mean square, in grey levels."""
    ways = [large] if small.shape == large.shape else _made_small(large, small.shape)
    shown = _at_most(small, COMPARED).astype(np.float32)
    rests = [residual(shown, _at_most(way, COMPARED).astype(np.float32)) for way in ways]
    return min(rests, key=lambda found: found[1])


def _made_small(copy: NDArray[np.uint8], shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    from PIL import Image

    image, ways = Image.fromarray(copy), Image.Resampling
    for way in (ways.LANCZOS, ways.BICUBIC, ways.BILINEAR, ways.BOX, ways.HAMMING):
        yield np.asarray(image.resize((shape[1], shape[0]), way))


class _FineEncoder:
    def prepare(self, segment: Segment) -> Prepared:
        return fine_copy(np.asarray(segment.data))


class _FineSpace:
    def __init__(self) -> None:
        self.encoders = MappingProxyType({"image": _FineEncoder()})


def fine_space() -> Any:
    """What a worker takes for a space: it "prepares" a picture as its fine copy."""
    return _FineSpace()
