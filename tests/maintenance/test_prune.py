"""Forgetting costs what is forgotten, gives room back, and never lets the log grow."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmsearch.catalog import Batch, Catalog, ListKey, NewContent, NewFailure, Placement, database, store
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.embeddings import _IS_EMBEDDED, segments_without_vectors
from mmsearch.catalog.failures import failures_under
from mmsearch.catalog.items import _ITEM_AT, _ITEMS_BELOW, items_under
from mmsearch.catalog.lists import list_changes, sample_list
from mmsearch.catalog.spaces import all_spaces
from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from mmsearch.types import Span
from tests.conftest import Run
from tests.generated import picture, words

KEY = ListKey("tiny", "image", "image")
MANY = 3000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the catalog of many items of one segment each, /r/00000 and so on."""
    folder = tmp_path_factory.mktemp("many")
    made = Catalog.open(folder, "1", create=True)
    space = made.add_space("tiny", "tests.tiny:space", 64, "f")
    rows = np.eye(64, dtype=np.float32)
    contents = [NewContent(f"{n:064x}", "image", {}, ["image"], [Span()], rows[n % 64][None]) for n in range(MANY)]
    made.commit(Batch(contents, [Placement(b"/r/%05d" % n, b"/r", f"{n:064x}", 1, 2) for n in range(MANY)]), space.id)
    made.close()
    return folder


@pytest.fixture
def catalog(many: Path, tmp_path: Path) -> Catalog:
    shutil.copytree(many, tmp_path, dirs_exist_ok=True)
    return Catalog.open(tmp_path, "1")


def findable(catalog: Catalog, since: int = -1) -> tuple[list[int], list[int]]:
    """(ids, ids gone)"""
    with catalog.reading() as snapshot:
        found = list(list_changes(snapshot, KEY, 64, since))
    return [i for one in found for i in one.ids.tolist()], sorted(i for one in found for i in one.gone.tolist())


