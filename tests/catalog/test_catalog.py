"""The catalog: its schema against its models, its upgrades, its queries against a hand-made state."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mmsearch.catalog import Batch, Catalog, ListKey, NewContent, NewFailure, Placement, schema
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.contents import filter_columns
from mmsearch.catalog.failures import all_failures, failure_counts, failures_to_retry, failures_under
from mmsearch.catalog.items import items_under, items_with_content
from mmsearch.catalog.lists import list_changes
from mmsearch.catalog.runs import latest_run
from mmsearch.catalog.tables import Base, modelled
from mmsearch.errors import CatalogDamaged, LibraryError, LibraryNotFound, SchemaTooNew
from mmsearch.types import Span, Vectors

KEY = ListKey("tiny", "image", "image")
ROOT = b"/r"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = Catalog.open(tmp_path, "1", create=True)
    made.add_space("tiny", "tests.tiny:space", 4, "f")
    return made


def content(name: str, *axes: int) -> NewContent:
    vectors: Vectors = np.eye(4, dtype=np.float32)[list(axes)]
    spans = [Span(start=float(i), end=i + 1.0, text=f"{name}{i}") for i in range(len(axes))]
    return NewContent(name, "image", {"of": name}, ["image"] * len(axes), spans, vectors)


def put(name: str, path: bytes, moved: int | None = None) -> Placement:
    return Placement(path, ROOT, name, 1, 2, moved)


def test_a_batch_with_any_field_filled_is_not_empty() -> None:
    assert not Batch()
    for one in fields(Batch):
        batch = Batch()
        getattr(batch, one.name).append(object())
        assert batch, one.name


def changed(catalog: Catalog, since: int) -> tuple[list[int], list[int], list[int]]:
    """(ids added, their axes, ids gone)"""
    ids: list[int] = []
    axes: list[int] = []
    gone: list[int] = []
    with catalog.reading() as snapshot:
        for change in list_changes(snapshot, KEY, 4, since):
            ids += change.ids.tolist()
            axes += change.vectors.argmax(axis=1).tolist()
            gone += change.gone.tolist()
    return ids, axes, sorted(gone)


def test_migrations_make_the_schema_of_the_table_definitions(catalog: Catalog) -> None:
    with catalog.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": modelled})
        assert compare_metadata(context, Base.metadata) == []


def test_the_newest_migration_is_known_without_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.scripts()))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


def test_stored_vectors_are_little_endian_float32(catalog: Catalog, tmp_path: Path) -> None:
    catalog.commit(Batch([content("a", 1)], [put("a", b"/r/a")]), 1)
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as db:
        assert db.execute("SELECT vector FROM embeddings").fetchone() == (np.array([0, 1, 0, 0], "<f4").tobytes(),)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_commit_that_fails_leaves_nothing(catalog: Catalog) -> None:
    broken = Batch([content("a", 0)], [put("a", b"/r/a"), put("unknown hash", b"/r/b")])
    with pytest.raises(LibraryError, match="no content unknown hash"):
        catalog.commit(broken, 1)
    assert catalog.read(current_commit)[:2] == (0, 0) and changed(catalog, -1) == ([], [], [])


def test_changes_list_what_happened_after_a_generation(catalog: Catalog) -> None:
    catalog.commit(Batch([content("a", 0, 1)], [put("a", b"/r/a")]), 1)
    catalog.commit(Batch([content("b", 2)], [put("b", b"/r/b")]), 1)
    assert changed(catalog, -1) == ([1, 2, 3], [0, 1, 2], [])
    assert changed(catalog, 1) == ([3], [2], [])
    with catalog.reading() as snapshot:
        item = items_with_content(snapshot, "a")[0]
    catalog.commit(Batch(missing=[(item.id, b"/r/other")]), 1)
    assert changed(catalog, 2) == ([], [], []), "the item has another path by now"
    catalog.commit(Batch(missing=[(item.id, b"/r/a")]), 1)
    assert changed(catalog, 3) == ([], [], [1, 2])
    assert catalog.forget([item]) == 1
    assert changed(catalog, 0) == ([3], [2], [1, 2])
    catalog.raise_oldest_replayable_generation(4)
    assert catalog.read(current_commit)[:2] == (5, 4)
    assert changed(catalog, 4) == ([], [], [1, 2]), "removals after the floor are still listed"
    catalog.raise_oldest_replayable_generation(5)
    assert changed(catalog, -1) == ([3], [2], [])


def test_ids_are_never_reused(catalog: Catalog) -> None:
    catalog.commit(Batch([content("a", 0, 1)], [put("a", b"/r/a")]), 1)
    catalog.remove(b"/r/a")
    catalog.commit(Batch([content("b", 2)], [put("b", b"/r/b")]), 1)
    assert changed(catalog, -1)[0] == [3]


def test_a_content_is_findable_while_one_present_path_has_it(catalog: Catalog) -> None:
    catalog.commit(Batch([content("a", 0)], [put("a", b"/r/a"), put("a", b"/r/b")]), 1)
    catalog.remove(b"/r/a")
    assert changed(catalog, -1)[0] == [1]
    catalog.remove(b"/r/b")
    assert changed(catalog, -1)[0] == []


def test_a_moved_file_keeps_its_item_id(catalog: Catalog) -> None:
    catalog.commit(Batch([content("a", 0)], [put("a", b"/r/a")]), 1)
    catalog.commit(Batch(placements=[put("a", b"/s/new", moved=1)]), 1)
    with catalog.reading() as snapshot:
        assert [(i.id, i.path) for i in items_with_content(snapshot, "a")] == [(1, b"/s/new")]


def test_paths_below_a_folder_are_compared_byte_by_byte(catalog: Catalog) -> None:
    names = [b"/r/a", b"/r/a/x", b"/r/a\xff", b"/r/a0", b"/r/A/x", b"/r/a%/x", b"/r/a/\xff\xfe"]
    catalog.commit(Batch([content("c", 0)], [put("c", name) for name in names]), 1)
    with catalog.reading() as snapshot:
        below = [item.path for item in items_under(snapshot, b"/r/a", None, 10)]
        assert below == [b"/r/a", b"/r/a/x", b"/r/a/\xff\xfe"]
        assert [i.path for i in items_under(snapshot, b"/r/a", b"/r/a", 1)] == [b"/r/a/x"]
        assert len(items_under(snapshot, b"/", None, 100)) == 7


def test_a_failure_replaces_an_item_and_an_item_a_failure(catalog: Catalog) -> None:
    catalog.commit(Batch([content("a", 0)], [put("a", b"/r/a")]), 1)
    catalog.commit(Batch(failures=[NewFailure(b"/r/a", ROOT, 3, 4, "corrupt", "cut")]), 1)
    assert changed(catalog, 1) == ([], [], [1])
    with catalog.reading() as snapshot:
        (found,) = failures_under(snapshot, b"/r", None, 10)
        assert (found.failure, found.attempts, found.root) == ("corrupt", 1, ROOT)
        assert failures_under(snapshot, b"/s", None, 10) == failures_to_retry(snapshot, "limit") == []
        assert failures_under(snapshot, b"/r", b"/r/a", 10) == []
        assert failures_under(snapshot, b"/r/a", None, 10) == all_failures(snapshot) == [found]
        assert failure_counts(snapshot) == {"corrupt": 1}
    catalog.commit(Batch(placements=[put("a", b"/r/a")]), 1)
    with catalog.reading() as snapshot:
        assert all_failures(snapshot) == []


def test_an_ingest_that_never_ended_is_recorded_as_killed(catalog: Catalog) -> None:
    catalog.begin_run()
    second = catalog.begin_run()
    catalog.finish_run(second, "done", {"new": 1})
    with catalog.reading() as snapshot:
        last = latest_run(snapshot)
        assert last is not None and (last.state, last.report) == ("done", {"new": 1})
        states = snapshot.exec_driver_sql("SELECT state FROM runs ORDER BY id").fetchall()
    assert [tuple(row) for row in states] == [("killed",), ("done",)]


def test_opening_a_folder_without_a_catalog_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LibraryNotFound):
        Catalog.open(tmp_path, "1")


def test_a_newer_schema_is_refused_and_left_alone(catalog: Catalog, tmp_path: Path) -> None:
    catalog.close()
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match="newer release"):
        Catalog.open(tmp_path, "1")
    assert list(tmp_path.glob("*.bak")) == []


def test_an_older_schema_is_copied_then_upgraded(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A further migration is added to a copy of the scripts."""
    catalog.commit(Batch([content("a", 0)], [put("a", b"/r/a")]), 1)
    catalog.close()
    scripts = tmp_path / "100% scripts"
    shutil.copytree(schema.scripts(), scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "9998_more.py").write_text(
        f"from alembic import op\nimport sqlalchemy as sa\nrevision, down_revision = '9998', '{schema.HEAD}'\n"
        "def upgrade():\n    op.create_table('more', sa.Column('id', sa.Integer(), primary_key=True))\n"
    )
    monkeypatch.setattr(schema, "scripts", lambda: scripts)
    before = schema.HEAD
    monkeypatch.setattr(schema, "HEAD", "9998")
    upgraded = Catalog.open(tmp_path, "2")
    assert changed(upgraded, -1) == ([1], [0], [])
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchone() == ("9998",)
        assert db.execute("SELECT count(*) FROM more").fetchone() == (0,)
    with closing(sqlite3.connect(tmp_path / f"catalog.sqlite.{before}.bak")) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchone() == (before,)
        assert db.execute("SELECT count(*) FROM items").fetchone() == (1,)


