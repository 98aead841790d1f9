"""Libraries that were copied as files, or set back: an index is believed only by the commits it was made from."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mmsearch.library import Library
from tests.faults.world import image, lay, open_library, wrong_answers

pytestmark = pytest.mark.slow

ONE = {"a.one": image(200, 20, 20), "b.two": image(20, 200, 20)}
OTHER = {"a.one": image(20, 20, 200), "b.two": image(90, 90, 90)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "media"


def fill(library: Library, root: Path, media: dict[str, str]) -> dict[Path, str]:
    lay(root, media)
    library.ingest(root)
    return {root / name: content for name, content in media.items()}


def test_two_copies_of_a_library_refuse_each_other_s_index_files(root: Path, tmp_path: Path) -> None:
    """As many commits each, and the same ids: only the commits' marks tell their files apart."""
    with closing(open_library(tmp_path / "one")) as library:
        fill(library, root, {})
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    found: dict[str, dict[Path, str]] = {}
    for name, media in (("one", ONE), ("other", OTHER)):
        with closing(open_library(tmp_path / name)) as library:
            found[name] = fill(library, root, media)
            generation = library.status().generation
    for name in ("one", "other"):
        shutil.move(tmp_path / name / "indexes", tmp_path / f"{name}.indexes")
    shutil.move(tmp_path / "one.indexes", tmp_path / "other" / "indexes")
    shutil.move(tmp_path / "other.indexes", tmp_path / "one" / "indexes")
    for name in ("one", "other"):
        with closing(open_library(tmp_path / name)) as library:
            assert library.status().generation == generation
            assert not wrong_answers(library, found[name])


@pytest.mark.parametrize("media", [ONE, {**ONE, "c.three": image(7, 7, 90)}])
def test_an_older_catalog_is_not_answered_from_newer_index_files(
    root: Path, tmp_path: Path, media: dict[str, str]
) -> None:
    home = tmp_path / "library"
    with closing(open_library(home)) as library:
        fill(library, root, {"a.one": image(1, 1, 99)})
    shutil.copy(home / "catalog.sqlite", tmp_path / "yesterday")
    with closing(open_library(home)) as library:
        fill(library, root, OTHER)
    today = tmp_path / "today"
    shutil.copytree(home / "indexes", today)
    shutil.copy(tmp_path / "yesterday", home / "catalog.sqlite")
    with closing(open_library(home)) as library:
        found = fill(library, root, media)
    shutil.rmtree(home / "indexes")
    shutil.copytree(today, home / "indexes")
    with closing(open_library(home)) as library:
        assert not wrong_answers(library, found)


def test_an_open_reader_answers_after_a_restore(root: Path, tmp_path: Path) -> None:
    """What came after the backup is forgotten, its ids are given to others: a reader must not keep its vectors."""
    home, kept = tmp_path / "library", tmp_path / "kept.backup"
    with closing(open_library(home)) as writer, closing(open_library(home)) as reader:
        fill(writer, root, {"z.zero": image(9, 99, 9)})
        writer.backup(kept)
        found = fill(writer, root, ONE)
        assert not wrong_answers(reader, found)
        writer.restore(kept, overwrite=True)
        found = fill(writer, root, OTHER)
        assert not wrong_answers(reader, found)
        assert not wrong_answers(writer, found)


def test_a_copy_taken_while_idle_is_a_library(root: Path, tmp_path: Path) -> None:
    with closing(open_library(tmp_path / "one")) as library:
        found = fill(library, root, ONE)
        shutil.copytree(tmp_path / "one", tmp_path / "other")
        fill(library, root, OTHER)
    with closing(open_library(tmp_path / "other")) as copy:
        assert not wrong_answers(copy, found)
        assert not wrong_answers(copy, fill(copy, root, OTHER))


def test_a_leftover_write_ahead_log_is_not_applied_to_a_restored_catalog(root: Path, tmp_path: Path) -> None:
    home, left, kept = tmp_path / "library", tmp_path / "left", tmp_path / "kept.backup"
    with closing(open_library(home)) as library:
        found = fill(library, root, ONE)
        library.backup(kept)
        with closing(sqlite3.connect(home / "catalog.sqlite", isolation_level=None)) as reader:
            # For whoever reads, the log is kept.
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM library").fetchall()
            fill(library, root, OTHER)
            shutil.copytree(home, left)
    assert (left / "catalog.sqlite-wal").stat().st_size > 0
    (left / "catalog.sqlite").unlink()
    with closing(open_library(left)) as library:
        library.restore(kept)
        assert not wrong_answers(library, found)
