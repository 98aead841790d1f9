"""What a library does where it can't do everything: read-only folders, full disks, other writers, newer schemas."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from mmsearch.catalog import Catalog
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.items import items_under
from mmsearch.core.config import Settings
from mmsearch.core.version import VERSION
from mmsearch.errors import LibraryError, LibraryLocked, LibraryReadOnly, MmsearchError, SchemaTooNew
from mmsearch.library import Library
from tests.faults.shim import CHECKOUT
from tests.faults.world import FIRST, SECOND, THIRD, Media, lay, open_library, wrong_answers

resource = pytest.importorskip("resource", reason="no such limits and users on this system")
NOBODY = 65534


def fill(library: Library, root: Path, media: Media) -> dict[Path, str]:
    lay(root, media)
    library.ingest(root)
    return {root / name: content for name, content in media.items()}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can get at: pytest's own ones are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder).resolve()


@contextmanager
def read_only(home: Path) -> Iterator[None]:
    """The folder can't be written meanwhile, not even by root, who is somebody else for so long."""
    inside = [home, *home.rglob("*")]
    for path in inside:
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        for path in inside:
            if path.exists():
                path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_read_only_folder_can_be_searched(open_folder: Path) -> None:
    root, home = open_folder / "media", open_folder / "library"
    with closing(open_library(home)) as library:
        found = fill(library, root, FIRST)
        assert not wrong_answers(library, found)  # loads what nobody else may read
    kept = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    with read_only(home), closing(open_library(home)) as library:
        assert not wrong_answers(library, found)
        assert library.status().generation > 0
        for work in (lambda: library.ingest(root), lambda: library.remove(root), library.prune):
            with pytest.raises(LibraryReadOnly, match="can't write") as raised:
                work()
            assert raised.value.hint == "check the folder's permissions"
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == kept


def test_a_read_only_library_can_be_backed_up(open_folder: Path) -> None:
    root, home, kept = open_folder / "media", open_folder / "library", open_folder / "kept"
    kept.mkdir()
    kept.chmod(0o777)
    with closing(open_library(home)) as library:
        found = fill(library, root, FIRST)
    with read_only(home), closing(open_library(home)) as library:
        library.backup(kept / "library.backup")
    with closing(open_library(open_folder / "other")) as library:
        library.restore(kept / "library.backup")
        assert not wrong_answers(library, found)


@pytest.mark.slow
def test_a_read_only_process_sees_what_another_writes(open_folder: Path) -> None:
    root, home = open_folder / "media", open_folder / "library"
    with closing(open_library(home)) as writer:
        found = fill(writer, root, FIRST)
        with closing(open_library(home)) as reader:
            assert not wrong_answers(writer, found)
            for media in (SECOND, THIRD):
                with read_only(home):
                    assert not wrong_answers(reader, found)
                found = fill(writer, root, media)
            writer.close()
            with read_only(home):
                assert not wrong_answers(reader, found)


def test_an_older_library_in_a_read_only_folder_says_that_it_must_be_upgraded_elsewhere(open_folder: Path) -> None:
    old, copy = CHECKOUT / "tests" / "assets" / "library", open_folder / "copy"
    for home in (open_folder / "library", copy):
        shutil.copytree(old, home)
    with closing(Library(copy, Settings())) as library:
        assert library.count() == 54  # loads what nobody else may read
    with read_only(open_folder / "library"), closing(Library(open_folder / "library", Settings())) as library:
        with pytest.raises(LibraryReadOnly, match=r"library is of an older release") as raised:
            library.count()
        assert raised.value.hint == "open it once where you may write, or copy it to where you may"
    assert not list((open_folder / "library").glob("*.bak"))


def test_a_leftover_write_ahead_log_in_a_read_only_folder_is_refused(open_folder: Path) -> None:
    """A killed library on a disk that can't be written: nobody can fold its log in there."""
    root, home, left = open_folder / "media", open_folder / "library", open_folder / "left"
    with closing(open_library(home)) as writer:
        fill(writer, root, FIRST)
        writer.search("red")
        shutil.copytree(home, left)
    (left / "catalog.sqlite-shm").unlink()
    assert (left / "catalog.sqlite-wal").exists()
    with read_only(left), closing(open_library(left)) as library:
        with pytest.raises(LibraryReadOnly) as raised:
            library.search("red")
        assert "copy the library to where you may write" in str(raised.value.hint)


