"""The one place where SQLite's files are opened: by Python's own sqlite3, or, those of encrypted libraries, by
SQLCipher's. A file is never opened by both in one process at a time: who closes one would drop the other's locks."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from mmsearch.core.vault import Key
from mmsearch.errors import LibraryLocked

FILE_NAME = "catalog.sqlite"

WAIT_S = 5.0
"""Seconds that who wants a catalog alone waits for others."""

ENCRYPTED_CACHE_KIB = 64 * 1024
"""Pages that a connection to an encrypted catalog may keep: each that is read anew has to be decrypted."""


def module_of(key: Key | None) -> ModuleType:
    """What opens a file that has this key, or none."""
    if key is None:
        return sqlite3
    import sqlcipher3.dbapi2

    return cast(ModuleType, sqlcipher3.dbapi2)


def driver_types() -> tuple[type, ...]:
    """Connections of either kind."""
    return _of_both("Connection")


def driver_errors() -> tuple[type[Exception], ...]:
    """What either raises."""
    return _of_both("Error")


def _of_both(name: str) -> tuple[Any, ...]:
    # Not imported where no library of the process is encrypted.
    cipher = sys.modules.get("sqlcipher3.dbapi2")
    own = getattr(sqlite3, name)
    return (own,) if cipher is None else (own, getattr(cipher, name))


def open_file(path: Path, key: Key | None, how: str | None = None, **options: Any) -> sqlite3.Connection:
    """A connection to a file. `how`: what follows the path in an address of SQLite's, such as "mode=ro"."""
    module = module_of(key)
    if how is None:
        made = module.connect(str(path), **options)
    else:
        made = module.connect(f"{path.resolve().as_uri()}?{how}", uri=True, **options)
    connection = cast(sqlite3.Connection, made)
    if key is not None:
        unlock(connection, key)
    return connection


def unlock(connection: sqlite3.Connection, key: Key) -> None:
    """Give a connection its key, before anything else is asked of it."""
    connection.execute("PRAGMA cipher_log_level = NONE")
    connection.execute(f'PRAGMA key = "{raw_key(key)}"')
    connection.execute("PRAGMA cipher_compatibility = 4")
    connection.execute("PRAGMA cipher_memory_security = OFF")
    connection.execute(f"PRAGMA cache_size = -{ENCRYPTED_CACHE_KIB}")


def attach(connection: sqlite3.Connection, path: Path, name: str, key: Key | None) -> None:
    """Put another file beside the one that is open, under the name of a schema."""
    if key is None:
        connection.execute(f"ATTACH ? AS {name}", (str(path),))
    else:
        connection.execute(f'ATTACH ? AS {name} KEY "{raw_key(key)}"', (str(path),))


def raw_key(key: Key) -> str:
    """As SQLCipher takes a key that no passphrase has to be stretched to."""
    return f"x'{key.derived('catalog').hex()}'"


@contextmanager
def closed_to_others(path: Path, key: Key | None) -> Iterator[sqlite3.Connection]:
    """A connection of SQLCipher's to a catalog that nobody else may open meanwhile. Raises: LibraryLocked."""
    import sqlcipher3.dbapi2

    # By what opens it elsewhere in this process, whose locks the other could not see.
    with closing(open_file(path, key, timeout=WAIT_S, isolation_level=None)) as usual:
        _leave_log(usual)
    made = sqlcipher3.dbapi2.connect(str(path), timeout=WAIT_S, isolation_level=None)
    connection = cast(sqlite3.Connection, made)
    try:
        if key is not None:
            unlock(connection, key)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _leave_log(connection)
        yield connection
    finally:
        connection.close()


def _leave_log(connection: sqlite3.Connection) -> None:
    """Let the database be all there is, which SQLite does only for who is alone with it. Raises: LibraryLocked."""
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
    except driver_errors() as error:
        if "locked" not in str(error):
            raise
        mode = ""
    if mode != "delete":
        raise LibraryLocked(
            "somebody else has the library open", hint="end servers, and warm processes: mmsearch warm stop"
        )


def export_into(
    connection: sqlite3.Connection, target: Path, key: Key, check: Callable[[sqlite3.Connection], None] | None = None
) -> None:
    """Copy what a connection of SQLCipher's has open into a new file that has a key. `check` may compare the schemas
    `main` and `made`."""
    attach(connection, target, "made", key)
    connection.execute("PRAGMA made.auto_vacuum = INCREMENTAL")
    connection.execute("SELECT sqlcipher_export('made')").fetchall()
    for name in ("user_version", "application_id"):
        (value,) = connection.execute(f"PRAGMA main.{name}").fetchone()
        connection.execute(f"PRAGMA made.{name} = {int(value)}")
    if check is not None:
        check(connection)
    connection.execute("DETACH made")


def encrypt_copy(source: Path, source_key: Key | None, target: Path, key: Key) -> None:
    """Copy a catalog into one that has another key, or has one where that has none. Nobody in this process may have the
    source open."""
    import sqlcipher3.dbapi2

    connection = cast(sqlite3.Connection, sqlcipher3.dbapi2.connect(str(source), isolation_level=None))
    try:
        if source_key is not None:
            unlock(connection, source_key)
        export_into(connection, target, key)
    finally:
        connection.close()
