"""A small part of each fuzzer; `python -m tests.fuzz` goes on for as long as it is told to."""

import pytest

from tests.fuzz import filters, imports, settings
from tests.fuzz.target import Done, Target, fuzz


@pytest.mark.parametrize(
    ("target", "steps"),
    [(filters.TARGET, 20), (imports.TARGET, 5), (settings.TARGET, 60)],
    ids=["filters", "imports", "settings"],
)
@pytest.mark.slow
def test_generated_input_raises_only_our_errors(target: Target, steps: int) -> None:
    done = Done()
    fuzz(target, 1, steps, done, limit_s=float("inf"))
    assert done.steps >= steps // 2


@pytest.mark.slow
def test_the_fuzzer_raises_what_its_target_raises() -> None:
    def step(case: object) -> None:
        raise KeyError(case)

    with pytest.raises(KeyError):
        fuzz(Target(filters.TARGET.cases, step), 1, 1, Done())
