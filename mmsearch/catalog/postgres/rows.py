"""Rows written many at a time: a trigger of a statement then runs once for all of them."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table

from mmsearch.catalog.database import raw_connection
from mmsearch.catalog.values import without_nul

_BINARY = {"BIGINT": "int8", "BYTEA": "bytea"}
"""Types of columns that are copied in binary, as psycopg calls them."""


def copy_rows(connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> None:
    """Add rows, which all have the same columns, by COPY."""
    keys = list(rows[0])
    names = ", ".join(f'"{table.columns[key].name}"' for key in keys)
    # Vectors written as text would be twice as long. Of other types text is as short, and has no form of its own.
    kinds = [_BINARY.get(table.columns[key].type.compile(dialect=connection.dialect)) for key in keys]
    binary = None not in kinds
    statement = f"COPY {table.name} ({names}) FROM STDIN{' (FORMAT BINARY)' if binary else ''}"
    with raw_connection(connection).cursor() as cursor, cursor.copy(statement) as copy:
        if binary:
            copy.set_types(kinds)
        for row in rows:
            copy.write_row([plain(row[key]) for key in keys])


def replace_rows(connection: Connection, table: Table, rows: Sequence[dict[str, object]], key: str) -> None:
    """Add rows, each in the place of one that has the same value in a column; of several the last counts."""
    last = {row[key]: row for row in rows}
    keys = list(rows[0])
    columns = [table.columns[name] for name in keys]
    arrays = [[plain(row[name]) for row in last.values()] for name in keys]
    kinds = ", ".join(f"%s::{column.type.compile(dialect=connection.dialect)}[]" for column in columns)
    names = ", ".join(f'"{column.name}"' for column in columns)
    replaced = ", ".join(f'"{column.name}" = excluded."{column.name}"' for column in columns)
    raw_connection(connection).execute(
        f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({kinds}) "
        f'ON CONFLICT ("{table.columns[key].name}") DO UPDATE SET {replaced}',
        arrays,
    )


def plain(value: Any) -> Any:
    """As PostgreSQL takes it: its text holds no NUL."""
    if isinstance(value, dict):
        return json.dumps(without_nul(value))
    return value.replace("\0", "") if isinstance(value, str) else value
