"""Whether SQLite can do what the catalog needs, and whether a catalog is whole."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from mmsearch.catalog.blobs import MEND
from mmsearch.catalog.connections import FILE_NAME
from mmsearch.catalog.copy import check_catalog, opened_copy
from mmsearch.catalog.database import translated_sqlite
from mmsearch.catalog.stores import FileStore, Store
from mmsearch.catalog.triggers import QUERY, check_triggers
from mmsearch.errors import LibraryError
from mmsearch.types import Finding

OLDEST = (3, 38)
"""The first release with JSON functions built in, which the catalog asks for; RETURNING is older."""


_SENSELESS = {
    "paths that are no bytes": "SELECT 1 FROM items WHERE typeof(path) <> 'blob' LIMIT 1",
    "vectors of another length than their model's": "SELECT 1 FROM embeddings JOIN spaces ON id = space_id WHERE "
    "typeof(vector) <> 'blob' OR length(vector) <> dim * iif(storage = 'float16', 2, 4) LIMIT 1",
    "scores' backgrounds that are none": "SELECT 1 FROM backgrounds WHERE NOT json_valid(fitted) LIMIT 1",
}
"""What SQLite itself takes no offence at -> a query that has a row where it is so."""


def findings() -> Iterator[Finding]:
    if sqlite3.sqlite_version_info < OLDEST:
        remedy = "use a Python whose SQLite is newer (python.org, conda, your system's next release)"
        yield Finding("sqlite", "error", f"{sqlite3.sqlite_version} is too old", remedy)
        return
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
        except sqlite3.Error as error:
            yield Finding("sqlite", "error", f"without full-text search: {error}", "use a Python whose SQLite has FTS5")
            return
    yield Finding("sqlite", "ok", f"{sqlite3.sqlite_version}, with full-text search")


def whole(store: Store) -> Finding:
    """The engine's own check of a catalog, without changing it."""
    if not isinstance(store, FileStore):
        return Finding("catalog", "ok", f"on a server, {store.size() / 1e6:.1f} MB: {store.name}")
    path = store.folder / FILE_NAME
    try:
        with translated_sqlite(path), closing(opened_copy(path)) as database:
            check_catalog(database, path)
            (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone() or (None,)
            check_triggers(database.execute(QUERY), revision, path)
            wrong = [what for what, query in _SENSELESS.items() if database.execute(query).fetchone() is not None]
    except LibraryError as error:
        return Finding("catalog", "error", error.message, error.hint)
    if wrong:
        return Finding("catalog", "error", f"it holds {', '.join(wrong)}", MEND)
    return Finding("catalog", "ok", f"whole, {path.stat().st_size / 1e6:.1f} MB")
