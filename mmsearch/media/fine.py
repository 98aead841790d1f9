"""A page or a screen in the detail that one digit shows in: the second proof, made of the files, that two are one."""

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.media.sameness.pictures import reduced, residual
from mmsearch.types import Prepared, Segment

TARGET = "mmsearch.media.fine:fine_space"
"""What a pool of workers takes for a space."""

SIDE = 768
"""Of a copy, at most."""
NEEDED = 512
"""Pixels of the shorter side below which a small digit can't be told from another in a copy of another size: nothing is
proved then. Where nothing was lost by the size, pictures are compared as they are: of 36 pages of 360 to 480 pixels
what quality 60 changes is 20 levels and 4.8 times the rest at most, another digit 46 and 12 at least."""
SHARE, LARGEST = 0.75, 512
"""Of the smaller copy's side, at which two are compared, and that side at most: what half a page loses ends there."""

LEVELS, OUTSTANDING = 31.0, 8.2
"""What four neighbouring cells may differ by, in grey levels, and how many times what is left as a whole. Of 50 drawn
pages saved at quality 60 and at half size 27 and 7.5 at most; of pages that differ in a digit 35 and 9.2 at least. Of
another 72, on which nothing was chosen, 27 and 7.2, and 37 and 9.1."""


def fine_copy(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture, uint8 (height, width, 3), stretched to a square, uint8 (side, side)."""
    # Only workers need Pillow for it: a search by words loads none.
    from PIL import Image

    image = Image.fromarray(pixels).convert("L")
    side = min(SIDE, *image.size)
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def show_the_same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two copies differ in no digit.

    Args:
        one, other: Of `fine_copy`.
    """
    smaller = min(len(one), len(other))
    if smaller < NEEDED and len(one) != len(other):
        return False
    side = smaller if smaller < NEEDED else min(LARGEST, int(SHARE * smaller))
    worst, usual = residual(reduced(one, side), reduced(other, side))
    return worst <= LEVELS and worst <= OUTSTANDING * (usual + 0.4)


class _FineEncoder:
    def prepare(self, segment: Segment) -> Prepared:
        return fine_copy(np.asarray(segment.data))


class _FineSpace:
    def __init__(self) -> None:
        self.encoders = MappingProxyType({"image": _FineEncoder()})


def fine_space() -> Any:
    """What a worker takes for a space: it "prepares" a picture as its fine copy."""
    return _FineSpace()
