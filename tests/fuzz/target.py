"""What is fuzzed and how: cases, and a step that takes one and may only raise what is ours, in little time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from mmsearch.errors import MmsearchError

LIMIT_S = 2.0
"""CPU seconds of a step; cases are of 100 kB at most."""


@dataclass(frozen=True, slots=True)
class Target:
    cases: SearchStrategy[Any]
    step: Callable[[Any], object]
    """May raise MmsearchError; anything else is a find."""
    prepare: Callable[[], object] = lambda: None
    """What the first step would otherwise do for all: its time is nobody's."""


@dataclass(slots=True)
class Done:
    """What a fuzzer did."""

    steps: int = 0
    refused: int = 0
    slowest_s: float = 0.0


def fuzz(target: Target, first: int, steps: int, done: Done, limit_s: float = LIMIT_S) -> None:
    """So many steps from a seed on, added to `done`. Raises: what a step raised, of the smallest case that does so."""

    @seed(first)
    @settings(
        max_examples=steps, deadline=None, database=None, print_blob=False, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(target.cases)
    def one(case: Any) -> None:
        took = _taken(target, case, done)
        if took > limit_s:  # a busy machine charges a process for others
            took = min(took, _taken(target, case, done))
        done.steps, done.slowest_s = done.steps + 1, max(done.slowest_s, took)
        assert took <= limit_s, f"a step took {took:.1f} s"

    target.prepare()
    one()


def _taken(target: Target, case: Any, done: Done) -> float:
    """Carry out a step; CPU seconds."""
    begun = time.process_time()
    try:
        target.step(case)
    except MmsearchError:
        done.refused += 1
    return time.process_time() - begun
