"""How much of the machine a long run takes: so many cores, behind everybody else, and only while nobody needs them."""

import os
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, process_time
from typing import Protocol

from mmsearch.errors import InvalidInput

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "RAYON_NUM_THREADS")
"""What numeric libraries read, as they are loaded, and decoders and workers inherit."""

IDLE_SHARE = 0.25
"""Share of the machine's cores that other programs may use while it still counts as idle."""

LOOK_S = 1.0
"""Seconds between two looks at the machine."""


class Cancel(Protocol):
    """What a `threading.Event` can do for whoever waits."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


def bound_process(jobs: int, nice: int) -> None:
    """Bound this whole process, and those it starts. For processes of our own alone: it can't be undone.

    On Linux `jobs` is a hard bound: every thread of it runs on so many cores and no others. Elsewhere it is how many
    threads each numeric library may have.

    Args:
        jobs: Cores; 0 for as many as there are.
        nice: Priority as Unix has it, in [0, 19]: a process with a higher number gives way to the others. Never
            lowers what the process has already.
    """
    if jobs:
        for name in THREADS:
            os.environ[name] = str(jobs)
        _keep_to(jobs)
    if nice and hasattr(os, "setpriority"):
        for task in _tasks():
            with suppress(OSError):
                if os.getpriority(os.PRIO_PROCESS, task) < nice:
                    os.setpriority(os.PRIO_PROCESS, task, nice)


def cores() -> int:
    """Those that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _keep_to(jobs: int) -> None:
    if sys.platform != "linux":
        return
    allowed = sorted(os.sched_getaffinity(0))
    # By chance, so that two runs seldom share a core while another has nothing to do.
    chosen = random.sample(allowed, min(jobs, len(allowed)))
    for task in _tasks():
        with suppress(OSError):
            os.sched_setaffinity(task, chosen)


def _tasks() -> list[int]:
    """Every thread: on Linux each has a priority and cores of its own, those to come get its starter's."""
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        return [0]


@dataclass(frozen=True, slots=True)
class Load:
    """What has been used of the machine at a moment, in seconds of CPU since some time ago."""

    at: float
    """Seconds of a clock."""
    everybody: float
    ours: float


def others_share(before: Load, after: Load, machine_cores: int) -> float:
    """The share of all cores, in [0, 1], that other programs used between two looks."""
    spent = max(after.at - before.at, 1e-6) * machine_cores
    return min(max((after.everybody - before.everybody) - (after.ours - before.ours), 0.0) / spent, 1.0)


def look() -> Load:
    """What is used now. Raises: InvalidInput where the system doesn't tell (elsewhere than on Linux)."""
    try:
        ticks = [int(n) for n in Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:]]
    except (OSError, ValueError) as error:
        raise InvalidInput(
            "only Linux says how much other programs use", hint="leave out when-idle; nice gives way as well"
        ) from error
    per_second = os.sysconf("SC_CLK_TCK")
    # user nice system idle iowait irq softirq steal; guests are in user.
    busy = (sum(ticks[:3]) + sum(ticks[5:8])) / per_second
    return Load(monotonic(), busy, _own_seconds(per_second))


def _own_seconds(per_second: int) -> float:
    """Of this process, its children that live, and those that have ended."""
    ended = os.times()
    used = process_time() + ended.children_user + ended.children_system
    for task in _tasks():
        with suppress(OSError):
            for child in Path(f"/proc/self/task/{task}/children").read_text("ascii").split():
                with suppress(OSError, ValueError, IndexError):
                    fields = Path(f"/proc/{child}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                    used += (int(fields[11]) + int(fields[12])) / per_second
    return used


class IdleWait:
    """Lets a run go on only while the machine is idle: other programs use less than `IDLE_SHARE` of its cores."""

    def __init__(self, cancel: Cancel, looks: Callable[[], Load] = look) -> None:
        """Raises: InvalidInput where the system doesn't tell."""
        self._cancel, self._look = cancel, looks
        self._last = looks()
        self._cores = os.cpu_count() or 1

    def wait(self, told: Callable[[], None] = lambda: None) -> None:
        """Return at once if the last look is fresh or the machine idle; otherwise when it is, or when cancelled.

        Args:
            told: Called before it waits.
        """
        if monotonic() - self._last.at < LOOK_S:
            return
        while self._busy() and not self._cancel.is_set():
            told()
            self._cancel.wait(LOOK_S)

    def _busy(self) -> bool:
        before, self._last = self._last, self._look()
        return others_share(before, self._last, self._cores) >= IDLE_SHARE
