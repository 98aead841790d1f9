"""`mmsearch serve --watch`: what changes is in the answers by itself."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch import Media
from mmsearch.cli.serve import watching
from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from tests.conftest import Run
from tests.generated import picture
from tests.serve.running import running

WAIT_S = 60.0
"""For what takes some seconds, so that a fault ends the test."""


def reached(condition: Callable[[], bool]) -> bool:
    """Whether a condition came true: another thread works towards it, and tells nobody."""
    deadline = threading.Event()
    timer = threading.Timer(WAIT_S, deadline.set)
    timer.start()
    try:
        while not deadline.is_set():
            if condition():
                return True
            deadline.wait(0.05)
        return False
    finally:
        timer.cancel()


@pytest.mark.slow
def test_a_new_file_is_found_by_who_asks_the_server(tmp_path: Path) -> None:
    with running(tmp_path) as made, watching(made.library):
        picture(made.media / "another.png", "blue", mark=5)

        def found() -> bool:
            told = made.client.get("/api/v1/search", params={"text": "another.png", "k": 1}).json()
            return bool(told["hits"]) and told["hits"][0]["name"] == "another.png"

        assert reached(found)
    assert not [thread for thread in threading.enumerate() if thread.name == "mmsearch-watch"]


@pytest.mark.slow
def test_a_library_without_folders_has_nothing_to_watch(library: Library) -> None:
    library.ingest_media(Media("note.txt", b"a red bus"))
    with pytest.raises(InvalidInput, match="no folder to watch"), watching(library):
        pass


def test_who_only_reads_does_not_watch(run: Run) -> None:
    done = run("serve", "--read-only", "--watch")
    assert done.returncode == 2 and b"--read-only" in done.stderr