@pytest.mark.slow
def test_prune_frees_disk_space_while_a_search_goes_on(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with catalog.reading() as snapshot:
        items = items_under(snapshot, b"/r", None, MANY)[1:]
    catalog.commit(Batch(missing=[(item.id, item.path) for item in items]), 1)
    database.checkpoint(catalog._engine)
    before = path.stat().st_size
    with catalog.reading() as snapshot:
        assert len(items_under(snapshot, b"/r", None, MANY)) == MANY
        assert catalog.forget(items) == MANY - 1
        freed = catalog.release()
        assert len(items_under(snapshot, b"/r", None, MANY)) == MANY, "a search sees what it saw"
    assert catalog.release() == 0
    assert freed > before / 2
    database.checkpoint(catalog._engine)
    assert path.stat().st_size == before - freed
    assert findable(catalog) == ([1], [])
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.slow
def test_prune_deletes_a_few_thousand_rows_at_a_time(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FORGOTTEN", 700)
    generation = catalog.read(current_commit).generation
    assert catalog.remove(b"/r") == (MANY, 0)
    assert catalog.read(current_commit).generation == generation + 5
    assert findable(catalog, generation) == ([], list(range(1, MANY + 1)))


def test_prune_deletes_the_old_content_of_a_changed_file(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FORGOTTEN", 3)
    placed = [Placement(b"/r/%05d" % n, b"/r", f"{20:064x}", 1, 3) for n in range(7)]
    catalog.commit(Batch(placements=placed), 1)
    assert catalog.forget_orphans() == 7
    assert catalog.forget_orphans() == 0
    assert findable(catalog)[0] == list(range(8, MANY + 1))


def test_a_content_whose_last_present_path_is_removed_is_not_found_any_more(catalog: Catalog) -> None:
    catalog.commit(Batch(placements=[Placement(b"/s/copy", b"/s", f"{0:064x}", 1, 2)]), 1)
    with catalog.reading() as snapshot:
        (copy,) = items_under(snapshot, b"/s", None, 1)
    catalog.commit(Batch(missing=[(copy.id, copy.path)]), 1)
    generation = catalog.read(current_commit).generation
    assert catalog.remove(b"/r/00000") == (1, 0)
    assert findable(catalog, generation) == ([], [1])


def test_reading_items_uses_an_index_and_no_sorting(catalog: Catalog) -> None:
    with catalog.reading() as snapshot:
        for query in (_ITEMS_BELOW, _ITEM_AT, _IS_EMBEDDED):
            text, fixed = query.compiled(snapshot)
            asked = dict.fromkeys(re.findall(r":(\w+)", text), b"")
            plan = database.driver(snapshot).execute(f"EXPLAIN QUERY PLAN {text}", asked | fixed)
            steps = [str(row[3]) for row in plan]
            assert not [step for step in steps if "SCAN" in step or "TEMP" in step], steps


def test_the_write_ahead_log_is_truncated_once_it_is_large(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "catalog.sqlite-wal"
    monkeypatch.setattr(database, "LOG_BYTES", 50_000)
    monkeypatch.setattr(database, "READER_S", 0.01)
    with catalog.reading() as snapshot:
        current_commit(snapshot)
        catalog.commit(Batch(placements=[Placement(b"/s/%d" % n, b"/s", f"{0:064x}", 1, 2) for n in range(500)]), 1)
        assert log.stat().st_size > 50_000, "a search that began before needs what was there"
    catalog.commit(Batch(placements=[Placement(b"/s/last", b"/s", f"{0:064x}", 1, 2)]), 1)
    assert log.stat().st_size == 0


@pytest.mark.slow
def test_the_write_ahead_log_is_empty_after_an_ingest(library: Library, folder: Path) -> None:
    picture(folder / "red.png", "red")
    library.ingest(folder)
    assert (library.path / "catalog.sqlite-wal").stat().st_size == 0


@pytest.mark.slow
def test_remove_forgets_a_failed_file_too(library: Library, folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    picture(folder / "red.png", "red")
    library.ingest(folder)
    assert library.remove(folder / "broken.png") == 0
    assert library.failures() == []
    with pytest.raises(InvalidInput, match="the library has nothing at"):
        library.remove(folder / "broken.png")


@pytest.mark.sqlite
@pytest.mark.slow
def test_the_prune_command_prints_what_was_freed(library: Library, folder: Path, run: Run) -> None:
    for n in range(40):
        picture(folder / f"{n}.png", "red", mark=n)
    library.ingest(folder)
    for n in range(40):
        (folder / f"{n}.png").unlink()
    words(folder / "note.txt", "red")
    assert re.fullmatch(rb"forgot 40 missing items, freed [\d.]+ kB\n", run("prune").stdout)
    assert run("prune").stdout == b"forgot 0 missing items, freed 0 B\n"


def test_failures_are_read_in_pages(catalog: Catalog) -> None:
    failures = [NewFailure(b"/f/%02d" % n, b"/f", 1, 2, "corrupt", "cut") for n in range(10)]
    catalog.commit(Batch(failures=failures), 1)
    with catalog.reading() as snapshot:
        first = failures_under(snapshot, b"/f", None, 4)
        rest = failures_under(snapshot, b"/f", first[-1].path, 100)
    assert [failure.path for failure in first + rest] == [failure.path for failure in failures]


def test_projecting_again_fills_missing_vectors_anywhere(catalog: Catalog) -> None:
    (base,) = catalog.read(all_spaces)
    made = catalog.add_projected(base, "tiny+p", "g", b"weights")
    catalog.project(made, 700, lambda vectors, modality: vectors[:, ::-1].copy())
    with catalog.reading() as snapshot:
        rows = [one for one in list_changes(snapshot, ListKey("tiny+p", "image", "image"), 64, -1)]
        assert sum(len(one.ids) for one in rows) == MANY and rows[0].vectors[0].argmax() == 63
    with database.writing(catalog._engine) as connection:
        connection.exec_driver_sql("DELETE FROM embeddings WHERE space_id = 2 AND segment_id % 1000 = 5")
    catalog.project(made, 700, lambda vectors, modality: vectors)
    with catalog.reading() as snapshot:
        count = "SELECT count(*), sum(segment_id % 1000 = 5) FROM embeddings WHERE space_id = 2"
        assert tuple(snapshot.exec_driver_sql(count).one()) == (MANY, 3)
        assert list(segments_without_vectors(snapshot, made, 0, 1)) == []


def test_a_sample_is_evenly_spaced_by_id(catalog: Catalog) -> None:
    with catalog.reading() as snapshot:
        found = sample_list(snapshot, KEY, 64, 4)
    assert found.contents.tolist() == [1, 1000, 2000, 3000]
    assert found.vectors.argmax(axis=1).tolist() == [0, 999 % 64, 1999 % 64, 2999 % 64]


@pytest.mark.slow
def test_publishing_drops_the_tombstones_that_every_index_has_replayed(library: Library, folder: Path) -> None:
    """A publish raises the floor and drops the removals below it: else they would pile up for ever."""
    for n in range(3):
        picture(folder / f"{n}.png", "red", mark=n)
    library.ingest(folder)
    catalog = library._context.catalog()
    assert catalog.read(current_commit)[:2] == (2, 2), "a commit, and the backgrounds"
    library.remove(folder / "1.png")
    generation, floor = catalog.read(current_commit)[:2]
    assert generation == floor > 2
    with catalog.reading() as snapshot:
        assert snapshot.exec_driver_sql("SELECT count(*) FROM tombstones").scalar() == 0
