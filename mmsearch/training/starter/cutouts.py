"""Pictures that look like clip art, made of photos: a patch on white, at times in few colours or in grey.

No caption speaks of them. A training that shall leave other kinds of pictures where they are needs some of those.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

PATCH = (0.35, 0.8)
"""Share of the photo's sides that is cut out."""
DRAWN = (0.5, 0.95)
"""Share of the new picture's sides that it fills."""
FLATTER = (0.7, 1.0)
"""Its height against its width."""
COLOURS, GREY = 0.4, 0.2
"""Shares of the pictures that get few colours, and none."""
LEVELS = (3, 7)
"""Values of a colour channel that are left."""


def cutout(photo: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    """One of a photo, both uint8 (side, side, 3)."""
    side = len(photo)
    size = int(side * draw.uniform(*PATCH))
    top, left = draw.integers(0, side - size + 1, 2)
    patch = _toned(photo[top : top + size, left : left + size], draw)
    width = int(side * draw.uniform(*DRAWN))
    height = int(width * draw.uniform(*FLATTER))
    resized = F.interpolate(
        torch.from_numpy(patch.astype(np.float32)).permute(2, 0, 1)[None], (height, width), mode="bilinear"
    )[0].permute(1, 2, 0)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    inside = x**2 + y**2 <= 1 if draw.random() < 0.5 else np.ones((height, width), np.bool_)
    made = np.full_like(photo, 255)
    y0, x0 = (side - height) // 2, (side - width) // 2
    made[y0 : y0 + height, x0 : x0 + width][inside] = resized.numpy().round().astype(np.uint8)[inside]
    return made


def _toned(patch: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    kind = draw.random()
    if kind < COLOURS:
        step = 255 / (int(draw.integers(*LEVELS)) - 1)
        return np.asarray((patch / step).round() * step, np.uint8)
    if kind < COLOURS + GREY:
        return np.repeat(patch.mean(2, keepdims=True).astype(np.uint8), 3, axis=2)
    return patch
