"""A catalog that travels brings no triggers and no views but ours, and what it has can't reach beyond it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from mmsearch.catalog import Catalog, health, schema
from mmsearch.catalog.database import driver
from mmsearch.catalog.stores import FileStore
from mmsearch.catalog.triggers import DIGESTS, QUERY, digest
from mmsearch.errors import CatalogDamaged, LibraryNotFound
from mmsearch.maintenance.backup import back_up, restore_backup

FOREIGN = [
    "CREATE TRIGGER stranger AFTER INSERT ON items BEGIN DELETE FROM contents; END",
    "CREATE VIEW stranger AS SELECT * FROM items",
    "DROP TRIGGER words_item_added",
    "DROP TRIGGER words_titled; CREATE TRIGGER words_titled AFTER UPDATE OF title ON contents BEGIN SELECT 1; END",
]


def change(path: Path, statements: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(statements)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    (tmp_path / "library").mkdir()
    Catalog.open(tmp_path / "library", "1", create=True).close()
    return tmp_path / "library" / "catalog.sqlite"


def test_every_revision_has_the_digest_of_what_its_migrations_made(catalog: Path) -> None:
    revisions = {one.revision for one in ScriptDirectory.from_config(schema._config()).walk_revisions()}
    assert DIGESTS.keys() == revisions
    with closing(sqlite3.connect(catalog)) as database:
        assert digest(database.execute(QUERY)) == DIGESTS[schema.HEAD]


@pytest.mark.parametrize("statements", FOREIGN)
def test_foreign_triggers_and_views_are_refused_at_open_and_named_by_the_doctor(catalog: Path, statements: str) -> None:
    change(catalog, statements)
    with pytest.raises(CatalogDamaged, match="no release of mmsearch made") as refused:
        Catalog.open(catalog.parent, "1")
    assert "restore a backup of your own" in str(refused.value.hint)
    found = health.whole(FileStore(catalog.parent))
    assert (found.state, found.detail) == ("error", refused.value.message)


def test_a_file_without_a_schema_must_have_no_triggers_either(tmp_path: Path) -> None:
    change(tmp_path / "catalog.sqlite", "CREATE TABLE other (a); CREATE VIEW stranger AS SELECT a FROM other")
    with pytest.raises(CatalogDamaged, match="no release of mmsearch made"):
        Catalog.open(tmp_path, "1")


@pytest.mark.parametrize("statements", FOREIGN)
def test_a_backup_with_foreign_triggers_is_not_restored(catalog: Path, tmp_path: Path, statements: str) -> None:
    kept = Catalog.open(catalog.parent, "1")
    back_up(kept, tmp_path / "kept.backup")
    kept.close()
    change(tmp_path / "kept.backup", statements)
    with pytest.raises(CatalogDamaged, match="no release of mmsearch made"):
        restore_backup(tmp_path / "kept.backup", FileStore(tmp_path / "other"))
    with pytest.raises(LibraryNotFound):
        Catalog.open(tmp_path / "other", "1")


def test_only_a_writer_trusts_what_a_schema_says(catalog: Path) -> None:
    opened = Catalog.open(catalog.parent, "1")
    for connected, trusted in ((opened.reading, 0), (opened.exclusive, 1), (opened.reading, 0), (opened.exclusive, 1)):
        with connected() as connection:
            assert driver(connection).execute("PRAGMA trusted_schema").fetchone() == (trusted,)
            assert connection.execute(text("SELECT count(*) FROM passage_words")).scalar() == 0
    opened.close()
