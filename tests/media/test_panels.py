"""Where a collage is cut: by seams through nearly everything, at places known here to the pixel."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mmsearch.media.image import ImageDecoder
from mmsearch.media.panels import panels
from mmsearch.types import Limits, Windowing


def smooth(seed: int, height: int = 100, width: int = 120) -> NDArray[np.uint8]:
    """Something like a photo: colours that change slowly."""
    small = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def row(*photos: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate(photos, axis=1)


SIX = np.concatenate([row(smooth(0), smooth(1), smooth(2)), row(smooth(3), smooth(4), smooth(5))])


@pytest.mark.parametrize(
    ("picture", "cut"),
    [
        (smooth(0), []),
        (np.full((100, 100, 3), 90, np.uint8), []),
        (smooth(0, 30, 30), []),
        (row(smooth(0), smooth(4)), [(0, 0, 120, 100), (120, 0, 240, 100)]),
        (np.concatenate([smooth(0), smooth(4)]), [(0, 0, 120, 100), (0, 100, 120, 200)]),
    ],
)
def test_panels_of_a_picture(picture: NDArray[np.uint8], cut: list[tuple[int, ...]]) -> None:
    assert panels(picture) == cut


def test_six_photos_in_two_rows() -> None:
    assert panels(SIX) == [(x, y, x + 120, y + 100) for y in (0, 100) for x in (0, 120, 240)]


def test_a_collage_has_its_photos_as_segments_where_regions_are_wanted(tmp_path: Path) -> None:
    Image.fromarray(SIX).save(tmp_path / "a.png")
    found = list(ImageDecoder(Windowing(regions=4), Limits()).decode(tmp_path / "a.png"))
    assert [(one.part, one.span.box) for one in found[:3]] == [
        (False, None), (True, (0.0, 0.0, 120 / 360, 0.5)), (True, (120 / 360, 0.0, 240 / 360, 0.5)),
    ]  # fmt: skip
    assert len(found) == 7 and np.array_equal(found[2].data, smooth(1))
    assert len(list(ImageDecoder(Windowing(), Limits()).decode(tmp_path / "a.png"))) == 1
