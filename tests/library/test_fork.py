"""Libraries in forked children: right answers, of their own processes and connections, or a refusal."""

import os
import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

import mmsearch
from mmsearch.core import forks, registry
from mmsearch.errors import Forked, LibraryError
from mmsearch.library import Library
from mmsearch.search.query_file import query_file
from mmsearch.types import Progress, Segment
from tests.forked import Child, forked
from tests.module_library import ModuleLibrary

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

WORDS = ("red", "green", "blue", "dark")


def fill(media: Path) -> None:
    for word in WORDS:
        (media / f"{word}.txt").write_text(f"a {word} thing")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


def ask(library: Library, query: str | mmsearch.Query) -> str:
    return library.search(query, k=1, mode="vector")[0].path.stem


@pytest.mark.slow
def test_forked_children_search_on_their_own(folder: Path, library: Library) -> None:
    def by_file(word: str) -> str:
        return ask(library, library.interpret(str(folder / f"{word}.txt")))

    assert by_file("red") == "red"  # the one worker of queries runs now

    def work(word: str) -> Callable[[Connection], object]:
        def asks(pipe: Connection) -> object:
            pipe.send("ready")
            pipe.recv()
            return Counter(by_file(word) if turn % 2 else ask(library, word) for turn in range(20))

        return asks

    children = {word: Child(work(word)) for word in WORDS}
    assert [child.said() for child in children.values()] == ["ready"] * 4
    for child in children.values():
        child.pipe.send("go")
    assert [by_file(word) for word in WORDS * 5] == list(WORDS * 5)
    assert {word: child.end() for word, child in children.items()} == {word: {word: 20} for word in WORDS}
    assert by_file("green") == "green"


@pytest.mark.slow
def test_a_child_sees_what_its_parent_commits_and_closes(folder: Path, library: Library) -> None:
    # In a child that went on with its parent's connections, SQLite would believe to hold the locks that keep the log
    # where it is, and read for ever the one that the parent, its last user, has removed.
    assert ask(library, "light") in WORDS

    def work(pipe: Connection) -> object:
        pipe.send(ask(library, "red"))
        pipe.recv()
        return ask(library, "light")

    child = Child(work)
    assert child.said() == "red"
    library.close()
    (folder / "light.txt").write_text("a light thing")
    library.ingest(folder)
    library.close()
    child.pipe.send("go on")
    assert child.end() == "light"


@pytest.mark.slow
def test_a_parent_sees_what_its_child_commits(folder: Path, library: Library) -> None:
    assert ask(library, "red") == "red"
    (folder / "light.txt").write_text("a light thing")
    assert forked(lambda: library.ingest(folder).new) == 1
    assert ask(library, "light") == "light"
    assert all(not check.wrong for check in library.index.verify())


@pytest.mark.slow
def test_a_fork_in_the_middle_of_an_ingest_leaves_the_ingest_alone(folder: Path, library: Library) -> None:
    """By a callback, and by another thread: children search what was committed, and the ingest ends as ever."""
    for number in range(300):
        (folder / f"red {number}.txt").write_text(f"red {number}")
    asked: list[str] = []
    turn = threading.Event()

    def progress(told: Progress) -> None:
        if told.stage == "work" and told.files_done >= 100 and not asked:
            asked.append(forked(lambda: ask(library, "green")))
            turn.set()

    def other() -> None:
        turn.wait()
        asked.append(forked(lambda: ask(library, "blue")))

    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    try:
        assert library.ingest(folder, on_progress=progress).new == 300
    finally:
        turn.set()
    thread.join()
    assert asked == ["green", "blue"]


def test_a_child_that_ends_leaves_its_parent_s_workers_alone() -> None:
    """By `os.fork` and `sys.exit`, which `multiprocessing` does not use: what is registered for the exit is run."""
    with query_file("image", b"some bytes") as path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                weakref.finalize._exitfunc()  # type: ignore[attr-defined]
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert path.read_bytes() == b"some bytes"
    assert not path.parent.exists()


def test_a_library_forked_in_the_middle_of_work_is_refused(library: Library) -> None:
    assert ask(library, "red") == "red"
    with ExitStack() as held:
        held.enter_context(library._context.catalog().reading())
        with pytest.raises(Forked) as raised:
            forked(lambda: ask(library, "red"))
    assert raised.value.hint == forks.HINT
    assert ask(library, "green") == "green"


@pytest.mark.slow
def test_closing_during_an_ingest_ends_it_with_an_error_of_ours(folder: Path, library: Library) -> None:
    for number in range(300):
        (folder / f"red {number}.txt").write_text(f"red {number}")
    closing: list[threading.Thread] = []

    def progress(told: Progress) -> None:
        if told.stage == "work" and not closing:
            closing.append(threading.Thread(target=library.close))
            closing[0].start()
            closing[0].join()

    with pytest.raises(LibraryError, match="the library was closed meanwhile") as raised:
        library.ingest(folder, on_progress=progress)
    assert raised.value.hint and "do it again" in raised.value.hint
    assert library.failures() == []
    report = library.ingest(folder)
    assert (report.failed.total(), report.new + report.unchanged) == (0, 304)


@pytest.mark.slow
def test_after_torch_ran_a_child_encodes_words_and_refuses_pictures() -> None:
    """With the real weights: PyTorch hangs in such a child, and words need none."""
    space = registry.load_part("spaces", "starter")()
    words, pictures = space.encoders["text"], space.encoders["image"]
    asked = [words.prepare(Segment("text", "a dog at a computer"))]
    shown = [pictures.prepare(Segment("image", np.full((64, 64, 3), 128, np.uint8)))]
    assert pictures.encode(shown).shape == (1, 384)

    def work() -> bytes:
        with pytest.raises(Forked, match="PyTorch ran before this process was forked") as raised:
            pictures.encode(shown, query=True)
        assert raised.value.hint == forks.HINT
        return bytes(words.encode(asked, query=True).tobytes())

    assert forked(work) == words.encode(asked, query=True).tobytes()
