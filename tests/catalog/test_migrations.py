"""The library of the first release becomes one of today, whatever happens while it does."""

import os
import shutil
import signal
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from mmsearch.catalog import Catalog, schema
from mmsearch.catalog.items import items_under

ASSETS = Path(__file__).resolve().parents[1] / "assets" / "library"


def facts(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT path, size, mtime_ns, status, sha256, modality FROM items JOIN contents c ON c.id = content_id"
        return db.execute(f"{query} ORDER BY path").fetchall()


EVIDENCE = [("content_id", "INTEGER", 1, 1), ("data", "BLOB", 1, 0)]
"""Name, type, whether it must have a value, place in the key."""

PLACE = ("place", "VARCHAR", 0, 0)


def columns(db: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return db.execute("SELECT name, type, [notnull], pk FROM pragma_table_info(?)", [table]).fetchall()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_the_table_of_evidence_comes_whole_or_not_at_all(tmp_path: Path) -> None:
    """Killed at the statement that makes it, and at those beside it."""
    at = created_at(tmp_path)
    for turn in (at, at + 1, at + 2):
        folder = tmp_path / str(turn)
        folder.mkdir()
        shutil.copy(ASSETS / "catalog.sqlite", folder)
        assert not migrated(folder, turn), "killed"
        with closing(sqlite3.connect(folder / "catalog.sqlite")) as db:
            (revision,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
            assert columns(db, "evidence") == (EVIDENCE if revision >= "0004" else [])
        Catalog.open(folder, "new").close()
        with closing(sqlite3.connect(folder / "catalog.sqlite")) as db:
            assert columns(db, "evidence") == EVIDENCE
            content = db.execute("SELECT min(id) FROM contents").fetchone()[0]
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("INSERT INTO evidence VALUES (?, x'01')", [content])
            db.execute("DELETE FROM items WHERE content_id = ?", [content])
            db.execute("DELETE FROM contents WHERE id = ?", [content])
            assert db.execute("SELECT count(*) FROM evidence").fetchone() == (0,)


def created_at(folder: Path) -> int:
    """The place of the statement that makes the table among those of an upgrade."""
    copy = folder / "counted"
    copy.mkdir()
    shutil.copy(ASSETS / "catalog.sqlite", copy)
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        seen.append(sql.strip())

    event.listen(Engine, "before_cursor_execute", note)
    try:
        Catalog.open(copy, "new").close()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    (place,) = [n for n, sql in enumerate(seen) if sql.startswith("CREATE TABLE evidence")]
    return place


def migrated(folder: Path, dies_at: int) -> bool:
    """Open it in a process that kills itself at a statement. Returns whether it came to that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that other tests left
        child = os.fork()
    if child == 0:
        try:
            turns = iter(range(dies_at, -1, -1))

            def count(*_: object) -> None:
                if next(turns) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            event.listen(Engine, "before_cursor_execute", count)
            Catalog.open(folder, "new").close()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.slow
@pytest.mark.extras
def test_a_migration_killed_at_any_statement_is_done_by_the_next_who_opens(tmp_path: Path) -> None:
    before, done, at = facts(ASSETS / "catalog.sqlite"), False, 0
    while not done:
        folder = tmp_path / str(at)
        folder.mkdir()
        shutil.copy(ASSETS / "catalog.sqlite", folder)
        done = migrated(folder, at)
        with closing(Catalog.open(folder, "new")) as catalog:
            known = catalog.read(items_under, b"/home/ada/Pictures", None, 1000)
        assert facts(folder / "catalog.sqlite") == before and len(known) == len(before)
        assert {item.kept for item in known} == {0}
        with closing(sqlite3.connect(folder / "catalog.sqlite")) as db:
            assert db.execute("SELECT version_num FROM alembic_version").fetchone() == (schema.HEAD,)
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert columns(db, "evidence") == EVIDENCE
            assert db.execute("SELECT count(*) FROM evidence").fetchone() == (0,)
            assert [name for name, *_ in columns(db, "copies")] == ["path", "kind", "made_at"]
            assert {row[:2] for row in db.execute("SELECT exclude, scanned_at FROM roots")} == {("", None)}
            assert PLACE in columns(db, "segments")
            assert db.execute("SELECT count(*) FROM segments WHERE place IS NOT NULL").fetchone() == (0,)
        at += 1
    assert at > 5
