"""Structures that a process has built beside, while it serves: noticed, taken over, ended at once, one at a time."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mmsearch
from mmsearch.errors import LibraryError, LibraryLocked
from mmsearch.indexing.background import BackgroundWorker
from mmsearch.library import Library
from mmsearch.maintenance.index import IndexBuild
from mmsearch.types import Space
from mmsearch.vectors import presets
from tests import tiny
from tests.conftest import CHECKOUT
from tests.generated import distinct_words, words
from tests.indexing.filled import SIZE, batch, commit, fill, opening
from tests.indexing.test_index_presets import EVERY, KEY, check, parts, serving_preset

HERE = "tests.indexing.test_background"
WAIT_S = 60.0
"""For what takes a second, so that a fault ends the test."""

FEW = presets.SMALLEST - 100
"""Pictures that are too few for a structure."""

pytestmark = [pytest.mark.skipif(sys.platform == "win32", reason="uses named pipes"), pytest.mark.slow]


class Told:
    """What the background worker said, and when."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self._new = threading.Semaphore(0)

    def __call__(self, one: Any) -> None:
        self.said.append(one)
        self._new.release()

    def wait(self) -> Any:
        assert self._new.acquire(timeout=WAIT_S), "nothing was done"
        return self.said[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A library of few pictures."""
    return fill(tmp_path / "library", FEW)


@pytest.fixture
def opened(folder: Path) -> Iterator[Callable[..., Library]]:
    with opening(folder) as make:
        yield make


def test_the_background_worker_builds_an_index_for_commits_of_other_processes(
    opened: Callable[..., Library], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsearch.indexing.background.PERIOD_S", 0.01)
    library, told = opened(), Told()
    library.index.start_background_indexing(told)
    _, indexes, builder = parts(library)
    check(indexes, EVERY[:FEW], least=1.0)
    assert serving_preset(indexes) is None and not told.said
    commit(folder, batch(FEW, SIZE))
    (made,) = told.wait()
    assert isinstance(made, IndexBuild)
    assert (made.item, made.segment, made.preset, made.size) == (KEY.item, KEY.segment, "ivf-sq8", SIZE)
    assert made.published and min(made.recall.values()) >= 0.95
    (serving,) = library.index.status()
    assert (serving.preset, serving.size, serving.since) == ("ivf-sq8", SIZE, 0), "it serves already"
    check(indexes, EVERY)
    assert not builder.has_work() and builder.build_outgrown() == []


def test_an_ingest_leaves_building_to_a_running_background_worker(
    open_tiny: Callable[..., Library], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsearch.indexing.background.PERIOD_S", WAIT_S)
    words(tmp_path / "long.txt", distinct_words(160 * presets.SMALLEST))
    library, told = open_tiny(index="ivf"), Told()
    library.index.start_background_indexing(told)
    library.ingest(tmp_path / "long.txt")
    (made,) = told.wait()
    assert (made.item, made.preset, made.published) == ("text", "ivf", True)
    assert [(one.preset, one.size) for one in library.index.status()] == [("ivf", made.size)]


def blocking_space(device: str = "auto", precision: str = "auto") -> Space:
    """The tiny space; in a process that a background worker started, it says so and is never ready."""
    if (pipe := os.environ.get("BLOCKS")) and os.getpid() != int(os.environ["SERVING"]):
        with open(pipe, "w") as told:
            told.write(f"{os.getpid()}\n")
            told.flush()
            threading.Event().wait()
    return tiny.space(device, precision)


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("BLOCKS", str(tmp_path / "pipe"))
    monkeypatch.setenv("SERVING", str(os.getpid()))
    return tmp_path / "pipe"


def test_closing_ends_a_running_background_build(tmp_path: Path, pipe: Path) -> None:
    fill(tmp_path / "blocking", SIZE, f"{HERE}:blocking_space")
    told = Told()
    with mmsearch.open(tmp_path / "blocking", index="ivf-sq8", space=f"{HERE}:blocking_space") as library:
        library.index.start_background_indexing(told)
        with pipe.open() as reader:
            worker = int(reader.readline())
            os.kill(worker, 0)
            library.close()
            assert reader.read() == "", "the other end is gone"
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
        assert not told.said
        assert [one.published for one in library.index.build()] == [True], "nobody holds the lock"


def test_a_background_build_ends_with_its_parent_process(
    tmp_path: Path, pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "blocking", SIZE, f"{HERE}:blocking_space")
    program = """
import os, sys, threading
os.environ["SERVING"] = str(os.getpid())
import mmsearch
library = mmsearch.open(sys.argv[1], index="ivf-sq8", space="tests.indexing.test_background:blocking_space")
library.index.start_background_indexing()
threading.Event().wait()
"""
    serving = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "blocking")], cwd=CHECKOUT)
    try:
        with pipe.open() as reader:
            assert int(reader.readline()) != serving.pid
            serving.send_signal(signal.SIGKILL)
            assert reader.read() == "", "the other end is gone"
    finally:
        serving.kill()
        serving.wait()


def test_only_one_process_builds_at_a_time(opened: Callable[..., Library], folder: Path) -> None:
    commit(folder, batch(FEW, SIZE))
    first, second = parts(opened())[2], parts(opened())[2]
    assert first.has_work() and second.has_work()
    with first.build_lock():
        assert not second.has_work() and second.build_outgrown() == []
        with pytest.raises(LibraryLocked), second.build_lock():
            pass
    assert second.build_outgrown()[0].published
    assert not first.has_work()


def ends_badly() -> None:
    os._exit(3)


def cant() -> None:
    raise LibraryError("the disk is full", hint="free some")


def adds(*numbers: str) -> int:
    sys.stdout.write("whatever a model's library has to say\n")
    return sum(map(int, numbers))


def niceness() -> int:
    return os.nice(0)


def test_the_background_process_has_a_low_priority() -> None:
    told = Told()
    worker = BackgroundWorker(lambda: not told.said, f"{HERE}:niceness", [], told)
    assert told.wait() == min(os.nice(0) + 10, 19)
    worker.stop()


def test_the_background_worker_does_each_requested_work_once() -> None:
    told, looked, answers = Told(), threading.Semaphore(0), [True, False, True]

    def wanted() -> bool:
        looked.release()
        return bool(answers) and answers.pop()

    worker = BackgroundWorker(wanted, f"{HERE}:adds", ["3", "4"], told)
    assert told.wait() == 7
    while len(answers) > 1:
        worker.wake()
        assert looked.acquire(timeout=WAIT_S)
    worker.wake()
    assert told.wait() == 7
    worker.stop()
    assert told.said == [7, 7]
    worker.wake()
    assert not worker._thread.is_alive()


@pytest.mark.parametrize(("work", "message"), [("ends_badly", "ended with 3"), ("cant", "the disk is full")])
def test_a_failed_background_work_is_logged_and_retried(
    work: str, message: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsearch.indexing.background.RETRY_S", 0.0)
    looked, enough = [0], threading.Event()

    def wanted() -> bool:
        looked[0] += 1
        if looked[0] < 3:
            return True
        enough.set()
        return False

    worker = BackgroundWorker(wanted, f"{HERE}:{work}", [], lambda told: pytest.fail(f"{told}"))
    with caplog.at_level(logging.DEBUG, "mmsearch.indexing.background"):
        assert enough.wait(WAIT_S)
        worker.stop()
    assert [(one.levelno, message in one.message) for one in caplog.records] == 2 * [
        (logging.WARNING, False), (logging.DEBUG, True),
    ]  # fmt: skip


def test_the_background_worker_waits_for_a_library_that_does_not_exist_yet(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    looked = threading.Event()
    library = mmsearch.open(tmp_path / "none", space="tests.tiny:space")
    builder = library._context.builder

    def look() -> Any:
        try:
            return builder()
        finally:
            looked.set()

    library._context.builder = look  # type: ignore[assignment,method-assign]
    library.index.start_background_indexing()
    assert looked.wait(WAIT_S)
    library.close()
    assert not caplog.records and not (tmp_path / "none").exists()


def test_a_preset_that_misses_its_recall_is_not_rebuilt(
    opened: Callable[..., Library], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `auto` takes one with more bits in its place, too."""
    lazy = replace(presets.preset_named("ivf-sq8"), search_efforts=(1,), from_size=2000)
    monkeypatch.setattr(presets, "PRESETS", tuple(lazy if one.name == lazy.name else one for one in presets.PRESETS))
    monkeypatch.setattr("mmsearch.vectors.presets.PRESETS", presets.PRESETS)
    commit(folder, batch(FEW, SIZE))
    builder = parts(opened(index="auto"))[2]
    assert [(one.preset, one.published) for one in builder.build_outgrown()] == [("ivf-sq8", False), ("ivf", True)]
    assert not builder.has_work() and builder.build_outgrown() == []
    commit(folder, batch(SIZE, SIZE + 300))
    monkeypatch.setattr("mmsearch.indexing.lists.REBUILD_AFTER", (100, 100))
    assert [(one.preset, one.published) for one in builder.build_outgrown()] == [("ivf", True)], (
        "what serves has been outgrown"
    )
    assert builder.build_outgrown() == []
