"""Squares out of a long picture: an encoder squeezes a picture into a square, which leaves nothing of a panorama."""

import numpy as np
from numpy.typing import NDArray

LONG_FROM = 1.95
"""Longer to shorter side, from which squares are cut: two to one, and what rounding leaves of it."""

MOST, FEWER = 16, 7
"""Squares, and where photos have regions, none of which has more than eight vectors; of what is longer still they are
no squares, but leave nothing out."""

LEAST = 32
"""Pixels of the shorter side, below which there is nothing to see in a square."""


def squares(pixels: NDArray[np.uint8], most: int = MOST) -> list[NDArray[np.uint8]]:
    """Evenly spaced squares along the longer side, neighbours sharing about a half; none of a picture that is not long.

    Args:
        pixels: uint8 (height, width, 3).
        most: Squares.
    """
    height, width = pixels.shape[:2]
    places = _places(max(height, width), min(height, width), most)
    cut = [pixels[:, at:end] if width > height else pixels[at:end] for at, end in places]
    return [np.ascontiguousarray(one) for one in cut]


def boxes(width: int, height: int, most: int = MOST) -> list[tuple[float, float, float, float]]:
    """Where the squares of a picture lie: left, top, right and bottom, as shares of its sides."""
    long = max(width, height)
    shares = [(at / long, end / long) for at, end in _places(long, min(width, height), most)]
    return [(at, 0.0, end, 1.0) if width > height else (0.0, at, 1.0, end) for at, end in shares]


def _places(long: int, short: int, most: int) -> list[tuple[int, int]]:
    """Beginnings and ends along the longer side, in pixels."""
    if short < LEAST or long < LONG_FROM * short:
        return []
    count = min(most, max(3, round(2 * long / short) - 1))
    side = max(short, -(-long // count))
    return [(at, at + side) for at in (round(n * (long - side) / (count - 1)) for n in range(count))]
