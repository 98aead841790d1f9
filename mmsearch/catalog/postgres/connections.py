"""Connections to a schema of PostgreSQL by psycopg: explicit transactions, in one statement with what they need.

We say BEGIN ourselves, with the schema in the same breath: a pool of connections in transaction mode (PgBouncer) keeps
nothing of a session, and hands it to somebody else.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import Connection, Engine, create_engine, event

from mmsearch.core.server_address import is_local, split_address
from mmsearch.errors import LibraryError

LOCK_S = 30
"""Seconds a transaction waits for another one's lock."""

CONNECT_S = 10
"""Seconds until a server that doesn't answer counts as away."""

SNAPSHOT = "REPEATABLE READ READ ONLY"
WRITING = "READ COMMITTED READ WRITE"

COMMITS, SCHEMA, WRITER = "commits", "schema", "writer"
"""What advisory locks of a library are about."""


def connect(address: str) -> Engine:
    """An engine over the schema that a checked address names; nothing is opened before the first use."""
    conninfo, schema = split_address(address)
    options = {"place": address, "schema": schema}

    def opened() -> Any:
        return open_connection(conninfo)

    engine = create_engine(
        "postgresql+psycopg://", creator=opened, max_overflow=-1, pool_pre_ping=True, execution_options=options
    )
    event.listen(engine, "begin", _begin)
    return engine


def open_connection(conninfo: str) -> Any:
    """A connection of psycopg without a transaction."""
    psycopg = driver_module()
    given = {
        "fallback_application_name": "mmsearch",
        "connect_timeout": os.environ.get("PGCONNECT_TIMEOUT", CONNECT_S),
        **_encryption(conninfo),
    }
    connection = _connection_class(psycopg).connect(conninfo, autocommit=True, **given)
    # For speed alone: behind a pool others may get it, or this one not.
    connection.execute("SET random_page_cost TO 1.1; SET jit TO off")
    for kind in _plain_json():
        connection.adapters.register_loader("json", kind)
    return connection


def driver_module() -> Any:
    """psycopg. Raises: LibraryError where the extra is not installed."""
    try:
        import psycopg
    except ImportError as error:
        raise LibraryError(
            "libraries on PostgreSQL need a package that is not here", hint="pip install 'mmsearch[postgres]'"
        ) from error
    return psycopg


@cache
def _connection_class(psycopg: Any) -> Any:
    class Quiet(psycopg.Connection):  # type: ignore[misc]
        """Ends with whoever forgets it, as SQLite's connections do, without a warning."""

        reused: Any = None

        def __del__(self) -> None:
            if not self.closed:
                self.close()

    return Quiet


@cache
def _plain_json() -> tuple[type, type]:
    """Loaders that leave JSON the text that it is, as SQLite keeps it."""
    from psycopg.types.string import TextBinaryLoader, TextLoader

    return TextLoader, TextBinaryLoader


def _encryption(conninfo: str) -> Mapping[str, str]:
    """Beyond this machine nothing is sent to a server that isn't the one that was named, unless the address, the
    environment or a service says otherwise."""
    parts = urlsplit(conninfo)
    asked = parse_qs(parts.query)
    if "sslmode" in asked or "service" in asked or "PGSSLMODE" in os.environ or "PGSERVICE" in os.environ:
        return {}
    named = parts.netloc.rpartition("@")[2].split(",") + asked.get("host", []) + asked.get("hostaddr", [])
    hosts = [one.rpartition(":")[0] if one.rpartition(":")[2].isdigit() else one for one in named if one]
    hosts = [one.strip("[]").replace("%2F", "/").replace("%2f", "/") for one in hosts]
    hosts = hosts or [os.environ.get("PGHOST", "")]
    return {} if all(map(is_local, hosts)) else {"sslmode": "verify-full"}


def begin_words(schema: str, mode: str) -> str:
    """What begins a transaction."""
    words = f'BEGIN ISOLATION LEVEL {mode}; SET LOCAL search_path TO "{schema}", public'
    if mode == SNAPSHOT:
        return words
    return f"{words}; SET LOCAL lock_timeout TO {LOCK_S * 1000}; SET LOCAL idle_in_transaction_session_timeout TO 0"


def run(connection: Connection, words: str, asked: Mapping[str, Any] | Sequence[Any] | None = None) -> list[Any]:
    """All rows that a statement answers, past SQLAlchemy, by the one cursor that a connection keeps for it: to make one
    takes as long as a short statement. In binary: a vector written as text would be twice as long."""
    raw: Any = connection.connection.dbapi_connection
    if raw.reused is None:
        raw.reused = raw.cursor()
    raw.reused.execute(words, asked, binary=True)
    found: list[Any] = raw.reused.fetchall()
    return found


def last_rows(connection: Connection, words: str) -> list[Any]:
    """All rows that the last of several statements answers, which go to the server together."""
    raw: Any = connection.connection.dbapi_connection
    if raw.reused is None:
        raw.reused = raw.cursor()
    raw.reused.execute(words)
    while raw.reused.nextset():
        pass
    found: list[Any] = raw.reused.fetchall()
    return found


def lock_key(schema: str, what: str) -> int:
    """The number of an advisory lock of a library; a database has one set of these for all its schemas."""
    digest = hashlib.sha256(f"mmsearch/{schema}/{what}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def schema_of(bind: Connection | Engine) -> str:
    """The schema of a library's connection."""
    return str(bind.get_execution_options()["schema"])


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("begun", False):
        return
    schema = schema_of(connection)
    words = begin_words(schema, WRITING if options.get("writes", False) else SNAPSHOT)
    if options.get("writes", False) and not options.get("together", False):
        # One at a time, as with SQLite: ids and generations are in the order of commits.
        words += f"; SELECT pg_advisory_xact_lock({lock_key(schema, COMMITS)})"
    elif options.get("writes", False):
        words += f"; SELECT pg_advisory_xact_lock_shared({lock_key(schema, COMMITS)})"
    raw: Any = connection.connection.dbapi_connection
    raw.execute(words)
