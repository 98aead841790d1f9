"""Killed at any moment, a library loses at most what was not committed, and mends itself without being asked."""

import os
import random
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from mmsearch.errors import LibraryEmpty, LibraryNotFound
from mmsearch.library import Library
from tests.conftest import CHECKOUT
from tests.generated import picture, sound, words

pytestmark = [pytest.mark.slow, pytest.mark.extras]

KILLS = 20
QUERIES = ("red", "green", "low", "a quiet valley")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 files of three kinds, some equal, some broken."""
    folder = tmp_path_factory.mktemp("many")
    for n in range(240):
        picture(folder / f"p{n % 7}" / f"{n:03d}.png", ("red", "green", "blue")[n % 3], mark=n % 200)
    for n in range(20):
        sound(folder / "sounds" / f"{n:02d}.wav", *("low", "mid", "high")[: 1 + n % 3], seconds=3 + n / 10)
    for n in range(120):
        words(folder / "notes" / f"{n:03d}.txt", f"note {n} about a quiet valley")
    for n in range(20):
        (folder / f"p{n % 7}" / f"broken{n}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(n))
    return folder


def contents(library: Path) -> dict[str, Any]:
    """Everything that must be the same, however the library came to be: not its row ids, nor its times."""
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db:
        return {
            "items": db.execute(
                "SELECT path, sha256, size, mtime_ns, status, modality, metadata FROM items "
                "JOIN contents ON contents.id = content_id ORDER BY path"
            ).fetchall(),
            "segments": db.execute(
                "SELECT sha256, ordinal, s.modality, start, end, page, char_start, char_end, text, vector "
                "FROM segments s JOIN contents c ON c.id = s.content_id JOIN embeddings e ON e.segment_id = s.id "
                "ORDER BY sha256, ordinal"
            ).fetchall(),
            "failures": db.execute("SELECT path, failure, reason FROM failures ORDER BY path").fetchall(),
        }


def results(library: Library) -> list[list[tuple[str, float, float | None]]]:
    return [[(h.path.name, (h.cosine or 0), h.start) for h in library.search(query, 25)] for query in QUERIES]


FORKING = """
import os, sys
import alembic.command, click, faiss, rich.console, sqlalchemy.orm
import mmsearch.catalog, mmsearch.library, mmsearch.vectors.layered
from mmsearch.cli import main
for line in sys.stdin:
    errors, *arguments = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.argv = ["mmsearch", *arguments]
        main()
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forking:
    """`mmsearch` with its libraries loaded, as a process that forks for each command: what is killed is the command at
    its work; loading takes as long, and is of no interest."""

    def __init__(self, errors: Path) -> None:
        self.errors = errors
        environment = {**os.environ, "MMSEARCH_SPACE": "tests.tiny:space", "MMSEARCH_COMMIT_SEGMENTS": "16"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKING], cwd=CHECKOUT, env=environment, bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._pid = 0

    def ingest(self, folder: Path, library: Path) -> None:
        assert self._process.stdin is not None
        arguments = ["ingest", str(folder), "--library", str(library), "--workers", "2"]
        self._process.stdin.write(("\t".join([str(self.errors), *arguments]) + "\n").encode())
        self._pid = self._said()

    def ended(self, timeout: float | None = None) -> int | None:
        """The command's exit status; None if it is still at work after so many seconds."""
        assert self._process.stdout is not None
        if timeout is not None and not select.select([self._process.stdout], [], [], timeout)[0]:
            return None
        return self._said()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._said()

    def _said(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def forking(tmp_path: Path) -> Iterator[Forking]:
    with closing(Forking(tmp_path / "errors.txt")) as process:
        yield process


def test_an_ingest_killed_again_and_again_ends_like_an_undisturbed_one(
    many: Path, tmp_path: Path, open_tiny: Callable[..., Library], forking: Forking
) -> None:
    undisturbed = open_tiny("undisturbed")
    start = monotonic()
    forking.ingest(many, tmp_path / "undisturbed")
    assert forking.ended() == 0, forking.errors.read_text()
    whole = monotonic() - start
    chance = random.Random(20)
    killed = 0
    while killed < KILLS:
        forking.ingest(many, tmp_path / "killed")
        if forking.ended(chance.uniform(0.1, 0.95) * whole) is None:
            forking.kill()
            killed += 1
        else:
            # It was done before its time had come: the next one starts from nothing.
            shutil.rmtree(tmp_path / "killed")
        assert "Traceback" not in forking.errors.read_text()
        with open_tiny("killed") as between:
            try:
                between.search("red")
            except (LibraryEmpty, LibraryNotFound):
                continue
    forking.ingest(many, tmp_path / "killed")
    assert forking.ended() == 0, forking.errors.read_text()
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")
    assert results(open_tiny("killed")) == results(undisturbed)


@pytest.fixture
def filled(open_tiny: Callable[..., Library], many: Path) -> Library:
    library = open_tiny()
    library.ingest(many / "p0", many / "sounds")
    library.close()
    return library


def published(library: Library) -> list[Path]:
    return sorted(path for path in (library.path / "indexes").rglob("*") if path.is_file())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap_in_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink, lambda p: p.write_bytes(b""), swap_in_a_folder])
def test_damaged_index_is_repaired_on_open(filled: Library, damage: Callable[[Path], None]) -> None:
    before, files = results(filled), {path: path.read_bytes() for path in published(filled)}
    assert sorted(path.name for path in files if path.suffix == ".owners") == [
        "audio-audio.owners",
        "image-image.owners",
    ]
    assert len(files) == 4
    filled.close()
    for path in files:
        damage(path)
    assert results(filled) == before
    filled.close()
    assert {path: path.read_bytes() for path in files} == files, "and published again, bit for bit"


def test_a_stale_index_replays_later_changes(filled: Library, many: Path) -> None:
    stale = {path: path.read_bytes() for path in published(filled)}
    filled.ingest(many)
    filled.remove(many / "p0")
    expected = results(filled)
    filled.close()
    for path, data in stale.items():
        path.write_bytes(data)
    assert results(filled) == expected


def test_an_index_of_another_library_is_not_used(
    filled: Library, open_tiny: Callable[..., Library], many: Path
) -> None:
    before = results(filled)
    other = open_tiny("other")
    other.ingest(many / "p1", many / "sounds")
    for mine, theirs in zip(published(filled), published(other), strict=True):
        mine.write_bytes(theirs.read_bytes())
    filled.close()
    assert results(filled) == before


def test_an_index_newer_than_the_catalog_is_not_used(filled: Library, many: Path) -> None:
    """As after restoring yesterday's catalog beside today's indexes."""
    before = results(filled)
    filled.close()
    catalog = filled.path / "catalog.sqlite"
    yesterday = catalog.read_bytes()
    filled.ingest(many)
    filled.close()
    for part in filled.path.glob("catalog.sqlite-*"):
        part.unlink()
    catalog.write_bytes(yesterday)
    assert results(filled) == before
