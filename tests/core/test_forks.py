"""What a forked child finds of what its parent's threads were at."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from mmsearch.core import forks
from mmsearch.encoders import device
from mmsearch.errors import Forked
from mmsearch.media.events import DecodeJob, FileDone
from mmsearch.media.pool import DecodePool
from mmsearch.types import Limits, Windowing
from mmsearch.vectors import ReadWriteLock
from mmsearch.vectors.faiss_flat import FaissFlatIndex
from tests import hostile_decoder
from tests.forked import forked
from tests.gpu_stand_in import StandIn

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@contextmanager
def elsewhere(held: AbstractContextManager[object]) -> Iterator[threading.Event]:
    """Another thread holds something until the event is set, or the block ends."""
    inside, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with held:
            inside.set()
            enough.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    try:
        yield enough
    finally:
        enough.set()
        thread.join()


def test_every_lock_is_open_in_a_forked_child() -> None:
    guard, lock = forks.ForkSafeLock(), ReadWriteLock()

    def work() -> str:
        with guard, lock.writing():
            return "done"

    with elsewhere(guard), elsewhere(lock.reading()):
        assert forked(work) == "done"
    with elsewhere(lock.writing()):
        assert forked(work) == "done"


def test_a_fork_waits_for_work_that_it_would_interrupt() -> None:
    order: list[str] = []

    class Kept:
        def disconnect(self) -> None:
            order.append("disconnected")

    kept = forks.disconnect_before_fork(Kept())

    def work() -> str:
        with forks.no_fork():
            return "done"

    with elsewhere(forks.no_fork()) as enough:
        # Whoever is in may need somebody who comes later, and is let in for that.
        def other() -> None:
            while not forks._coordinator._closed:
                time.sleep(0.001)
            with forks.no_fork(), forks.no_fork():
                order.append("went through")
            enough.set()

        thread = threading.Thread(target=other)
        thread.start()
        assert forked(work) == "done"
        thread.join()
    assert order == ["went through", "disconnected"]
    del kept


def test_a_child_forked_in_the_middle_of_work_raises_forked() -> None:
    def work() -> None:
        with forks.no_fork():
            raise AssertionError("it was let in")

    with forks.no_fork(), pytest.raises(Forked, match="forked while another thread") as raised:
        forked(work)
    assert raised.value.hint == forks.HINT
    with forks.no_fork():
        pass  # the parent goes on


def test_faiss_with_several_threads_does_not_hang_in_a_child() -> None:
    rows = np.random.default_rng(1).standard_normal((6000, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = FaissFlatIndex(16)
    index.add(np.arange(6000), rows)

    def work() -> list[int]:
        return [int(one) for one in index.search(rows[:64], 3).ids[:, 0]]

    assert work() == list(range(64))
    assert forked(work) == list(range(64))


def test_a_child_does_not_touch_its_parents_gpu() -> None:
    rows = np.eye(16, dtype=np.float32).repeat(200, axis=0)
    index, gpu = FaissFlatIndex(16), StandIn()
    index.add(np.arange(3200), rows)
    index.use_gpu(gpu)
    index.search(rows[:1], 3)
    assert gpu.searches

    def work() -> tuple[list[int], int]:
        before = len(gpu.searches)
        found = index.search(rows[:1], 3).ids.tolist()[0]
        index.remove(np.arange(3200))
        return found, len(gpu.searches) - before

    assert forked(work) == ([0, 1, 2], 0)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc")
def test_a_child_has_decode_workers_of_its_own_and_leaves_its_parent_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(hostile_decoder.MAGIC + b"piece 1")
    pool = DecodePool(hostile_decoder.SPACE, Windowing(), Limits(), 1, decoders=[hostile_decoder.DECODER])

    def worker() -> int:
        (done,) = (event for event in pool.run([DecodeJob(path)]) if isinstance(event, FileDone))
        return int(done.metadata["pid"])

    def pipes() -> set[str]:
        ours = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
        return {os.readlink(one) for one in ours if os.path.lexists(one) and "pipe:" in os.readlink(one)}

    own = worker()
    theirs = {os.readlink(f"/proc/{own}/fd/{number}") for number in os.listdir(f"/proc/{own}/fd")}
    shared = {one for one in theirs if "pipe:" in one} & pipes()

    def work() -> tuple[int, int]:
        # With these open, the worker would not end with its parent.
        held = len(shared & pipes())
        found = worker()
        pool.close()
        return held, found

    with pool:
        assert len(shared) == 2
        held, other = forked(work)
        assert (held, other != own) == (0, True)
        assert worker() == own
    assert not psutil.pid_exists(other)


def test_a_decode_run_of_the_parent_ends_in_its_child(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(hostile_decoder.MAGIC + b"piece 1")
    with DecodePool(hostile_decoder.SPACE, Windowing(), Limits(), 1, decoders=[hostile_decoder.DECODER]) as pool:
        events = pool.run([DecodeJob(path)] * 50)
        next(events)
        with pytest.raises(Forked, match="in the middle of decoding"):
            forked(lambda: list(events))
        assert len(list(events)) == 99


def test_torch_is_refused_in_a_child_once_it_ran_in_the_parent() -> None:
    torch = device._Torch()
    torch.forked()
    torch.check()
    torch.runs()
    torch.forked()
    for refuse in (torch.check, torch.runs):
        with pytest.raises(Forked, match="PyTorch ran before this process was forked"):
            refuse()


def test_grandchildren_behave_as_children_do() -> None:
    guard = forks.ForkSafeLock()

    def work() -> str:
        with guard, forks.no_fork():
            return "done"

    with elsewhere(guard):
        assert forked(lambda: forked(work)) == "done"
