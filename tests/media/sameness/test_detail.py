"""Whether more pixels of a picture show more: photos do, what was blown up doesn't."""

import numpy as np
import pytest
from PIL import Image

from mmsearch.media.detail import SHRUNK, detail, is_finer

BLOWN = [Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS]


def photo(side: int = 400) -> Image.Image:
    """Detail of every size, the finer the weaker, as photos have."""
    chance = np.random.default_rng(7)
    made = np.zeros((side, side))
    for n, cells in enumerate((4, 8, 16, 32, 64, 128, 256, 400)):
        layer = Image.fromarray(chance.uniform(-128, 128, (cells, cells)).astype(np.float32))
        made += np.asarray(layer.resize((side, side), Image.Resampling.BICUBIC)) * 0.7**n / 2
    return Image.fromarray(np.clip(128 + made, 0, 255).astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_photo_shows_more_than_its_smaller_copy(share: float) -> None:
    assert is_finer(detail(np.asarray(photo())), share)


@pytest.mark.slow
@pytest.mark.parametrize("way", BLOWN)
@pytest.mark.parametrize("times", [2, 3])
def test_a_picture_blown_up_shows_no_more(way: Image.Resampling, times: int) -> None:
    large = photo().resize((400 * times, 400 * times), way)
    assert not is_finer(detail(np.asarray(large)), 1 / times)


def test_nothing_is_finer_without_detail_or_a_smaller_copy() -> None:
    smooth = Image.fromarray(np.arange(64, 192, dtype=np.uint8)[np.newaxis].repeat(128, 0)).convert("RGB")
    assert not is_finer(detail(np.asarray(smooth.resize((256, 256)))), 0.5)
    assert not is_finer(detail(np.asarray(photo())), 1.0)
    assert not is_finer(detail(np.asarray(photo())), 1.5)
    assert not is_finer(np.zeros(len(SHRUNK) + 1, np.float32), 0.5)
