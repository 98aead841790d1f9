"""How fine the detail of pictures is: what a worker measures of the whole picture, where a copy was blown up."""

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Prepared, Segment
from mmsearch.types.contracts import Windowing

TARGET = "mmsearch.media.detail:detail_space"
"""What a pool of workers takes for a space."""

SHRUNK = (0.9, 0.75, 0.6, 0.5, 0.4, 1 / 3, 0.3, 0.25, 0.2, 0.1)
"""Shares of the side at which detail is measured."""

FAR_FROM, CLOSE_FROM = 0.38, 0.41
"""What is lost at a share to what is lost at 0.4 of it, at least (shares up to 0.6, and beyond). Of 24 photos of
Flickr8k 22 and 21 at least have more; 16 that were blown up (bilinear, Lanczos; JPEG 60, 90) 0.36 and 0.39 at most."""
LEAST_LEVELS = 1.0
"""Grey levels that are lost at least: rounding alone loses 0.3, at any share."""

WINDOWING = Windowing(image_side=4096)
"""Pictures of less than 8192 pixels come as they are."""


def detail(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a picture loses when it is shrunk to each share of `SHRUNK` and blown up again: the root mean square in
    grey levels, float32 (shares,)."""
    # Only workers need Pillow for it: a search by words loads none.
    from PIL import Image

    grey = Image.fromarray(pixels).convert("L")
    whole = np.asarray(grey, np.float32)
    lost = []
    for share in SHRUNK:
        small = grey.resize(
            (max(1, round(grey.width * share)), max(1, round(grey.height * share))), Image.Resampling.BOX
        )
        ways = (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.NEAREST)
        rests = [whole - np.asarray(small.resize(grey.size, way), np.float32) for way in ways]
        lost.append(min(float(np.sqrt((rest * rest).mean())) for rest in rests))
    return np.array(lost, np.float32)


def is_finer(lost: NDArray[np.float32], share: float) -> bool:
    """Whether a picture shows what a copy of a share of its side can't show.

    What is lost by so little shrinking is compared with what is lost by more: of photos it is half and more, of what
    was blown up from that share or less next to nothing, but what compression added.

    Args:
        lost: Of `detail`.
    """
    n = max((n for n, one in enumerate(SHRUNK) if one >= share - 0.01), default=None)
    if n is None or lost.shape != (len(SHRUNK),):
        return False
    more = next((m for m, one in enumerate(SHRUNK) if one <= 0.4 * SHRUNK[n] + 0.01), len(SHRUNK) - 1)
    least = CLOSE_FROM if SHRUNK[n] > 0.6 else FAR_FROM
    return float(lost[n]) >= max(LEAST_LEVELS, least * float(lost[more]))


class _DetailEncoder:
    def prepare(self, segment: Segment) -> Prepared:
        return detail(np.asarray(segment.data))


class _DetailSpace:
    def __init__(self) -> None:
        self.encoders = MappingProxyType({"image": _DetailEncoder()})


def detail_space() -> Any:
    """What a worker takes for a space: it "prepares" a picture as its detail."""
    return _DetailSpace()
