"""Statements that every search asks, compiled once and run by sqlite3 itself; and what other statements share.

The compiled ones are written with the models like all others; but SQLAlchemy takes several times as long to carry out
such a statement and to hand over its rows as SQLite takes to answer it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Table, TextClause

from mmsearch.catalog.constructs import NumberList
from mmsearch.catalog.dialect import Compiled, dialect_of
from mmsearch.catalog.tables import Base


class Statement:
    """A statement with named parameters. Rows hold what SQLite stores: JSON is text."""

    def __init__(self, statement: Any) -> None:
        self.statement = statement
        self._compiled: dict[str, Compiled] = {}
        """By the name of a dialect."""

    def rows(self, connection: Connection, **asked: object) -> list[tuple[Any, ...]]:
        dialect = dialect_of(connection)
        # Not at import: most commands ask none of these.
        if (compiled := self._compiled.get(dialect.name)) is None:
            compiled = self._compiled[dialect.name] = dialect.compiled(self.statement)
        return dialect.rows(connection, compiled.sql, {**compiled.fixed, **asked})

    def compiled(self, connection: Connection) -> Compiled:
        """As a connection's engine takes it."""
        return dialect_of(connection).compiled(self.statement)


def number_list(name: str) -> TextClause:
    """For `in_`: the numbers in the parameter of that name, as `json_numbers` writes them (`NumberList`)."""
    return NumberList(name)


def json_numbers(values: Iterable[int]) -> str:
    """Whole numbers as the JSON that `number_list` reads."""
    return f"[{','.join(map(str, values))}]"


Value = TypeVar("Value")

CHUNK = 500
"""Parameters in one IN list; SQLite's oldest limit is 999."""


def chunks(values: Sequence[Value]) -> Iterable[Sequence[Value]]:
    """Pieces short enough for an IN list."""
    return (values[i : i + CHUNK] for i in range(0, len(values), CHUNK))


def _table(model: type[Base]) -> Table:
    return cast(Table, model.__table__)


def insert_rows(connection: Connection, table: type[Base], rows: Sequence[dict[str, object]]) -> None:
    """Add rows to a table by one statement."""
    if rows:
        dialect_of(connection).insert_rows(connection, _table(table), rows)


def replace_rows(connection: Connection, table: type[Base], rows: Sequence[dict[str, object]], key: str) -> None:
    """Add rows by one statement, each in the place of one that has the same value in a column, which is unique."""
    if rows:
        dialect_of(connection).replace_rows(connection, _table(table), rows, key)


def new_ids(connection: Connection, table: str, count: int) -> list[int]:
    """Ids for so many rows of a table, ascending; none was ever given out before. Used or not, none is given again."""
    return dialect_of(connection).new_ids(connection, table, count) if count else []
