"""Statements that every search asks, compiled once and run by sqlite3 itself; and what other statements share.

The compiled ones are written with the models like all others; but SQLAlchemy takes several times as long to carry out
such a statement and to hand over its rows as SQLite takes to answer it.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import Connection, TextClause, insert, text
from sqlalchemy.dialects import sqlite

from mmsearch.catalog.database import driver
from mmsearch.catalog.tables import Base


class Statement:
    """A statement with named parameters. Rows hold what SQLite stores: JSON is text."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement

    def rows(self, connection: Connection, **asked: object) -> list[tuple[Any, ...]]:
        sql, fixed = self.compiled
        return driver(connection).execute(sql, fixed | asked).fetchall()

    @cached_property
    def compiled(self) -> tuple[str, dict[str, Any]]:
        """SQL, and the parameters that it brings itself."""
        # Not at import: most commands ask none of these.
        compiled = self._statement.compile(dialect=sqlite.dialect(paramstyle="named"))
        asked = {name: None for name, bound in compiled.binds.items() if bound.required}
        written = compiled.construct_expanded_state(asked)
        fixed = {name: value for name, value in written.parameters.items() if name not in asked}
        for name in written.processors.keys() & fixed:
            fixed[name] = written.processors[name](fixed[name])
        return written.statement, fixed


def number_list(name: str) -> TextClause:
    """For `in_`: the numbers in the parameter of that name, as `json_numbers` writes them. However many: SQLite bounds
    the parameters of a statement, not their length."""
    return text(f"SELECT value FROM json_each(:{name})")


def json_numbers(values: Iterable[int]) -> str:
    """Whole numbers as the JSON that `number_list` reads."""
    return f"[{','.join(map(str, values))}]"


Value = TypeVar("Value")

CHUNK = 500
"""Parameters in one IN list; SQLite's oldest limit is 999."""


def chunks(values: Sequence[Value]) -> Iterable[Sequence[Value]]:
    """Pieces short enough for an IN list."""
    return (values[i : i + CHUNK] for i in range(0, len(values), CHUNK))


def insert_rows(connection: Connection, table: type[Base], rows: Sequence[dict[str, object]]) -> None:
    """Add rows to a table by one statement."""
    if rows:
        connection.execute(insert(table), rows)


def last_id(connection: Connection, table: str) -> int:
    """The highest id that a table with AUTOINCREMENT ever gave out; 0 before the first."""
    query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    return int(connection.execute(query, {"name": table}).scalar() or 0)
