"""Killed at any moment, a library loses at most what was not committed, and mends itself without being asked."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from mmsearch.errors import LibraryEmpty, LibraryNotFound
from mmsearch.library import Library
from tests.conftest import CHECKOUT
from tests.media import picture, sound, words

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
    return [[(h.path.name, h.score, h.start) for h in library.search(query, 25)] for query in QUERIES]


def start_ingest(folder: Path, library: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "MMSEARCH_SPACE": "tests.tiny:space", "MMSEARCH_COMMIT_SEGMENTS": "16"}
    command = [sys.executable, "-m", "mmsearch", "ingest", str(folder), "--library", str(library), "--workers", "2"]
    return subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )  # fmt: skip


def test_killed_again_and_again(many: Path, tmp_path: Path, open_tiny: Callable[..., Library]) -> None:
    undisturbed = open_tiny("undisturbed")
    start = monotonic()
    start_ingest(many, tmp_path / "undisturbed").communicate()
    whole = monotonic() - start
    chance = random.Random(20)
    killed = 0
    while killed < KILLS:
        process = start_ingest(many, tmp_path / "killed")
        try:
            _, error = process.communicate(timeout=chance.uniform(0.1, 0.95) * whole)
            # It was done before its time had come: the next one starts from nothing.
            shutil.rmtree(tmp_path / "killed")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            _, error = process.communicate()
            killed += 1
        assert b"Traceback" not in error, error.decode()
        with open_tiny("killed") as between:
            try:
                between.search("red")
            except (LibraryEmpty, LibraryNotFound):
                continue
    process = start_ingest(many, tmp_path / "killed")
    _, error = process.communicate()
    assert process.returncode == 0, error.decode()
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
    assert len(files) == 2
    filled.close()
    for path in files:
        damage(path)
    assert results(filled) == before
    filled.close()
    assert {path: path.read_bytes() for path in files} == files, "and published again, bit for bit"


def test_stale_index_is_replayed(filled: Library, many: Path) -> None:
    stale = {path: path.read_bytes() for path in published(filled)}
    filled.ingest(many)
    filled.remove(many / "p0")
    expected = results(filled)
    filled.close()
    for path, data in stale.items():
        path.write_bytes(data)
    assert results(filled) == expected


def test_index_of_another_library_is_not_believed(
    filled: Library, open_tiny: Callable[..., Library], many: Path
) -> None:
    before = results(filled)
    other = open_tiny("other")
    other.ingest(many / "p1", many / "sounds")
    for mine, theirs in zip(published(filled), published(other), strict=True):
        mine.write_bytes(theirs.read_bytes())
    filled.close()
    assert results(filled) == before


def test_index_of_the_future_is_not_believed(filled: Library, many: Path) -> None:
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
