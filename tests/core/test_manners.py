"""How much of the machine a run takes."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import mmsearch
from mmsearch.core.config import Settings
from mmsearch.core.manners import IDLE_SHARE, IdleWait, Load, look, others_share
from tests.conftest import CHECKOUT

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_what_others_use_is_all_that_is_not_ours() -> None:
    before = Load(at=10.0, everybody=100.0, ours=40.0)
    assert others_share(before, Load(12.0, 104.0, 43.0), machine_cores=4) == 1 / 8
    assert others_share(before, Load(12.0, 104.0, 44.5), machine_cores=4) == 0.0
    assert others_share(before, Load(12.0, 190.0, 40.0), machine_cores=4) == 1.0


def test_it_waits_until_others_use_less_than_a_quarter_of_the_cores() -> None:
    cores = os.cpu_count() or 1
    busy, idle = IDLE_SHARE * cores, 0.9 * IDLE_SHARE * cores
    looks = iter([Load(0.0, 0.0, 0.0), Load(1.0, busy, 0.0), Load(2.0, 2 * busy, 0.0), Load(3.0, 2 * busy + idle, 0.0)])
    cancel, told = _Counted(), list[str]()
    IdleWait(cancel, lambda: next(looks)).wait(lambda: told.append("waits"))
    assert (told, cancel.waited) == (["waits", "waits"], 2)
    assert next(looks, None) is None


def test_a_cancelled_run_waits_no_longer() -> None:
    def growing() -> Iterator[Load]:
        for n in range(10**9):
            yield Load(float(n), n * 1000.0, 0.0)

    looks, cancel = growing(), threading.Event()
    IdleWait(cancel, lambda: next(looks)).wait(cancel.set)
    assert cancel.is_set()


class _Counted:
    """Never cancelled, and waits no time."""

    waited = 0

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float | None = None) -> bool:
        self.waited += 1
        return False


@linux
def test_a_look_counts_this_process_as_ours() -> None:
    before = look()
    while os.times().user + os.times().system < 0.05:
        pass
    after = look()
    assert after.ours >= before.ours and after.everybody >= before.everybody


BOUND = """
import os, subprocess, sys, threading
ready, end = threading.Event(), threading.Event()
thread = threading.Thread(target=lambda: (ready.set(), end.wait()))
thread.start()
ready.wait()
from mmsearch.core.manners import bound_process
bound_process(1, 7)
tasks = os.listdir("/proc/self/task")
print({len(os.sched_getaffinity(int(task))) for task in tasks}, {os.getpriority(0, int(task)) for task in tasks})
bound_process(0, 3)
print(os.getpriority(0, 0), os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"])
child = "import os; print(len(os.sched_getaffinity(0)), os.getpriority(0, 0))"
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout)
end.set()
"""


@linux
@pytest.mark.slow
def test_every_thread_and_every_child_is_bound() -> None:
    made = subprocess.run(
        [sys.executable, "-c", BOUND], capture_output=True, text=True, cwd=CHECKOUT, check=True
    ).stdout
    assert made.splitlines()[:3] == ["{1} {7}", "7 1 1", "1 7"]


def test_jobs_bound_the_decoding_processes_too() -> None:
    assert Settings(workers=4, jobs=2).decode_workers == 2
    assert Settings(workers=1, jobs=2).decode_workers == 1
    assert Settings(jobs=1).decode_workers == 1


def test_an_application_is_not_bound() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with mmsearch.open(jobs=1, nice=9) as library:
        assert (library.settings.jobs, library.settings.nice) == (1, 9)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
