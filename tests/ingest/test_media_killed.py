"""Killed at any step of handing over, replacing and forgetting media whose bytes are kept: none is lost that an item
needs, and none stays that nothing needs. `python -m tests.faults` does it at every call to the system."""

import os
import shutil
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmsearch import Media
from mmsearch.catalog import Catalog
from mmsearch.catalog.originals import Originals
from mmsearch.library import Library
from tests.faults.trial import wrong_originals
from tests.faults.world import image, open_library

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")

FIRST = [Media(f"{n}.img", image(n, 100, 0).encode(), id=str(n), keep=n % 2 == 0) for n in range(4)]
AGAIN = [Media(f"{n}.img", image(n, 200, 0).encode(), id=str(n), keep=n % 3 == 0) for n in range(4)]

HANDING: list[tuple[type, str, int]] = [
    (Originals, "begin", 0), (Originals, "receive", 1), (Originals, "keep", 1), (Catalog, "commit", 1),
    (Originals, "discard", 0), (Originals, "end", 0),
]  # fmt: skip
"""(class, method, turn) of what happens while media are handed over."""
FORGETTING: list[tuple[type, str, int]] = [(Originals, "begin", 0), (Originals, "discard", 0), (Originals, "end", 0)]


def hand(library: Library) -> None:
    library.ingest_media(AGAIN)


def forget(library: Library) -> None:
    library.remove("0", "2")


def killed(folder: Path, work: Callable[[Library], None], step: tuple[type, str, int], after: bool) -> bool:
    """Do it in a process that kills itself at the n-th turn of a step. Returns whether it came to that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that other tests left
        child = os.fork()
    if child == 0:
        try:
            owner, name, turn = step
            whole, turns = getattr(owner, name), iter(range(turn, -1, -1))

            def dying(*arguments: Any, **named: Any) -> Any:
                last = next(turns, -1) == 0
                if last and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                answer = whole(*arguments, **named)
                if last:
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer

            setattr(owner, name, dying)
            with open_library(folder) as library:
                work(library)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handed") / "library"
    with open_library(folder) as library:
        library.ingest_media(FIRST)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "step"), [*((hand, step) for step in HANDING), *((forget, step) for step in FORGETTING)]
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_no_step_at_which_a_process_dies_loses_an_original_or_leaves_one(
    tmp_path: Path, handed: Path, work: Callable[[Library], None], step: tuple[type, str, int], after: bool
) -> None:
    folder = tmp_path / "library"
    shutil.copytree(handed, folder)
    assert killed(folder, work, step, after)
    with open_library(folder) as library:
        found = {hit.path.as_posix() for hit in library.search("red", 100, mode="vector")}
        assert found >= {"mem:/1/1.img", "mem:/3/3.img"}
        assert wrong_originals(library, cut=False) == [] and not (folder / "originals" / "incoming").exists()
        library.ingest_media(AGAIN)
        assert wrong_originals(library, cut=False) == [] and not (folder / "originals" / "incoming").exists()
        kept = [path for path in (folder / "originals").glob("*/*") if path.is_file()]
        assert len(kept) == 2, "of 0 and 3"