@pytest.mark.slow
def test_a_second_ingest_is_refused_while_one_runs(tmp_path: Path) -> None:
    """The second is turned away, clearly, and the first goes on; repeated, it has nothing left to do."""
    root, home = tmp_path / "media", tmp_path / "library"
    refused: list[MmsearchError] = []
    with closing(open_library(home)) as first, closing(open_library(home)) as second:
        lay(root, FIRST)

        def other(_progress: object) -> None:
            if not refused:
                with pytest.raises(LibraryLocked) as raised:
                    second.ingest(root)
                refused.append(raised.value)

        first.ingest(root, on_progress=other)
        assert refused[0].hint == "wait until it is done, then repeat; searching works meanwhile"
        assert second.ingest(root).unchanged == len(FIRST)
        for library in (first, second):
            assert not wrong_answers(library, {root / name: content for name, content in FIRST.items()})


@pytest.mark.extras
def test_a_reader_keeps_its_generation_for_as_long_as_it_reads(tmp_path: Path) -> None:
    root, home = tmp_path / "media", tmp_path / "library"
    with closing(open_library(home)) as library:
        fill(library, root, FIRST)
        with closing(Catalog.open(home, VERSION)) as catalog, catalog.reading() as snapshot:
            generation = current_commit(snapshot).generation
            before = items_under(snapshot, os.fsencode(root), None, 100)
            for media in (SECOND, THIRD):
                found = fill(library, root, media)
                assert not wrong_answers(library, found)
            assert items_under(snapshot, os.fsencode(root), None, 100) == before
            assert current_commit(snapshot).generation == generation
        with closing(Catalog.open(home, VERSION)) as catalog:
            assert catalog.read(current_commit).generation > generation


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    root, home = tmp_path / "media", tmp_path / "library"
    with closing(open_library(home)) as library:
        fill(library, root, FIRST)
    with closing(sqlite3.connect(home / "catalog.sqlite")) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
    content = (home / "catalog.sqlite").read_bytes()
    with closing(open_library(home)) as library:
        for work in (lambda: library.search("red"), lambda: library.ingest(root), library.prune, library.status):
            with pytest.raises(SchemaTooNew, match="newer release") as raised:
                work()
            assert raised.value.hint == "upgrade: pip install --upgrade mmsearch"
    assert (home / "catalog.sqlite").read_bytes() == content


def test_opening_a_library_to_search_writes_nothing(tmp_path: Path) -> None:
    """Not even where somebody else is in the middle of a write: then one would have to wait for it."""
    root, home = tmp_path / "media", tmp_path / "library"
    with closing(open_library(home)) as library:
        found = fill(library, root, FIRST)
        with closing(sqlite3.connect(home / "catalog.sqlite", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            before = (home / "catalog.sqlite-wal").stat().st_size
            with closing(open_library(home)) as reader:
                assert not wrong_answers(reader, found)
            assert (home / "catalog.sqlite-wal").stat().st_size == before
            writer.execute("ROLLBACK")


@pytest.mark.slow
def test_a_full_disk_stops_an_ingest_and_no_search(tmp_path: Path) -> None:
    """No file may grow beyond what the library's have already: as on a full disk, but with another error number."""
    root, home = tmp_path / "media", tmp_path / "library"
    with closing(open_library(home)) as library:
        found = fill(library, root, FIRST)
    lay(root, THIRD)
    done = subprocess.run([sys.executable, "-m", __name__, home, root], cwd=CHECKOUT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    with closing(open_library(home)) as library:
        assert not wrong_answers(library, found)
        assert not wrong_answers(library, fill(library, root, THIRD))


def _on_a_full_disk(home: Path, root: Path) -> None:
    """The process of the test above: the error is ours, and searches go on."""
    with closing(open_library(home)) as library:
        before = [(hit.path, hit.cosine) for hit in library.search("red", 100, mode="vector")]
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))
        try:
            library.ingest(root)
        except LibraryError as error:
            assert error.hint
        else:
            raise AssertionError("there was room")
        assert [(hit.path, hit.cosine) for hit in library.search("red", 100, mode="vector")] == before


if __name__ == "__main__":
    import signal

    with suppress(ValueError):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _on_a_full_disk(Path(sys.argv[1]), Path(sys.argv[2]))
