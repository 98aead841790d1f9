"""What several threads of one process may ask at once: nobody waits for what he doesn't need, and nothing is lost."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import mmsearch
from mmsearch.errors import IndexDamaged
from mmsearch.indexing.background import BackgroundWorker
from mmsearch.indexing.lists import Lists
from mmsearch.library import Library
from mmsearch.maintenance import index
from mmsearch.types import Space, Windowing
from tests import tiny
from tests.indexing.filled import SIZE, batch, commit, fill, opening
from tests.indexing.test_index_presets import EVERY, check, parts, serving_preset

HERE = "tests.library.test_threads"
WAIT_S = 60.0
"""For what takes moments, so that a fault ends the test."""

READ, READING = threading.Event(), threading.Event()


class _Large(Space):
    """Its fingerprint takes as long as gigabytes of weights do."""

    @property
    def fingerprint(self) -> str:
        READING.set()
        assert READ.wait(WAIT_S)
        return tiny.space().fingerprint


def large(device: str = "auto", precision: str = "auto") -> Space:
    return _Large("tiny", tiny.DIM, Windowing(), tiny.space().encoders)


@pytest.fixture
def opened(folder: Path) -> Iterator[Callable[..., Library]]:
    with opening(folder) as make:
        yield make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "library", SIZE)


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_the_catalog_answers_while_a_model_s_files_are_hashed(tmp_path: Path) -> None:
    READ.set()
    commit(tmp_path / "library", batch(0, 3), f"{HERE}:large")
    READ.clear()
    READING.clear()
    with mmsearch.open(tmp_path / "library", space=f"{HERE}:large") as library:
        first = started(lambda: library.search("red"))
        assert READING.wait(WAIT_S)
        try:
            second = started(library.status)
            second.join(WAIT_S / 6)
            assert not second.is_alive(), "status waits for the model"
        finally:
            READ.set()
            first.join(WAIT_S)


@pytest.mark.slow
def test_two_threads_that_ask_for_a_background_worker_get_one(
    opened: Callable[..., Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[BackgroundWorker] = []
    both = threading.Barrier(2)

    class Slow(BackgroundWorker):
        def __init__(self, *given: Any) -> None:
            with suppress(threading.BrokenBarrierError):
                both.wait(0.2)  # where nothing keeps the other out, it comes in here
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(index, "BackgroundWorker", Slow)
    monkeypatch.setattr("mmsearch.indexing.tuning.IndexTuner.has_work", lambda builder: False)
    library = opened()
    for thread in [started(library.index.start_background_indexing) for _ in range(2)]:
        thread.join(WAIT_S)
    assert len(made) == 1 and library._context.background_worker is made[0]


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Events: a structure of another process is being read; it may be. Reads then end, or fail if `fail` is set."""
    begun, go = threading.Event(), threading.Event()
    load = Lists._load

    def slow(self: Lists, *given: Any) -> Any:
        if threading.current_thread().name == "mmsearch-index":
            begun.set()
            assert go.wait(WAIT_S)
        return load(self, *given)

    monkeypatch.setattr(Lists, "_load", slow)
    yield begun, go
    go.set()


@pytest.mark.slow
def test_closing_waits_for_an_index_that_is_being_loaded(
    opened: Callable[..., Library], reading: tuple[threading.Event, threading.Event]
) -> None:
    begun, go = reading
    serving, other = opened(), opened()
    indexes = parts(serving)[1]
    assert serving_preset(indexes) is None
    other._context.builder().build_outgrown()
    indexes.refresh()
    assert begun.wait(WAIT_S)
    (reload,) = indexes._reloads.values()
    closing = started(serving.close)
    assert reload.is_alive() and closing.is_alive()
    go.set()
    closing.join(WAIT_S)
    assert not closing.is_alive() and not reload.is_alive() and reload.error is None
    check(parts(serving)[1], EVERY)


@pytest.mark.slow
def test_an_index_that_cannot_be_loaded_is_logged_without_its_path(
    opened: Callable[..., Library], folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    serving, other = opened(), opened()
    indexes = parts(serving)[1]
    assert serving_preset(indexes) is None
    other._context.builder().build_outgrown()

    def fails(*_: Any) -> Any:
        raise IndexDamaged(f"{folder} is on a disk that is gone")

    monkeypatch.setattr(Lists, "_reload", fails)
    with caplog.at_level(logging.DEBUG, "mmsearch"), pytest.raises(IndexDamaged, match="a disk that is gone"):
        indexes.finish_reloads()
    said = [
        (one.levelno, str(folder) in one.getMessage())
        for one in caplog.records
        if one.name == "mmsearch.indexing.loaded_index"
    ]
    assert said == [(logging.WARNING, False), (logging.DEBUG, True)]
    monkeypatch.undo()
    indexes.finish_reloads()
    assert serving_preset(indexes) == "ivf-sq8", "it is tried again"
