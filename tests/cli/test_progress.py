"""What an ingest says of the time that is left."""

from time import monotonic

import pytest

from mmsearch.cli.progress import _left, _Lines
from mmsearch.core.pace import Pace, seconds_left
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


def test_each_count_of_a_job_has_a_pace_of_its_own_without_idle_time() -> None:
    pace = Pace()
    told = [
        (Progress("scan", 0, 0, 0), 0.0, 0.0),
        (Progress("work", 0, 100, 0), 1.0, 0.0),
        (Progress("load", 0, 100, 0), 2.0, 0.0),
        (Progress("load", 0, 100, 0), 30.0, 0.0),
        (Progress("work", 40, 100, 0), 38.0, 40 / 9),
        (Progress("work", 100, 100, 0), 50.0, 100 / 21),
        (Progress("extract", 5, 50, 0), 51.0, 5.0),
        (Progress("extract", 20, 50, 0), 55.0, 4.0),
        (Progress("extract", 3, 10, 0), 56.0, 3.0),  # the next model
        (Progress("done", 100, 100, 0), 60.0, 100 / 21),
    ]
    begun = monotonic() + 1
    pace.of(Progress("scan", 0, 0, 0), begun)
    assert [pace.of(now, begun + at) for now, at, _ in told] == pytest.approx([speed for _, _, speed in told])
    assert seconds_left(Progress("extract", 20, 50, 0), 4.0) == 7.5
    assert seconds_left(Progress("work", 0, 50, 0), 0.0) is None


def test_lines_say_when_words_are_looked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr("mmsearch.core.pace.monotonic", lambda: 0.0)
    monkeypatch.setattr("mmsearch.cli.progress.monotonic", lambda: float(next(clock)))
    lines = _Lines()
    lines(Progress("work", 30, 30, 1))
    lines(Progress("extract", 12, 20, 0))
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "30/30 files", "looking for words: 12/20 files",
    ]  # fmt: skip
