"""Which windows of the starter's map are regions: worked out by hand; and one photo through the real weights."""

from typing import Any

import numpy as np
import pytest

from mmsearch.core import registry
from mmsearch.encoders.starter.regions import REGIONS, RegionImage, telling, window_box
from mmsearch.types import SeesRegions, Segment

X, Y, Z = np.eye(3, dtype=np.float32)


@pytest.mark.parametrize(
    ("said", "sure", "most", "chosen"),
    [
        ([X, X], [1, 1], 4, []),  # as the whole says
        ([X, Y, Y], [1, 0.36, 0.25], 4, [1]),  # the surer of two alike
        ([Z, X, Y], [0.25, 1, 0.81], 4, [2, 0]),  # sqrt(0.81) above sqrt(0.25)
        ([Z, X, Y], [0.25, 1, 0.81], 1, [2]),
        ([Y], [0.03], 4, []),  # sqrt(0.03) = 0.17
        ([Y], [0.05], 4, [0]),  # sqrt(0.05) = 0.22
        ([0.6 * X + 0.8 * Y, Y], [0.98, 0.25], 4, [1]),  # 0.4 and 0.5; then 1 - 0.8 is below 0.2
    ],
)
def test_windows_that_say_something_else(said: list[Any], sure: list[float], most: int, chosen: list[int]) -> None:
    assert telling(np.array(said, np.float32), np.array(sure, np.float32), X, most) == chosen


def test_boxes_of_windows() -> None:
    assert window_box(0, 10, 10) == (0.0, 0.0, 0.4, 0.4)
    assert window_box(8, 10, 10) == (0.1, 0.1, 0.5, 0.5)
    assert window_box(48, 10, 10) == (0.6, 0.6, 1.0, 1.0)


@pytest.mark.slow
def test_real_weights_give_the_whole_bit_for_bit_and_regions_of_length_1() -> None:
    space = registry.load_part("spaces", "starter")("cpu")
    encoder = space.encoders["image"]
    assert isinstance(encoder, RegionImage) and isinstance(encoder, SeesRegions)
    assert space.windowing.regions == REGIONS
    draw = np.random.default_rng(0)
    grey = np.full((320, 320, 3), 128, np.uint8)
    noise = grey.copy()
    noise[160:, 160:] = draw.integers(0, 256, (160, 160, 3))
    batch = [encoder.prepare(Segment("image", one)) for one in (grey, noise)]
    whole, regions = encoder.encode_regions(batch, REGIONS)
    assert whole.tobytes() == encoder.encode(batch).tobytes()
    for some in regions:
        assert len(some) <= REGIONS
        for one in some:
            assert abs(float(np.linalg.norm(one.vector)) - 1) < 1e-5
            assert 0 <= one.box[0] < one.box[2] <= 1 and 0 <= one.box[1] < one.box[3] <= 1
