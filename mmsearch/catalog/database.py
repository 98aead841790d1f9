"""Connections to a library's SQLite file: WAL, foreign keys, explicit transactions, errors in our words."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mmsearch.catalog.blobs import MEND
from mmsearch.catalog.connections import attach, driver_errors, driver_types, module_of, open_file, unlock
from mmsearch.catalog.dialect import dialect_of, place_of_catalog
from mmsearch.core import forks, vault
from mmsearch.core.normal_form import normal_form
from mmsearch.errors import CatalogDamaged, InvalidInput, LibraryError, LibraryLocked, LibraryReadOnly, MmsearchError

BUSY_S = 30.0
"""Seconds a connection waits for another one's write."""

READER_S = 5.0
"""Seconds a writer waits, at a time, for readers of an old state."""

LOG_BYTES = 128 * 2**20
"""From this size on a writer waits for the readers that keep the log from being moved into the database."""

KEPT_LOG_BYTES = 32 * 2**20
"""What the log is cut to when it begins anew."""

CHECKPOINT_PAGES = 8000
"""From so many pages on, 32 MB, the log is moved into the database. A commit of some hundred files writes a thousand:
SQLite's own bound would move them, and wait for the disk, after every one."""

RELEASED = 2000
"""Pages given back in one transaction."""

IN_MEMORY = 256 * 2**20
"""Up to this size the copy that rewriting a file takes is in memory."""

CACHE_KIB = 16 * 1024
"""Pages a connection may keep: the inner ones of a catalog of millions, which every lookup passes through."""

_UNWRITABLE = "unwritable"

SEEN = "seen"
"""In `info` of a connection: what was read in its present snapshot and will be asked for again."""
COMMIT_ROWS = "commit rows"
"""In that: the rows of `commits.CURRENT_COMMIT`, where an engine answered it as the snapshot began."""

KEPT = 16
"""Reading connections that stay open while nobody uses them."""


def connect(path: Path) -> Engine:
    """An engine over the catalog file; nothing is opened before the first use."""
    url = URL.create("sqlite", database=str(path))
    key = vault.key_of_library(path)
    if path.exists() and not writable(path.parent):
        options = {_UNWRITABLE: True}
        made = partial(look_at, path, key)
        engine = create_engine(url, module=module_of(key), creator=made, poolclass=NullPool, execution_options=options)
        event.listen(engine, "begin", _begin)
        return engine
    # As many connections as there are readers at one time: a bound would only make them wait for each other.
    engine = create_engine(url, module=module_of(key), connect_args={"timeout": BUSY_S}, max_overflow=-1)
    event.listen(engine, "connect", partial(_configure, key))
    event.listen(engine, "begin", _begin)
    return engine


