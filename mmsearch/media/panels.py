"""The photos of a collage: a picture made of pictures has seams, straight lines from one edge to the other across which
nearly everything changes at once, while beside them hardly anything does.

The figures were chosen on collages and photos of Flickr8k's dev split: five of six photos in a collage are cut out, and
one photo in sixty is cut though it is none, which costs a few vectors.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Panel = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""

SHORTEST, SMALLEST = 0.2, 0.15
"""Sides of a panel: as a share of what a seam cuts in two, and of the whole picture."""
DEPTH = 3
"""Seams one after the other that lead to a panel, at most."""
MOST = 7
"""Panels, the largest ones."""
LEAST = 64
"""Pixels of a picture's side that may be cut."""
JUMP = 12.0
"""How much a seam changes a place, of 255, averaged over the colours."""
STEEPER = 1.5
"""How many times as much as the places beside it change."""
SHARE = 0.65
"""Of the places along a seam, how many must jump."""
GAP = 1
"""Pixels on either side that a seam may be blurred over."""


def panels(pixels: NDArray[np.uint8]) -> list[Panel]:
    """The parts between seams, row by row; none of a picture without one.

    Args:
        pixels: uint8 (height, width, 3).
    """
    height, width = pixels.shape[:2]
    found = _cut(np.ascontiguousarray(pixels.transpose(2, 0, 1)), (0, 0, width, height), DEPTH)
    if len(found) == 1:
        return []
    sides = [((right - left) / width, (bottom - top) / height) for left, top, right, bottom in found]
    large = [one for one, side in zip(found, sides, strict=True) if min(side) >= SMALLEST]
    large.sort(key=lambda one: (one[0] - one[2]) * (one[3] - one[1]))
    return sorted(large[:MOST], key=lambda one: (one[1], one[0]))


def _cut(colours: NDArray[np.uint8], panel: Panel, depth: int) -> list[Panel]:
    left, top, right, bottom = panel
    inside = colours[:, top:bottom, left:right]
    down, across = _seam(inside, 2), _seam(inside, 1)
    if not depth or max(down[0], across[0]) < SHARE:
        return [panel]
    if down[0] >= across[0]:
        middle = left + down[1]
        halves: tuple[Panel, Panel] = (left, top, middle, bottom), (middle, top, right, bottom)
    else:
        middle = top + across[1]
        halves = (left, top, right, middle), (left, middle, right, bottom)
    return [one for half in halves for one in _cut(colours, half, depth - 1)]


def _seam(colours: NDArray[np.uint8], axis: int) -> tuple[float, int]:
    """The best line across an axis, 1 or 2, of (3, height, width): the share of places that jump, and the row or column
    behind it."""
    length = colours.shape[axis]
    if min(colours.shape[1:]) < LEAST:
        return 0.0, 0
    margin, span = max(round(SHORTEST * length), 3 * GAP), 2 * GAP - 1
    # A step is from GAP columns before a line to as many after it; beside it are the steps on either side.
    part = _between(colours, axis, margin - 3 * GAP, length - margin + GAP + span + 1)
    one, other = _between(part, axis, span, None), _between(part, axis, 0, -span)
    apart = np.maximum(one, other) - np.minimum(one, other)
    # Whole numbers: sums say the same as means, in a tenth of the time.
    step = apart[0].astype(np.uint16) + apart[1] + apart[2]
    axis -= 1
    before, after = _between(step, axis, 0, -4 * GAP), _between(step, axis, 4 * GAP, None)
    middle = _between(step, axis, 2 * GAP, -2 * GAP)
    jumps = (middle > int(3 * JUMP)) & (2 * middle > int(2 * STEEPER) * np.maximum(before, after))
    share = np.count_nonzero(jumps, axis=1 - axis) / jumps.shape[1 - axis]
    best = int(share.argmax())
    return float(share[best]), best + margin


def _between(array: NDArray[Any], axis: int, first: int, end: int | None) -> NDArray[Any]:
    """A view of an array from `first` to before `end` along an axis."""
    return array[(*[slice(None)] * axis, slice(first, end))]
