"""SQLite: `Dialect` for a file that processes of one machine share."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, insert, inspect, text
from sqlalchemy.dialects import sqlite

from mmsearch.catalog import database
from mmsearch.catalog.connections import driver_errors
from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.dialect import Compiled, compiled_by
from mmsearch.catalog.sqlite.words import FtsCandidates
from mmsearch.catalog.tables import WORD_TABLES
from mmsearch.catalog.triggers import QUERY, check_triggers
from mmsearch.catalog.word_candidates import KeywordQuery, WordCandidates
from mmsearch.catalog.word_statements import WordStatements
from mmsearch.errors import MmsearchError

_CLEAN, _MARKED = 0, 1


class SqliteDialect:
    """As `Dialect`."""

    name = "sqlite"

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """As `Dialect.errors`: with SQLCipher's where a library of the process is encrypted."""
        return driver_errors()

    def compiled(self, statement: Any) -> Compiled:
        """As `Dialect.compiled`."""
        return compiled_by(sqlite.dialect(paramstyle="named"), statement)

    def rows(self, connection: Connection, sql: str, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """As `Dialect.rows`: SQLAlchemy takes several times as long as SQLite takes to answer."""
        return database.driver(connection).execute(sql, asked).fetchall()

    def ready(self, connection: Connection, *, writes: bool) -> None:
        """As `Dialect.ready`."""
        raw = database.driver(connection)
        if writes:
            raw.execute("PRAGMA trusted_schema = ON")  # see `database.distrusting`
        else:
            database.distrusting(raw)

    def begin_snapshot(self, connection: Connection) -> None:
        """As `Dialect.begin_snapshot`."""
        database.driver(connection).execute("BEGIN")

    def is_lost(self, connection: Connection) -> bool:
        """As `Dialect.is_lost`."""
        return False

    def state(self, connection: Connection) -> Hashable:
        """As `Dialect.state`."""
        # Whatever anybody else commits changes this number, and who reads commits nothing.
        return int(database.driver(connection).execute("PRAGMA data_version").fetchone()[0])

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> None:
        """As `Dialect.insert_rows`."""
        connection.execute(insert(table), rows)

    def replace_rows(self, connection: Connection, table: Table, rows: Sequence[dict[str, object]], key: str) -> None:
        """As `Dialect.replace_rows`."""
        statement = upsert(table)
        replaced = {name: statement.excluded[name] for name in rows[0]}
        connection.execute(statement.on_conflict_do_update(index_elements=[table.columns[key]], set_=replaced), rows)

    def new_ids(self, connection: Connection, table: str, count: int) -> list[int]:
        """As `statements.new_ids`. One transaction writes, so they can be handed out here."""
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        last = int(connection.execute(query, {"name": table}).scalar() or 0)
        return list(range(last + 1, last + 1 + count))

    def translate(self, error: BaseException, place: str) -> MmsearchError:
        """As `Dialect.translate`."""
        return database.translate(error, Path(place))

    def committed(self, engine: Engine) -> None:
        """As `Dialect.committed`."""
        database.shorten_log(engine)

    def checkpoint(self, engine: Engine) -> bool:
        """As `Dialect.checkpoint`."""
        return database.checkpoint(engine)

    def release(self, engine: Engine) -> int:
        """As `Dialect.release`."""
        return database.release(engine)

    def rewrite(self, engine: Engine) -> tuple[int, bool]:
        """As `Dialect.rewrite`."""
        return database.rewrite(engine)

    def mark_traces(self, connection: Connection, *, left: bool) -> None:
        """As `Dialect.mark_traces`: `user_version` is part of the transaction."""
        connection.execute(text(f"PRAGMA user_version = {_MARKED if left else _CLEAN}"))

    def traces_left(self, connection: Connection) -> bool:
        """As `Dialect.traces_left`."""
        return bool(database.driver(connection).execute("PRAGMA user_version").fetchone()[0] == _MARKED)

    def merge_words(self, connection: Connection) -> None:
        """As `Dialect.merge_words`. FTS5's own secure-delete would make them unreadable for SQLite before 3.42, and a
        library travels."""
        for name in WORD_TABLES:
            connection.execute(text(f"INSERT INTO {name} ({name}) VALUES ('optimize')"))

    def word_search(
        self, connection: Connection, asked: KeywordQuery, limit: int, asks: WordStatements
    ) -> WordCandidates:
        """As `Dialect.word_search`, by FTS5."""
        return FtsCandidates(connection, asked, limit, asks)

    def after_copy(self, connection: Connection, tables: Sequence[str]) -> None:
        """As `Dialect.after_copy`: SQLite sees to it by itself."""

    def check_schema(self, connection: Connection, revision: str | None, place: str) -> None:
        """As `Dialect.check_schema`: SQLite runs them for whoever opens a file, and anybody may send one."""
        check_triggers(connection.execute(text(QUERY)), revision, Path(place))

    def revision(self, connection: Connection) -> str | None:
        """As `Dialect.revision`."""
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return str(found) if found is not None else None

    def make_schema(self, connection: Connection) -> None:
        """As `Dialect.make_schema`: the migrations begin with an empty file."""
