"""Photos that something happened to: noise, or blur. What is learned of photos shall hold of these too."""

import numpy as np
from numpy.typing import NDArray

from mmsearch.media.pixels import blurred

NOISE, BLUR = (0.05, 0.25), (0.005, 0.02)
"""Standard deviations: of the noise as a share of the range, of the blur as a share of the shorter side."""


def damaged(photo: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    """A copy of a photo, both uint8 (height, width, 3): noisy or blurred, at any strength."""
    if draw.random() < 0.5:
        noise = 255 * draw.uniform(*NOISE) * draw.standard_normal(photo.shape, np.float32)
        return np.asarray((photo + noise).round().clip(0, 255), np.uint8)
    return blurred(photo, draw.uniform(*BLUR) * min(photo.shape[:2]))
