"""What an ingest says of the time that is left."""

import pytest

from mmsearch.cli.progress import _left
from mmsearch.types import Progress


@pytest.mark.parametrize(
    ("done", "speed", "expected"),
    [
        (1, 0.2, ""),
        (9, 5.0, ""),
        (10, 10.0, "40 s left"),
        (10, 1.0, "6 min left"),
        (50, 0.05, "2 h 0 min left"),
    ],
)
def test_the_time_left_is_told_once_some_files_are_done(done: int, speed: float, expected: str) -> None:
    assert _left(Progress("work", done, 410, 0), speed) == expected
