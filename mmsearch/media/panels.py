"""The photos of a collage: a picture made of pictures has seams, straight lines from one edge to the other across which
nearly everything changes at once, while beside them hardly anything does.

The figures were chosen on collages and photos of Flickr8k's dev split: five of six photos in a collage are cut out, and
one photo in sixty is cut though it is none, which costs a few vectors.
"""

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
    found = _cut(pixels.astype(np.float32), (0, 0, width, height), DEPTH)
    if len(found) == 1:
        return []
    sides = [((right - left) / width, (bottom - top) / height) for left, top, right, bottom in found]
    large = [one for one, side in zip(found, sides, strict=True) if min(side) >= SMALLEST]
    large.sort(key=lambda one: (one[0] - one[2]) * (one[3] - one[1]))
    return sorted(large[:MOST], key=lambda one: (one[1], one[0]))


def _cut(pixels: NDArray[np.float32], panel: Panel, depth: int) -> list[Panel]:
    left, top, right, bottom = panel
    inside = pixels[top:bottom, left:right]
    down, across = _seam(inside), _seam(inside.transpose(1, 0, 2))
    if not depth or max(down[0], across[0]) < SHARE:
        return [panel]
    if down[0] >= across[0]:
        middle = left + down[1]
        halves: tuple[Panel, Panel] = (left, top, middle, bottom), (middle, top, right, bottom)
    else:
        middle = top + across[1]
        halves = (left, top, right, middle), (left, middle, right, bottom)
    return [one for half in halves for one in _cut(pixels, half, depth - 1)]


def _seam(pixels: NDArray[np.float32]) -> tuple[float, int]:
    """The best line down (height, width, 3): the share of places that jump, and the column right of it."""
    width = pixels.shape[1]
    margin = max(round(SHORTEST * width), 3 * GAP)
    if min(pixels.shape[:2]) < LEAST:
        return 0.0, 0
    # A step is from GAP columns before a line to as many after it; beside it are the steps on either side.
    step = np.abs(pixels[:, 2 * GAP - 1 :] - pixels[:, : 1 - 2 * GAP]).mean(axis=2)  # (height, width - 3)
    before, after = step[:, : -4 * GAP], step[:, 4 * GAP :]
    jumps = (step[:, 2 * GAP : -2 * GAP] > JUMP) & (step[:, 2 * GAP : -2 * GAP] > STEEPER * np.maximum(before, after))
    share = jumps.mean(axis=0)
    place = np.arange(len(share)) + 3 * GAP  # the column right of the line
    share = np.where((place >= margin) & (place <= width - margin), share, 0.0)
    best = int(share.argmax()) if len(share) else 0
    return (float(share[best]), int(place[best])) if len(share) else (0.0, 0)
