"""Killed at any moment, a run goes on and ends as one that was not."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mmsearch.library import Library
from tests.generated import picture
from tests.tiny_extractor import SLOW, with_lines

FILES = 24

RUN = """
import sys
import mmsearch
from mmsearch.core import registry
from tests import tiny, tiny_extractor
registry.BUILTIN["extractors"] |= tiny_extractor.TARGETS
with mmsearch.open(sys.argv[1], space="tests.tiny:space", workers=1) as library:
    for code in tiny.SPACES:
        library._context.trust.name(code)
    library.extract.add("tiny-ocr")
"""


def extracted(library: Path) -> list[tuple[object, ...]]:
    """Segments by their content, with their vectors; ids are those of an undisturbed run."""
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db:
        return db.execute(
            "SELECT sha256, ordinal, text, box, vector FROM segments JOIN contents ON contents.id = content_id"
            " JOIN embeddings ON segment_id = segments.id WHERE source IS NOT NULL ORDER BY segments.id"
        ).fetchall()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups on this platform")
@pytest.mark.slow
@pytest.mark.extras
def test_a_run_that_is_killed_ten_times_ends_as_one_that_was_not(
    open_tiny: Callable[..., Library], folder: Path
) -> None:
    for number in range(FILES):
        with_lines(picture(folder / f"{number}.png", "red", mark=number + 1), f"word number {number}")
    whole = open_tiny("whole")
    whole.ingest(folder)
    whole.close()
    killed = open_tiny("killed")
    killed.ingest(folder)
    killed.close()
    environment = {**os.environ, SLOW: "0.05", "PYTHONPATH": os.pathsep.join(sys.path)}
    for turn in range(11):
        command = [sys.executable, "-c", RUN, str(killed.path)]
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            process.wait(0.4 + 0.25 * turn if turn < 10 else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    subprocess.run([sys.executable, "-c", RUN, str(whole.path)], env=environment, check=True)
    assert extracted(killed.path) == extracted(whole.path)
    assert len(extracted(whole.path)) == FILES
    assert json.dumps([row[2] for row in extracted(whole.path)]).count("word number") == FILES
