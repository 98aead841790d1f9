"""The migration to own metadata: an old library has it, and is whole wherever the upgrade is cut short."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

import mmsearch
from mmsearch.catalog import Catalog, schema
from mmsearch.catalog.listing import count_items

ASSETS = Path(__file__).resolve().parents[1] / "assets" / "library"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A library of the first release's schema."""
    folder = tmp_path / "old"
    shutil.copytree(ASSETS, folder, ignore=shutil.ignore_patterns("README.md", "answers.jsonl"))
    return folder


def state(folder: Path) -> tuple[str, bool, int]:
    """(revision, whether there is a table of own metadata, items)"""
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as db:
        (revision,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
        table = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is not None
        (items,) = db.execute("SELECT count(*) FROM items").fetchone()
    return revision, table, items


@pytest.mark.slow
def test_an_old_library_takes_tags_and_own_metadata(old: Path) -> None:
    assert state(old) == ("0001", False, 55)
    with mmsearch.open(old) as library:
        assert library.count() == 54 and library.count(missing=True) == 55
        (dog,) = library.items("name = dog-at-a-laptop.jpg")
        assert dog.meta == {}
        library.set_meta(dog.path, {"rating": 5})
        library.tag(dog.path, add=["mine"])
        assert [item.id for item in library.items("meta.rating > 4 and tag = mine")] == [dog.id]
        assert [hit.path for hit in library.search("a dog", filter="meta.rating is known")] == [dog.path]
    assert state(old) == (schema.HEAD, True, 55)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed by forking one")
@pytest.mark.slow
@pytest.mark.extras
def test_an_upgrade_that_is_killed_at_any_statement_leaves_a_library_of_before_or_after(old: Path) -> None:
    seen, statement = set(), 0
    while True:
        statement += 1
        copy = old.with_name(f"cut{statement}")
        shutil.copytree(old, copy)
        child = os.fork()
        if child == 0:
            _upgrade_until(copy, statement)
        _, status = os.waitpid(child, 0)
        revision, table, items = state(copy)
        assert items == 55 and table == (revision == schema.HEAD), "the schema is never between two revisions"
        seen.add((os.waitstatus_to_exitcode(status), revision))
        opened = Catalog.open(copy, "1")
        assert opened.read(count_items) == 54
        opened.close()
        assert state(copy) == (schema.HEAD, True, 55)
        shutil.rmtree(copy)
        if os.waitstatus_to_exitcode(status) == 0:
            break
    assert statement > 5 and seen == {(9, "0001"), (9, schema.HEAD), (0, schema.HEAD)}


def _upgrade_until(folder: Path, last: int) -> None:
    """Open the catalog in a process that ends without a word before its `last` change."""
    left = last

    def count(_connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        nonlocal left
        if sql.lstrip().upper().startswith(("CREATE", "INSERT", "UPDATE", "DROP", "DELETE", "BEGIN", "SELECT VERSION")):
            left -= 1
            if left == 0:
                os._exit(9)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        Catalog.open(folder, "1")
    except BaseException:
        os._exit(1)
    os._exit(0)
