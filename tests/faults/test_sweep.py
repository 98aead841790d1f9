"""Faults at some calls of every operation; `python -m tests.faults` tries all of them (see CONTRIBUTING.md)."""

import json
import subprocess
import sys

import pytest

from tests.faults import shim

pytestmark = [pytest.mark.slow, pytest.mark.extras]

WHY_NOT = shim.missing()


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
def test_no_fault_gives_a_wrong_answer_or_loses_what_was_committed() -> None:
    command = [sys.executable, "-m", "tests.faults", "--every", "331"]
    done = subprocess.run(command, cwd=shim.CHECKOUT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert set(found["by fault"]) == {
        "CRASH", "TORN", "ENOSPC_ONCE", "FULL", "EIO_ONCE", "DEAD", "FLIP", "SHORT", "CLOCK", "CUT_JOURNALLED",
        "CUT_STRICT",
    }  # fmt: skip
