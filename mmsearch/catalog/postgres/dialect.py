"""PostgreSQL: `Dialect` for a schema that many machines share."""

from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.dialects.postgresql import psycopg as dialects

from mmsearch.catalog.commits import CURRENT_COMMIT
from mmsearch.catalog.database import COMMIT_ROWS, SEEN, raw_connection
from mmsearch.catalog.dialect import Compiled, compiled_by
from mmsearch.catalog.postgres import connections, errors
from mmsearch.catalog.postgres.rows import copy_rows, replace_rows
from mmsearch.catalog.postgres.words import LexemeCandidates
from mmsearch.catalog.tables import WORD_TABLES
from mmsearch.catalog.word_candidates import KeywordQuery, WordCandidates
from mmsearch.catalog.word_statements import WordStatements
from mmsearch.errors import MmsearchError

FIRST = "0010"
"""The revision that a new schema begins with; later ones are migrations."""

_WITH_IDS = ("roots", "contents", "items", "segments", "spaces", "failures", "runs")
"""Tables whose ids are given out by sequences."""

_LOADED = connections.driver_module()


@cache
def _commit_asked() -> str:
    return PostgresDialect().compiled(CURRENT_COMMIT.statement).sql


class PostgresDialect:
    """As `Dialect`."""

    name = "postgresql"
    errors: tuple[type[Exception], ...] = (_LOADED.Error,)

    def compiled(self, statement: Any) -> Compiled:
        """As `Dialect.compiled`."""
        engine: Any = dialects.dialect
        return compiled_by(engine(paramstyle="pyformat"), statement)

    def rows(self, connection: Connection, sql: str, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """As `Dialect.rows`."""
        return connections.run(connection, sql, asked)

    def ready(self, connection: Connection, *, writes: bool) -> None:
        """As `Dialect.ready`."""

    def begin_snapshot(self, connection: Connection) -> None:
        """As `Dialect.begin_snapshot`."""
        # With what is asked first: each question is a way to the server and back.
        words = connections.begin_words(connections.schema_of(connection), connections.SNAPSHOT)
        rows = connections.last_rows(connection, f"{words}; {_commit_asked()}")
        connection.info[SEEN][COMMIT_ROWS] = rows

    def is_lost(self, connection: Connection) -> bool:
        """As `Dialect.is_lost`."""
        return bool(raw_connection(connection).closed)

    def state(self, connection: Connection) -> Hashable:
        """As `Dialect.state`."""
        return str(connections.run(connection, "SELECT pg_current_snapshot()::text")[0][0])

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> None:
        """As `Dialect.insert_rows`."""
        copy_rows(connection, table, rows)

    def replace_rows(self, connection: Connection, table: Table, rows: Sequence[dict[str, object]], key: str) -> None:
        """As `Dialect.replace_rows`."""
        replace_rows(connection, table, rows, key)

    def new_ids(self, connection: Connection, table: str, count: int) -> list[int]:
        """As `statements.new_ids`, by the table's own sequence: several transactions may write."""
        query = text(f"SELECT nextval(pg_get_serial_sequence('{table}', 'id')) FROM generate_series(1, :count)")
        return sorted(int(one) for one in connection.execute(query, {"count": count}).scalars())

    def translate(self, error: BaseException, place: str) -> MmsearchError:
        """As `Dialect.translate`."""
        return errors.translate(error, place)

    def committed(self, engine: Engine) -> None:
        """As `Dialect.committed`."""

    def checkpoint(self, engine: Engine) -> bool:
        """As `Dialect.checkpoint`: the server's own affair."""
        return True

    def release(self, engine: Engine) -> int:
        """As `Dialect.release`: the server's own affair (autovacuum)."""
        return 0

    def rewrite(self, engine: Engine) -> tuple[int, bool]:
        """As `Dialect.rewrite`: the server's own affair, as are its log and its backups."""
        return 0, True

    def mark_traces(self, connection: Connection, *, left: bool) -> None:
        """As `Dialect.mark_traces`: nothing is known of the server's files."""

    def traces_left(self, connection: Connection) -> bool:
        """As `Dialect.traces_left`."""
        return False

    def merge_words(self, connection: Connection) -> None:
        """As `Dialect.merge_words`: deleted words go with their rows. Sums what statements counted one by one."""
        connection.execute(
            text(
                "WITH gone AS (DELETE FROM word_totals RETURNING *) INSERT INTO word_totals "
                "SELECT name, sum(rows), sum(words) FROM gone GROUP BY name"
            )
        )

    def word_search(
        self, connection: Connection, asked: KeywordQuery, limit: int, asks: WordStatements
    ) -> WordCandidates:
        """As `Dialect.word_search`, by lexemes with their places."""
        return LexemeCandidates(connection, asked, limit, asks)

    def after_copy(self, connection: Connection, tables: Sequence[str]) -> None:
        """As `Dialect.after_copy`. Nobody has counted the rows yet, by which statements are planned."""
        for table in (name for name in tables if name in _WITH_IDS):
            last = f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table} HAVING max(id) > 0"
            connection.execute(text(last))
        for table in (*tables, *WORD_TABLES):
            connection.execute(text(f"ANALYZE {table}"))

    def check_schema(self, connection: Connection, revision: str | None, place: str) -> None:
        """As `Dialect.check_schema`: who may make triggers in the schema is the server's own affair."""

    def revision(self, connection: Connection) -> str | None:
        """As `Dialect.revision`. A table of this name that other programs have elsewhere says nothing."""
        schema = connections.schema_of(connection)
        there = text("SELECT to_regclass(:name) IS NOT NULL")
        if not connection.execute(there, {"name": f'"{schema}".alembic_version'}).scalar():
            return None
        found = connection.execute(text(f'SELECT version_num FROM "{schema}".alembic_version')).scalar()
        return None if found is None else str(found)

    def make_schema(self, connection: Connection) -> None:
        """As `Dialect.make_schema`. The lock of whoever writes keeps two from making it at once."""
        if self.revision(connection) is not None:
            return
        from mmsearch.catalog.schema import scripts

        raw = raw_connection(connection)
        raw.execute(f'CREATE SCHEMA IF NOT EXISTS "{connections.schema_of(connection)}"')
        found = raw.execute("SELECT collname FROM pg_collation WHERE collname IN ('pg_c_utf8', 'und-x-icu')").fetchall()
        collation = "pg_c_utf8" if ("pg_c_utf8",) in found else "und-x-icu"
        path: Path = scripts() / "postgres" / f"{FIRST}.sql"
        raw.execute(path.read_text(encoding="utf-8").replace("COLLATION", collation))
