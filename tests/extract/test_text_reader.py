"""In which order the lines of a picture are read, however it hangs."""

import numpy as np
import pytest

from mmsearch.extract.text_reader import Corners, reading_order

LINES = [(10, 10, 200, 30), (220, 12, 300, 32), (10, 50, 300, 70), (10, 90, 150, 110)]
"""Left, top, right, bottom, as they are read; two stand in one row."""


def turned(box: tuple[int, int, int, int], degrees: int) -> Corners:
    """The corners of a line after the picture was turned clockwise, from its new top left."""
    left, top, right, bottom = box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
    for _ in range(degrees // 90):
        corners = np.stack([-corners[:, 1], corners[:, 0]], axis=1)
    return np.roll(corners, degrees // 90, axis=0)


@pytest.mark.parametrize(("degrees", "ahead"), [(0, True), (90, True), (180, False), (270, False)])
def test_lines_are_read_in_their_own_order_whichever_way_the_picture_hangs(degrees: int, ahead: bool) -> None:
    shuffled = [2, 0, 3, 1]
    boxes = [turned(LINES[n], degrees) for n in shuffled]
    assert [shuffled[n] for n in reading_order(boxes, [ahead] * 4)] == [0, 1, 2, 3]