def writable(folder: Path) -> bool:
    """Whether files can be made in a folder."""
    return os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def look_at(path: Path, key: vault.Key | None) -> sqlite3.Connection:
    """A connection to a catalog in a folder that can't be written, where SQLite can't make the files beside it through
    which readers and a writer know of each other. If there is no log, nobody writes at this moment, and the file by
    itself is right; since that may change, such a connection serves for one snapshot only."""
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    connection = open_file(path, key, how, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA temp_store = MEMORY")
    _add_functions(connection)
    return distrusting(connection)


def distrusting(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, in which no view, trigger or check of the file may use what could reach beyond it.

    Whoever writes must trust its triggers: to SQLite an FTS5 table is such a thing, too. `schema.prepare` has compared
    them by then.
    """
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _configure(key: vault.Key | None, connection: sqlite3.Connection, _record: Any) -> None:
    if key is not None:
        unlock(connection, key)
    # We say BEGIN ourselves: sqlite3's own way opens no transaction for reads, which then see two states.
    connection.isolation_level = None
    # Lets `release` give pages back a few at a time. Heard only while there is no table yet; where it is so already,
    # saying it again would be a write, for which a reader would wait for the writer.
    if connection.execute("PRAGMA auto_vacuum").fetchone() == (0,):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_size_limit = {KEPT_LOG_BYTES}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    if key is None:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    _add_functions(connection)


def _add_functions(connection: sqlite3.Connection) -> None:
    """What filters need beyond SQLite's own."""
    connection.create_function("normal_form", 1, _normal_form, deterministic=True)


def _normal_form(text: bytes) -> str:
    """Of UTF-8, as a BLOB: a root's path may hold bytes that are none."""
    return normal_form(text.decode("utf-8", "replace"))


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("begun", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes", False) else "BEGIN")


class Readers:
    """Snapshots over connections that stay open: making one anew takes longer than most questions to SQLite.

    Thread safety: any number of threads; each snapshot has a connection to itself.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._dialect = dialect_of(engine)
        self._idle: list[Connection] = []  # append and pop are atomic
        self._held = threading.local()
        self._closed = False
        forks.disconnect_before_fork(self)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """One snapshot for all that this thread reads inside: to open one takes as long as a short statement."""
        with self.snapshot() as self._held.connection:
            try:
                yield
            finally:
                self._held.connection = None

    def is_held(self) -> bool:
        """Whether this thread holds a snapshot."""
        return getattr(self._held, "connection", None) is not None

    def joined(self) -> AbstractContextManager[Connection]:
        """The snapshot that this thread holds, or one for this alone."""
        held = getattr(self._held, "connection", None)
        return self.snapshot() if held is None else _part(held, self._engine)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Every statement inside sees the same committed state."""
        with forks.no_fork():
            connection = None
            try:
                connection = self._taken()
                yield connection
                del connection.info[SEEN]
                # Nothing was written. After a rollback psycopg forgets the statements that it has prepared.
                if connection.in_transaction():
                    connection.commit()
                else:
                    raw_connection(connection).commit()
            except BaseException as error:
                if connection is not None:
                    with suppress(SQLAlchemyError):
                        connection.info.pop(SEEN, None)
                    self._let_go(connection)
                if is_of_catalog(error, self._dialect.errors):
                    raise self._dialect.translate(error, place_of_catalog(self._engine)) from error
                raise
            if self._closed or len(self._idle) >= KEPT or self._engine.get_execution_options().get(_UNWRITABLE):
                connection.close()
            else:
                self._idle.append(connection)

    def disconnect(self) -> None:
        """Close what nobody uses: before a fork that is all. In a child SQLite would go by locks that only its parent
        holds, and read what others write over."""
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()

    def close(self) -> None:
        """Close the idle ones; those in use follow when their snapshots end."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _let_go(self, connection: Connection) -> None:
        with suppress(DatabaseError, *self._dialect.errors):
            if self._dialect.is_lost(connection):
                connection.invalidate()
            connection.close()

    def _taken(self) -> Connection:
        """A connection in whose transaction nothing was read yet."""
        gone: tuple[type[Exception], ...] = (SQLAlchemyError, *self._dialect.errors)
        while self._idle:
            with suppress(IndexError):  # another thread took it
                connection = self._idle.pop()
                connection.info[SEEN] = {}
                try:
                    self._dialect.begin_snapshot(connection)
                    return connection
                except gone:
                    # Its server went away meanwhile: whoever is there now answers all the same.
                    self._let_go(connection)
        connection = self._engine.connect().execution_options(begun=True)
        try:
            self._dialect.ready(connection, writes=False)
            connection.info[SEEN] = {}
            self._dialect.begin_snapshot(connection)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def _part(held: Connection, engine: Engine) -> Iterator[Connection]:
    with _translated(engine):
        yield held


def raw_connection(connection: Connection) -> Any:
    """The driver's own connection."""
    return connection.connection.dbapi_connection


def driver(connection: Connection) -> sqlite3.Connection:
    """sqlite3's own connection, for statements whose rows would cost more in SQLAlchemy than in SQLite."""
    raw = raw_connection(connection)
    if not isinstance(raw, driver_types()):
        raise LibraryError("the catalog's connection is closed", hint="please report this")
    return cast(sqlite3.Connection, raw)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A snapshot: every statement inside sees the same committed state."""
    with forks.no_fork(), _translated(engine), engine.connect() as connection:
        dialect_of(engine).ready(connection, writes=False)
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: Engine, *, together: bool = False) -> Iterator[Connection]:
    """One transaction, committed at the end or rolled back whole. `together`: beside others that are so, where the
    engine has that."""
    with forks.no_fork(), _translated(engine), engine.connect() as connection:
        connection = connection.execution_options(writes=True, together=together)
        dialect_of(engine).ready(connection, writes=True)
        with connection.begin():
            yield connection
    dialect_of(engine).committed(engine)


def shorten_log(engine: Engine) -> None:
    """Move what a long log holds into the database."""
    if _size(f"{engine.url.database}-wal") > LOG_BYTES:
        checkpoint(engine, wait_s=READER_S)


@contextmanager
def beside(engine: Engine, path: Path, name: str) -> Iterator[Connection]:
    """One transaction over a catalog, which is only read in it, with another one beside it, under the name of a schema,
    which may be written; what has no schema before its name is the former's."""
    with forks.no_fork(), _translated(engine), engine.connect() as connection:
        connection = connection.execution_options(begun=True)
        raw = driver(connection)
        raw.execute("PRAGMA trusted_schema = ON")  # see `distrusting`
        attach(raw, path, name, vault.key_of_library(path))
        try:
            raw.execute("BEGIN")
            yield connection
            raw.commit()
        finally:
            raw.rollback()
            raw.execute(f"DETACH {name}")


def checkpoint(engine: Engine, *, wait_s: float = 0.0) -> bool:
    """Move what the log holds into the database and empty the log, as far as its readers let go of it in time. Returns
    whether all of them did."""
    with _translated(engine), translated_sqlite(Path(engine.url.database or "")), _plain(engine) as connection:
        connection.execute(f"PRAGMA busy_timeout = {round(1000 * wait_s)}")
        try:
            (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy
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


def rewrite(engine: Engine) -> tuple[int, bool]:
    """Write the whole file anew from what it holds, and empty the log, so that neither has anything of deleted rows.
    Searches go on meanwhile. Returns the bytes that this freed, and whether it came to the end: not where a reader of
    an old state still needs the log. Raises: LibraryLocked, LibraryError (disk full, for example)."""
    with _translated(engine), translated_sqlite(Path(engine.url.database or "")), _plain(engine) as connection:
        before = _used(connection)
        in_memory = before <= IN_MEMORY or vault.is_encrypted(Path(engine.url.database or ""))
        connection.execute(f"PRAGMA temp_store = {'MEMORY' if in_memory else 'FILE'}")
        try:
            connection.execute("VACUUM")
        finally:
            connection.execute("PRAGMA temp_store = MEMORY")
        freed = before - _used(connection)
    return max(freed, 0), checkpoint(engine, wait_s=READER_S)


def _used(connection: sqlite3.Connection) -> int:
    """Bytes of the database."""
    return int(
        connection.execute("PRAGMA page_count").fetchone()[0] * connection.execute("PRAGMA page_size").fetchone()[0]
    )


@contextmanager
def _plain(engine: Engine) -> Iterator[sqlite3.Connection]:
    """A connection without a transaction around it."""
    with forks.no_fork():
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
    dialect = dialect_of(engine)
    try:
        yield
    except Exception as error:
        if not is_of_catalog(error, dialect.errors):
            raise
        raise dialect.translate(error, place_of_catalog(engine)) from error


@contextmanager
def translated_sqlite(path: Path) -> Iterator[None]:
    """The same for what goes past SQLAlchemy."""
    try:
        yield
    except MmsearchError:
        raise
    except Exception as error:
        if not isinstance(error, (*FOREIGN, *driver_errors())):
            raise
        raise translate(error, path) from error


FOREIGN = (SQLAlchemyError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What SQLAlchemy and Python raise where a catalog's rows are read and written, besides the driver's own errors: what
comes of values that are of another type than was ever written."""


_PLUMBING = frozenset(("mmsearch.catalog.database", "mmsearch.catalog.store"))
"""Modules through which callers' own work runs inside a snapshot or a transaction."""


def is_of_catalog(error: BaseException, drivers: tuple[type[Exception], ...]) -> bool:
    """Whether a foreign error came of reading or writing rows. What a caller's own code raised meanwhile is its own: a
    fault of a program is no damage of the catalog."""
    if isinstance(error, MmsearchError) or not isinstance(error, (*FOREIGN, *drivers)):
        return False
    if isinstance(error, (SQLAlchemyError, *drivers)):
        return True
    ours, trace = "", error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.startswith("mmsearch.") and module not in _PLUMBING:
            ours = module
        trace = trace.tb_next
    return ours.startswith("mmsearch.catalog.")


def damaged(path: Path | str, what: str) -> CatalogDamaged:
    return CatalogDamaged(f"the catalog is damaged: {path} ({what})", hint=MEND)


def translate(error: BaseException, path: Path) -> MmsearchError:
    """A foreign error in our words."""
    if isinstance(error, OverflowError) or isinstance(error.__cause__, OverflowError):
        return InvalidInput("a number doesn't fit into the catalog's 64 bits", hint="give a smaller one")
    text = str(error.orig) if isinstance(error, DatabaseError) else str(error)
    if "binding" in text:
        return InvalidInput("the catalog can't be asked for a value of this type", hint="give a text or a number")
    if not isinstance(error, (DatabaseError, *driver_errors())):
        return damaged(path, "it holds what was never written so")
    if "readonly" in text or "unable to open" in text:
        return LibraryReadOnly(
            f"the catalog can't be opened for writing: {path}",
            hint="check permissions, or copy the library to where you may write",
        )
    if "locked" in text or "busy" in text:
        return LibraryLocked(f"another process holds the catalog {path}", hint="wait for it to finish, then repeat")
    if "disk is full" in text or "disk I/O" in text:
        why = "the disk is full" if "full" in text else "the disk answers with errors"
        return LibraryError(f"the catalog can't be written: {why}", hint="free some space; what was committed is safe")
    what = next((ours for theirs, ours in _DAMAGE.items() if theirs in text), "what it holds contradicts itself")
    return damaged(path, what)


_DAMAGE = {
    "malformed": "its file is broken",
    "not a database": "the file is none",
    "Could not decode": "it holds bytes that are no text",
    "no such": "a part of it is missing",
    "more than one": "it holds something twice",
    "constructor failed": "its words are broken",
    "too big": "it holds something too long",
}
"""What SQLite says of a catalog that it can't use -> the same in our words."""
