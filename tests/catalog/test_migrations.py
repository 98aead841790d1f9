"""The library of the first release becomes one of today, whatever happens while it does."""

import os
import shutil
import signal
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from mmsearch.catalog import Catalog, schema
from mmsearch.catalog.items import items_under

ASSETS = Path(__file__).resolve().parents[1] / "assets" / "library"


def facts(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT path, size, mtime_ns, status, sha256, modality FROM items JOIN contents c ON c.id = content_id"
        return db.execute(f"{query} ORDER BY path").fetchall()


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
        at += 1
    assert at > 5
