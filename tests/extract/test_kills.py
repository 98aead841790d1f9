"""Killed at any moment, a run goes on and ends as one that was not."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mmsearch.library import Library
from tests import tiny_extractor
from tests.conftest import CHECKOUT
from tests.generated import picture
from tests.tiny_extractor import with_lines

FILES = 12

RUN = """
import os, signal, sys
import mmsearch
from mmsearch.catalog import extraction_cuts
from mmsearch.core import registry
from mmsearch.extract import job, process
from mmsearch.extract.library_extraction import LibraryExtraction
from mmsearch.indexing.lists import Lists
from tests import tiny, tiny_extractor

job.COMMIT_FILES, job.CUT_AT_ONCE = 4, 2
owners = {"job": job, "cuts": extraction_cuts, "Extraction": job.Extraction, "ExtractionPool": process.ExtractionPool,
          "LibraryExtraction": LibraryExtraction, "Lists": Lists}
owner, name, nth = owners[sys.argv[2]], sys.argv[3], int(sys.argv[4])
work, calls = getattr(owner, name), 0

def killed(*given, **named):
    global calls
    calls += 1
    if calls == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    done = work(*given, **named)
    if calls == -nth:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

setattr(owner, name, killed)
registry.BUILTIN["extractors"] |= tiny_extractor.TARGETS
with mmsearch.open(sys.argv[1], space="tests.tiny:space", workers=1) as library:
    for code in tiny.SPACES:
        library._context.trust.name(code)
    library.extract.add("tiny-ocr")
"""

MOMENTS = {
    "before the workers start": ("ExtractionPool", "run", 1, 0, 0),
    "when the lines of the first file are there": ("Extraction", "_take", 1, 0, 0),
    "in the middle of the second group": ("Extraction", "_take", 7, 4, 4),
    "before the second group is stored": ("job", "store_extractions", 2, 4, 4),
    "in its transaction, its lines written but not committed": ("job", "store_extractions", -2, 4, 4),
    "when they are committed, before they are cut": ("job", "fill_cuts", 2, 8, 4),
    "when some are cut and embedded, and not written": ("job", "embed_spans", -4, 8, 6),
    "in the transaction of segments, their vectors written": ("cuts", "_note_cuts", 4, 8, 6),
    "when all is there, before it is known what scores mean": ("LibraryExtraction", "_measured", 1, 12, 12),
    "before the indexes are published": ("Lists", "publish", 1, 12, 12),
}
"""Moment -> what is called then, for the nth time (if negative, after it), and what is committed by then: contents that
are through, and segments."""


@pytest.fixture(autouse=True)
def tiny_extractors(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_extractor.register(monkeypatch)


def extracted(library: Path) -> tuple[list[object], ...]:
    """Lines, segments with their vectors and what scores mean, without times; ids are those of an undisturbed run."""
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db:
        return tuple(
            db.execute(query).fetchall()
            for query in (
                "SELECT content_id, source, extractor, fingerprint, state, reason FROM extractions ORDER BY content_id",
                "SELECT content_id, ordinal, text, box, scores FROM extraction_lines ORDER BY content_id, ordinal",
                "SELECT segments.id, sha256, ordinal, text, box, vector FROM segments JOIN contents "
                "ON contents.id = content_id JOIN embeddings ON segment_id = segments.id ORDER BY segments.id",
                "SELECT space_id, content_id, source, cut FROM extraction_cuts ORDER BY content_id",
                "SELECT space_id, item, segment FROM lists ORDER BY item, segment",
            )
        )


def answers(library: Library) -> list[object]:
    found = [library.search(query, 30) for query in ("word number 7", "red", "number")]
    return [[(h.path.name, h.cosine, h.source, h.passage, h.box, h.confidence) for h in hits] for hits in found]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
@pytest.mark.slow
@pytest.mark.extras
def test_a_run_that_is_killed_at_ten_moments_ends_as_one_that_was_not(
    open_tiny: Callable[..., Library], folder: Path, tmp_path: Path
) -> None:
    for number in range(FILES):
        with_lines(
            picture(folder / f"{number}.png", "red", mark=number + 1),
            {"text": f"word number {number}", "box": [0.1, 0.2, 0.5, 0.3], "scores": {"score": 0.9}},
        )
    whole = open_tiny("whole")
    whole.ingest(folder)
    whole.close()
    for number in range(len(MOMENTS)):
        shutil.copytree(whole.path, tmp_path / f"killed{number}")
    whole.extract.add("tiny-ocr")
    wanted, asked = extracted(whole.path), answers(whole)
    assert [len(rows) for rows in wanted[:3]] == [FILES, FILES, 2 * FILES]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    for number, (moment, (owner, name, nth, through, segments)) in enumerate(MOMENTS.items()):
        killed = open_tiny(f"killed{number}")
        command = [sys.executable, "-c", RUN, str(killed.path), owner, name, str(nth)]
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, f"{moment}: {done.stderr.decode()}"
        left = extracted(killed.path)
        assert (len(left[0]), len(left[2]) - FILES) == (through, segments), moment
        resumed = killed.extract.add("tiny-ocr")
        assert (resumed.files, resumed.segments) == (FILES - through, FILES - segments), moment
        assert extracted(killed.path) == wanted, moment
        assert answers(killed) == asked, moment
        killed.close()
