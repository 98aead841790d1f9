"""One writer and many readers; what each of them is told when it can't have its way."""

from pathlib import Path

import pytest

from tests.faults.together import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("threads", "processes"), [(4, 0), (0, 2)])
def test_every_answer_is_of_one_commit(tmp_path: Path, threads: int, processes: int) -> None:
    seen = run(tmp_path, threads=threads, processes=processes, enough=lambda turn: turn >= 12)
    assert not [problem for one in seen for problem in one.problems]
    assert len(seen) == threads + processes
    assert all(one.queries for one in seen)
