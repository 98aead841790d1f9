"""Statements that every search asks: compiled once, and run by sqlite3 itself.

They are written with the models like all others; but SQLAlchemy takes several times as long to carry out such a
statement and to hand over its rows as SQLite takes to answer it.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.dialects import sqlite

from mmsearch.catalog.database import driver


class Statement:
    """A statement with named parameters. Rows hold what SQLite stores: JSON is text."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement

    def rows(self, connection: Connection, **asked: object) -> list[tuple[Any, ...]]:
        sql, fixed = self._compiled
        return driver(connection).execute(sql, fixed | asked).fetchall()

    @cached_property
    def _compiled(self) -> tuple[str, dict[str, Any]]:
        # Not at import: most commands ask none of these.
        compiled = self._statement.compile(dialect=sqlite.dialect(paramstyle="named"))
        return str(compiled), dict(compiled.params)


def number_list(name: str) -> TextClause:
    """For `in_`: the numbers in the parameter of that name, as `numbers` writes them. However many: SQLite bounds
    the parameters of a statement, not their length."""
    return text(f"SELECT value FROM json_each(:{name})")


def json_numbers(values: Iterable[int]) -> str:
    return f"[{','.join(map(str, values))}]"
