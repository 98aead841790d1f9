"""What `--jobs` promises, measured: the CPU time of the command and all its processes, by the clock."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import pytest

from tests.conftest import CHECKOUT, Run
from tests.generated import COLOURS, picture

pytestmark = [pytest.mark.extras, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]

ALLOWED = 1.1
"""Cores that --jobs 1 may use: a core, and what clocks round."""


def cores_used(environment: dict[str, str], folder: Path, *arguments: str) -> tuple[float, dict[str, object]]:
    """CPU time by wall time of the whole tree of processes, and what was printed."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    command = [sys.executable, "-m", "mmsearch", "ingest", str(folder), "--json", *arguments]
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    known = {**free, **environment, "PYTHONPATH": str(CHECKOUT), "MMSEARCH_SPACE": "starter", "MMSEARCH_WORKERS": "4"}
    done = subprocess.run(command, env=known, capture_output=True, check=True)
    wall, after = perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent / wall, json.loads(done.stdout)


def test_one_job_uses_no_more_than_a_core(environment: dict[str, str], folder: Path, run: Run) -> None:
    for mark in range(40):
        picture(folder / f"{mark}.png", list(COLOURS)[mark % len(COLOURS)], side=1000 + mark, mark=mark % 9)
    used, report = cores_used(environment, folder, "--jobs", "1")
    assert report["new"] == 40
    assert used <= ALLOWED


def test_a_watch_and_a_server_s_job_step_back(environment: dict[str, str], folder: Path, tmp_path: Path) -> None:
    known = {**os.environ, **environment, "PYTHONPATH": str(CHECKOUT), "MMSEARCH_SPACE": "starter"}
    command = [sys.executable, "-m", "mmsearch", "watch", str(folder), "--json", "--nice", "7", "--jobs", "1"]
    with subprocess.Popen(command, env=known, stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None and b'"watching"' in watch.stdout.readline()
        assert (os.getpriority(os.PRIO_PROCESS, watch.pid), len(os.sched_getaffinity(watch.pid))) == (7, 1)
        watch.terminate()
        watch.wait(60)
    job = """
import json, os, sys
from mmsearch.serve.job_process import _opened
_opened(sys.argv[1], {"nice": 9, "jobs": 1}, None, [])
print(os.getpriority(os.PRIO_PROCESS, 0), len(os.sched_getaffinity(0)))
"""
    done = subprocess.run(
        [sys.executable, "-c", job, str(tmp_path / "library")], env=known, capture_output=True, check=True
    )
    assert done.stdout.split() == [b"9", b"1"]
