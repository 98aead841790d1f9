"""Whole copies of a catalog by SQLite's backup API: readers and a writer may go on meanwhile."""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from mmsearch.catalog.connections import encrypt_copy, open_file
from mmsearch.catalog.database import BUSY_S, distrusting, look_at, translated_sqlite, writable
from mmsearch.catalog.triggers import QUERY, check_triggers
from mmsearch.core import forks, vault
from mmsearch.core.owner_only import begin_private
from mmsearch.errors import CatalogDamaged, InvalidInput

PAGES = 4096
"""Pages copied in one step; between steps a writer gets its turn."""


def copy_catalog(source: Path, target: Path, key: vault.Key | None = None) -> None:
    """Copy a catalog, with whatever its log holds, into one file that needs no other; `target` must not exist, or be
    empty. It has the key of the library that it lies in, or `key`.

    Raises: CatalogDamaged if the copy doesn't pass SQLite's own check, LibraryError if it can't be written.
    """
    begin_private(target)
    theirs, key = vault.key_of(source), key or vault.key_of_library(target)
    with forks.no_fork(), translated_sqlite(source):
        if key is not None and (theirs is None or theirs.data != key.data):
            encrypt_copy(source, theirs, target, key)
            with closing(distrusting(open_file(target, key))) as made:
                check_catalog(made, source)
            return
        with closing(opened_copy(source)) as original, closing(distrusting(open_file(target, theirs))) as made:
            original.backup(made, pages=PAGES)
            made.execute("PRAGMA journal_mode = DELETE")
            check_catalog(made, source)


def inspect_copy(path: Path) -> tuple[str, int]:
    """(schema revision, items) of a file that should be a copy of a catalog.

    Raises: InvalidInput if it is no catalog of ours, CatalogDamaged if it is a broken one.
    """
    strange = InvalidInput(f"{path} is no backup of a library", hint="backups are made by: mmsearch backup FILE")
    if not path.is_file():
        raise InvalidInput(f"no such file: {path}")
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0" and vault.header_of(path) is None:
            raise strange
    with forks.no_fork(), translated_sqlite(path), closing(opened_copy(path)) as made:
        tables = {name for (name,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"alembic_version", "library", "items", "contents"} <= tables:
            raise strange
        check_catalog(made, path)
        (revision,) = made.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        check_triggers(made.execute(QUERY), str(revision), path)
        (items,) = made.execute("SELECT count(*) FROM items").fetchone()
        return str(revision), int(items)


def owner_of(path: Path) -> str:
    """The id of the library that a copy is of."""
    with forks.no_fork(), translated_sqlite(path), closing(opened_copy(path)) as made:
        return str(made.execute("SELECT uuid FROM library").fetchone()[0])


def overwrite(target: Path, source: Path) -> None:
    """Make a catalog what a copy of it was, in one transaction: its readers see the old state or the new one.

    The generation goes beyond that of either, and the floor with it, so that every index of before, in a file or in
    another process's memory, is rebuilt instead of replayed. `source` is changed so before it is copied. Its commits
    are those up to the backup and one more: what came in between is unknown to it.
    """
    with (
        forks.no_fork(),
        translated_sqlite(target),
        closing(distrusting(open_file(target, vault.key_of_library(target), timeout=BUSY_S))) as live,
        closing(distrusting(open_file(source, vault.key_of_library(source)))) as staged,
    ):
        beyond = 1 + max(_generation(live), _generation(staged))
        staged.execute("UPDATE library SET generation = ?, floor = ?", (beyond, beyond))
        staged.execute("INSERT INTO commits (generation, mark) VALUES (?, ?)", (beyond, secrets.randbits(63)))
        staged.execute("DELETE FROM tombstones")
        staged.commit()
        staged.backup(live)
        live.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _generation(connection: sqlite3.Connection) -> int:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'library'").fetchone():
        return 0
    row = connection.execute("SELECT generation FROM library").fetchone()
    return int(row[0]) if row else 0


def opened_copy(path: Path) -> sqlite3.Connection:
    """For reading; what is missing is not made."""
    key = vault.key_of(path)
    if not writable(path.parent):
        return look_at(path, key)
    return distrusting(open_file(path, key, "mode=ro", timeout=BUSY_S))


def check_catalog(connection: sqlite3.Connection, path: Path) -> None:
    """SQLite's quick check of a catalog; `path` is for the message. Raises: CatalogDamaged."""
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise CatalogDamaged(f"the catalog in {path} is damaged: {answer}", hint="use another backup")