def test_a_failed_upgrade_leaves_the_old_schema_intact(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.close()
    scripts = tmp_path / "scripts"
    shutil.copytree(schema.scripts(), scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "9998_bad.py").write_text(
        f"from alembic import op\nrevision, down_revision = '9998', '{schema.HEAD}'\n"
        "def upgrade():\n    op.drop_table('tombstones')\n    raise RuntimeError('half way')\n"
    )
    with monkeypatch.context() as changed_scripts:
        changed_scripts.setattr(schema, "scripts", lambda: scripts)
        changed_scripts.setattr(schema, "HEAD", "9998")
        with pytest.raises(RuntimeError, match="half way"):
            Catalog.open(tmp_path, "2")
    Catalog.open(tmp_path, "1").commit(Batch([content("a", 0)], [put("a", b"/r/a")]), 1)


@pytest.mark.parametrize("data", [b"not a database at all" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_catalog_is_an_error_with_a_hint(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(data)
    with pytest.raises(CatalogDamaged, match="is damaged"):
        Catalog.open(tmp_path, "1")
    assert (tmp_path / "catalog.sqlite").read_bytes() == data


@pytest.mark.parametrize(
    ("told", "held"),
    [
        ({"width": 10**30, "height": True, "duration": 10**400}, {}),
        ({"width": 2**63 - 1, "height": -1, "duration": 5}, {"width": 2**63 - 1, "height": -1, "duration": 5.0}),
        ({"duration": float("nan"), "gps": [1.0], "title": ["x"], "make": None}, {}),
        ({"duration": float("inf"), "gps": {"a": 1}, "taken": 5}, {}),
        ({"gps": [47.5, "x"], "title": "a\ud800b"}, {"latitude": 47.5, "title": "a?b"}),
    ],
)
def test_metadata_that_no_column_can_store_is_left_out(told: dict[str, Any], held: dict[str, Any]) -> None:
    """A file says of itself what it likes: no number from outside stops an ingest."""
    assert {name: value for name, value in filter_columns(told).items() if value is not None} == held
