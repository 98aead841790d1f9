"""One library in an asyncio program, in many threads, and in forked children: what the chapter "Python" promises."""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import mmsearch
from mmsearch.errors import LibraryLocked
from mmsearch.library import Library
from tests.forked import forked
from tests.module_library import ModuleLibrary

WORDS = ("red", "green", "blue", "dark")


def fill(media: Path) -> None:
    for word in WORDS:
        (media / f"{word}.txt").write_text(f"a {word} thing")


@pytest.fixture
def here(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.fixture
def opened(here: Path) -> Iterator[Library]:
    with mmsearch.open(here / "library", space="tests.tiny:space", workers=1) as library:
        yield library


def first(library: Library, word: str) -> str:
    return library.search(word, 1)[0].path.stem


def test_an_event_loop_goes_on_while_searches_run_beside_it(opened: Library) -> None:
    async def serve() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(first, opened, word) for word in WORDS * 3))

    assert asyncio.run(serve()) == list(WORDS * 3)


@pytest.mark.slow
def test_an_ingest_in_a_thread_is_stopped_from_the_event_loop(opened: Library, here: Path) -> None:
    begun, cancel = threading.Event(), threading.Event()
    for number in range(40):
        (here / "media" / f"{number}.txt").write_text(f"a light thing, number {number}")

    def on_progress(progress: mmsearch.Progress) -> None:
        begun.set()
        if progress.stage == "work":
            assert cancel.wait(60)

    async def stop() -> mmsearch.IngestReport:
        ingest = asyncio.create_task(
            asyncio.to_thread(opened.ingest, here / "media", on_progress=on_progress, cancel=cancel)
        )
        await asyncio.to_thread(begun.wait, 60)
        assert await asyncio.to_thread(first, opened, "red") == "red", "searches go on"
        cancel.set()
        return await ingest

    report = asyncio.run(stop())
    assert report.interrupted and report.new < 40
    assert opened.ingest(here / "media").new == 40 - report.new


@pytest.mark.slow
def test_threads_share_a_library_and_one_of_them_writes(opened: Library, here: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    (here / "media" / "light.txt").write_text("a light thing")

    def on_progress(progress: mmsearch.Progress) -> None:
        begun.set()
        assert go_on.wait(60)

    with ThreadPoolExecutor(6) as threads:
        ingest = threads.submit(opened.ingest, here / "media", on_progress=on_progress)
        assert begun.wait(60)
        with pytest.raises(LibraryLocked):
            opened.prune()
        assert list(threads.map(lambda word: first(opened, word), WORDS * 5)) == list(WORDS * 5)
        go_on.set()
        assert ingest.result().new == 1
    assert first(opened, "light") == "light"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_may_use_a_library_that_its_parent_opened(opened: Library) -> None:
    assert first(opened, "red") == "red"

    def ask() -> list[str]:
        return [first(opened, word) for word in WORDS]

    assert forked(ask) == list(WORDS) and ask() == list(WORDS)
