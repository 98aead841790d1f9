"""A library whose catalog is a schema of PostgreSQL."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from mmsearch.catalog.postgres import connections
from mmsearch.catalog.postgres.errors import translate
from mmsearch.catalog.stores import locked_error
from mmsearch.core.atomic import make_folder
from mmsearch.core.paths import cache_folder
from mmsearch.core.server_address import FOLDER, split_address
from mmsearch.errors import InvalidInput, LibraryNotFound, MmsearchError

LONGEST_PATH = 2600
"""A B-tree of PostgreSQL takes keys of 2,704 bytes."""

POLL_S = 0.1
"""Seconds between two looks at whether a lock is free."""


class PostgresStore:
    """As `Store`. Its folder on this machine holds no part of the catalog."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.cache = cache_folder() / FOLDER / folder.name
        self.name = address
        self.longest_path = LONGEST_PATH
        self.has_queue = True
        self._conninfo, self._schema = split_address(address)

    def recover(self) -> None:
        """As `Store.recover`: what was not committed the server has undone."""

    def exists(self) -> bool:
        """As `Store.exists`."""
        return self._asked("SELECT to_regclass(%s) IS NOT NULL", f'"{self._schema}".alembic_version') is True

    def size(self) -> int:
        """As `Store.size`: tables and indexes."""
        query = (
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind IN ('r', 'm')"
        )
        return int(self._asked(query, self._schema))

    def identity(self) -> str:
        """As `Store.identity`."""
        found = self._asked("SELECT to_regclass(%s)::oid::bigint", f'"{self._schema}".library')
        if found is None:
            raise LibraryNotFound(f"there is no library at {self.name}", hint="was it moved or deleted?")
        return str(found)

    def engine(self) -> Engine:
        """As `Store.engine`."""
        return connections.connect(self.name)

    def begin(self) -> None:
        """As `Store.begin`."""
        make_folder(self.cache, private=True)

    @contextmanager
    def locked(self, name: str, doing: str, wait: float) -> Iterator[None]:
        """As `Store.locked`. A transaction of its own holds it, which sees nothing and so keeps nothing from being
        vacuumed; it ends with the connection, and so with the process."""
        key, end = connections.lock_key(self._schema, name), time.monotonic() + wait
        with self._opened() as connection:
            connection.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout TO 0")
            while not connection.execute(f"SELECT pg_try_advisory_xact_lock({key})").fetchone()[0]:
                if time.monotonic() >= end:
                    raise locked_error(doing, self.name)
                time.sleep(POLL_S)
            try:
                yield
            finally:
                with suppress(Exception):  # a server that is gone has let go of it
                    connection.execute("ROLLBACK")

    def check_file(self, refusal: str, instead: str) -> None:
        """As `Store.check_file`."""
        raise InvalidInput(refusal, hint=instead)

    def check_server(self, what: str) -> None:
        """As `Store.check_server`."""

    def _asked(self, query: str, *values: object) -> Any:
        with self._opened() as connection:
            return connection.execute(query, values).fetchone()[0]

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        psycopg = connections.driver_module()
        try:
            connection = connections.open_connection(self._conninfo)
        except psycopg.Error as error:
            raise translate(error, self.name) from error
        try:
            yield connection
        except MmsearchError:
            raise
        except psycopg.Error as error:
            raise translate(error, self.name) from error
        finally:
            connection.close()
