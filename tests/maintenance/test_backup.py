"""A backup holds what the library knew at one moment; a restore brings exactly that back, whatever happened since."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from mmsearch.errors import CatalogDamaged, InvalidInput, LibraryLocked, LibraryNotFound, SchemaTooNew
from mmsearch.library import Library
from tests.conftest import CHECKOUT, Run
from tests.generated import picture, words

Open = Callable[..., Library]


def found(library: Library) -> list[tuple[str, float]]:
    return [(hit.path.name, (hit.cosine or 0)) for hit in library.search("red", k=20, modalities=["image"])]


@pytest.fixture
def filled(library: Library, folder: Path) -> Library:
    for n, colour in enumerate(("red", "green", "blue")):
        picture(folder / f"{colour}.png", colour, mark=n)
    library.ingest(folder)
    return library


def test_a_restore_brings_back_exactly_the_backed_up_state(filled: Library, folder: Path, tmp_path: Path) -> None:
    before = found(filled)
    umask = os.umask(0o022)
    assert filled.backup(tmp_path / "kept.backup") == (tmp_path / "kept.backup").stat().st_size
    os.umask(umask)
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "kept.backup").stat().st_mode) == 0o600, "it holds names, places and words"
    picture(folder / "crimson.png", "red", mark=9)
    (folder / "green.png").unlink()
    filled.ingest(folder)
    filled.prune()
    assert found(filled) != before
    assert filled.restore(tmp_path / "kept.backup", overwrite=True) == 3
    assert found(filled) == before
    (kept,) = filled.path.glob("catalog.sqlite.*.bak")
    with closing(sqlite3.connect(kept)) as db:
        assert {name for (name,) in db.execute("SELECT name FROM items")} == {"red.png", "blue.png", "crimson.png"}
    assert not list(filled.path.glob(".catalog*"))


@pytest.mark.slow
def test_a_reader_in_another_process_notices_a_restore(
    filled: Library, open_tiny: Open, folder: Path, tmp_path: Path
) -> None:
    reader = open_tiny()
    before = found(reader)
    filled.backup(tmp_path / "kept.backup")
    for n in range(5):
        picture(folder / f"more{n}.png", "red", mark=10 + n)
        filled.ingest(folder)
    assert len(found(reader)) == len(before) + 5
    filled.restore(tmp_path / "kept.backup", overwrite=True)
    assert found(reader) == before
    # As many commits as before: an index that only compared generations would take the old vectors for the new ones.
    for n in range(5):
        picture(folder / f"more{n}.png", "blue", mark=10 + n)
    filled.ingest(folder)
    assert found(reader) == found(open_tiny("library"))


def test_a_lost_library_can_be_restored_elsewhere(
    filled: Library, open_tiny: Open, folder: Path, tmp_path: Path
) -> None:
    before = found(filled)
    filled.backup(tmp_path / "kept.backup")
    fresh = open_tiny("elsewhere")
    assert fresh.restore(tmp_path / "kept.backup") == 3
    assert found(fresh) == before
    assert fresh.ingest(folder).unchanged == 3


@pytest.mark.parametrize("damage", ["header", "pages"])
@pytest.mark.slow
def test_a_restore_moves_a_damaged_catalog_aside(filled: Library, tmp_path: Path, damage: str) -> None:
    before = found(filled)
    filled.backup(tmp_path / "kept.backup")
    filled.close()
    catalog = filled.path / "catalog.sqlite"
    data = bytearray(catalog.read_bytes())
    start = 0 if damage == "header" else 4096
    data[start : start + 3 * 4096] = b"\xff" * (3 * 4096)
    catalog.write_bytes(data)
    for name in ("catalog.sqlite-wal", "catalog.sqlite-shm"):
        (filled.path / name).unlink(missing_ok=True)
    filled.restore(tmp_path / "kept.backup", overwrite=True)
    assert found(filled) == before
    (kept,) = filled.path.glob("catalog.sqlite.*.bak")
    assert kept.read_bytes() == data


@pytest.mark.slow
def test_a_backup_during_an_ingest_is_one_committed_state(library: Library, folder: Path, tmp_path: Path) -> None:
    for n in range(60):
        picture(folder / f"{n:02d}.png", "red", mark=n)
    working, done = Event(), Event()

    def ingest() -> None:
        library.ingest(folder, on_progress=lambda at: working.set() if at.files_done > 2 else None)
        done.set()

    thread = Thread(target=ingest)
    thread.start()
    working.wait()
    library.backup(tmp_path / "kept.backup")
    thread.join()
    assert done.is_set()
    with closing(sqlite3.connect(tmp_path / "kept.backup")) as db:
        (items,) = db.execute("SELECT count(*) FROM items").fetchone()
        (vectors,) = db.execute("SELECT count(*) FROM embeddings").fetchone()
        assert items == vectors <= 60
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_backup_and_restore_overwrite_nothing_unasked(filled: Library, open_tiny: Open, tmp_path: Path) -> None:
    kept = tmp_path / "kept.backup"
    filled.backup(kept)
    content = kept.read_bytes()
    with pytest.raises(InvalidInput, match="exists already"):
        filled.backup(kept)
    with pytest.raises(InvalidInput, match="a library at"):
        filled.restore(kept)
    with pytest.raises(InvalidInput, match="can't be written to"):
        filled.backup(filled.path / "catalog.sqlite", overwrite=True)
    with pytest.raises(LibraryNotFound):
        open_tiny("nowhere").backup(tmp_path / "other")
    assert kept.read_bytes() == content and not (tmp_path / "other").exists()
    assert found(filled)


def test_a_file_that_is_no_backup_is_refused(filled: Library, tmp_path: Path) -> None:
    before, kept = found(filled), tmp_path / "kept.backup"
    filled.backup(kept)
    words(tmp_path / "letter", "dear aunt")
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as db:
        db.execute("CREATE TABLE t (x)")
        db.commit()
    for name in ("letter", "other.sqlite"):
        with pytest.raises(InvalidInput, match="no backup"):
            filled.restore(tmp_path / name, overwrite=True)
    with pytest.raises(InvalidInput, match="no such file"):
        filled.restore(tmp_path / "missing", overwrite=True)
    (tmp_path / "torn").write_bytes(kept.read_bytes()[:20_000])
    with pytest.raises(CatalogDamaged):
        filled.restore(tmp_path / "torn", overwrite=True)
    with closing(sqlite3.connect(kept)) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
    with pytest.raises(SchemaTooNew):
        filled.restore(kept, overwrite=True)
    assert found(filled) == before


@pytest.mark.slow
def test_a_restore_is_refused_while_an_ingest_runs(filled: Library, tmp_path: Path) -> None:
    filled.backup(tmp_path / "kept.backup")
    hold = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]): print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(filled.path / "writer.lock")],
        cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(LibraryLocked):
            filled.restore(tmp_path / "kept.backup", overwrite=True)
        holder.communicate(b"\n")


@pytest.mark.slow
def test_the_backup_and_restore_commands_overwrite_only_with_force(
    filled: Library, run: Run, process: Run, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.backup"
    done = process("backup", kept)
    assert done.returncode == 0 and done.stdout.startswith(b"wrote ") and kept.is_file()
    again = run("backup", kept)
    assert again.returncode == 2 and b"--force" in again.stderr
    assert run("backup", kept, "--force").returncode == 0
    assert run("restore", kept).returncode == 2
    restored = process("restore", kept, "--force")
    assert (restored.returncode, restored.stdout) == (0, b"restored 3 items\n")
    assert run("query", "red", "--paths").returncode == 0
