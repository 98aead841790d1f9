"""A few random sequences in the default suite; more with MMSEARCH_TEST_SEQUENCES=N (see CONTRIBUTING.md)."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.sequences import TAKEN, Sequences
from tests.faults.world import small_structures

pytestmark = pytest.mark.slow

ASKED = int(os.environ.get("FAULTS_SEQUENCES", 0))


def test_random_sequences_of_changes_crashes_and_restores_agree_with_brute_force() -> None:
    chosen = settings(
        max_examples=ASKED or 10,
        stateful_step_count=50 if ASKED else 20,
        derandomize=not ASKED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    TAKEN.clear()
    with small_structures():
        run_state_machine_as_test(Sequences, settings=chosen)
    print(f"\n{sum(TAKEN.values())} checked steps: {dict(TAKEN)}")
    assert TAKEN["ingest"] and TAKEN["crash"]
