"""A heat map over the picture it speaks of, as a PNG."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmsearch.errors import InvalidInput

LONGER_SIDE = 640
"""Pixels."""

HOT = (255, 40, 0)
STRONGEST = 0.6
"""Share of the heat's colour where it is hottest."""


def drawable(picture: NDArray[Any]) -> bool:
    """Whether an array can be drawn: uint8 (height, width, 3)."""
    return picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8


def write_overlay(
    picture: NDArray[np.uint8], heat: NDArray[np.float32], size: tuple[int | None, int | None], target: Path
) -> None:
    """Draw heat (rows, columns) over a picture uint8 (h, w, 3), stretched to the proportions of `size`.

    The hottest place is reddest; what is not above zero stays as it is. The folder is made.
    Raises: InvalidInput if it can't be written.
    """
    width, height = size[0] or picture.shape[1], size[1] or picture.shape[0]
    scale = LONGER_SIDE / max(width, height)
    drawn_size = (max(round(width * scale), 1), max(round(height * scale), 1))
    positive = np.clip(heat / max(float(heat.max()), 1e-9), 0, 1)
    shade = Image.fromarray((positive * 255 * STRONGEST).astype(np.uint8)).resize(drawn_size, Image.Resampling.BICUBIC)
    base = Image.fromarray(picture).resize(drawn_size, Image.Resampling.BICUBIC)
    base.paste(Image.new("RGB", drawn_size, HOT), mask=shade)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        base.save(target, "PNG")
    except OSError as error:
        raise InvalidInput(f"can't write {target}: {error.strerror or error}", hint="name another folder") from error
