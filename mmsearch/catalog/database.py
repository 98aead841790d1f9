"""Connections to a library's SQLite file: WAL, foreign keys, explicit transactions, errors in our words."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError

from mmsearch.errors import CatalogDamaged, LibraryError, LibraryLocked, LibraryReadOnly

BUSY_S = 30.0
"""Seconds a connection waits for another one's write."""

READER_S = 5.0
"""Seconds a writer waits, at a time, for readers of an old state."""

LOG_BYTES = 128 * 2**20
"""From this size on a writer waits for the readers that keep the log from being moved into the database."""

KEPT_LOG_BYTES = 16 * 2**20
"""What the log is cut to when it begins anew."""

RELEASED = 2000
"""Pages given back in one transaction."""


def connect(path: Path) -> Engine:
    """An engine over the catalog file; nothing is opened before the first use."""
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: sqlite3.Connection, _record: Any) -> None:
    # We say BEGIN ourselves: sqlite3's own way opens no transaction for reads, which then see two states.
    connection.isolation_level = None
    # Heard only while there is no table yet; lets `release` give pages back a few at a time.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_size_limit = {KEPT_LOG_BYTES}")


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A snapshot: every statement inside sees the same committed state."""
    with _translated(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction, committed at the end or rolled back whole."""
    with _translated(engine), engine.connect() as connection:
        connection = connection.execution_options(writes=True)
        with connection.begin():
            yield connection
    if _size(f"{engine.url.database}-wal") > LOG_BYTES:
        checkpoint(engine, wait_s=READER_S)


def checkpoint(engine: Engine, *, wait_s: float = 0.0) -> None:
    """Move what the log holds into the database and empty the log, as far as its readers let go of it in time."""
    with _translated(engine), translated_sqlite(Path(engine.url.database or "")), _plain(engine) as connection:
        connection.execute(f"PRAGMA busy_timeout = {round(1000 * wait_s)}")
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY_S)}")


def release(engine: Engine) -> int:
    """Give the pages that nothing needs any more back to the file system, in many small transactions: searches and
    even other writers go on meanwhile. Returns bytes."""
    freed = 0
    with _translated(engine), translated_sqlite(Path(engine.url.database or "")), _plain(engine) as connection:
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        while (count := connection.execute("PRAGMA freelist_count").fetchone()[0]) > 0:
            connection.execute(f"PRAGMA incremental_vacuum({RELEASED})").fetchall()
            (left,) = connection.execute("PRAGMA freelist_count").fetchone()
            if left >= count:
                break  # made before pages could be given back
            freed += (count - left) * page
    checkpoint(engine)
    return int(freed)


@contextmanager
def _plain(engine: Engine) -> Iterator[sqlite3.Connection]:
    """A connection without a transaction around it."""
    held = engine.raw_connection()
    try:
        yield cast(sqlite3.Connection, held.driver_connection)
    finally:
        held.close()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise translate(error, Path(engine.url.database or "")) from error


@contextmanager
def translated_sqlite(path: Path) -> Iterator[None]:
    """The same for what goes past SQLAlchemy."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error


def translate(error: DatabaseError | sqlite3.Error, path: Path) -> LibraryError:
    """SQLite's error in our words; unknown ones keep SQLite's text."""
    text = str(error.orig) if isinstance(error, DatabaseError) else str(error)
    if "readonly" in text or "unable to open" in text:
        return LibraryReadOnly(f"the catalog can't be opened for writing: {path} ({text})", hint="check permissions")
    if "locked" in text or "busy" in text:
        return LibraryLocked(f"another process holds the catalog {path}", hint="wait for it to finish, then repeat")
    if "disk is full" in text or "disk I/O" in text:
        return LibraryError(f"the catalog can't be written: {text}", hint="free some space; what was committed is safe")
    if "malformed" in text or "not a database" in text:
        return CatalogDamaged(
            f"the catalog is damaged: {path} ({text})",
            hint="restore it from a backup, or move it away and ingest again",
        )
    return LibraryError(f"the catalog answered: {text}")
