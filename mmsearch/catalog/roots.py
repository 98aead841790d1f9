"""Roots: the folders and files that were handed to ingest, and what is left out below them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from mmsearch.catalog.blobs import MEND
from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.paths import checked_paths
from mmsearch.catalog.records import KnownItem
from mmsearch.catalog.tables import ItemRow, Root
from mmsearch.catalog.values import utc_now
from mmsearch.errors import CatalogDamaged


class RootRecord(NamedTuple):
    """A root, with what is kept of it."""

    id: int
    path: bytes
    exclude: tuple[str, ...]
    """Globs of what every ingest leaves out below it."""
    scanned_at: datetime | None
    """UTC: when an ingest last came to its end."""
    items: int
    """Present ones."""
    missing: int


def all_roots(connection: Connection) -> list[RootRecord]:
    """Every root, by path."""
    grouped = select(ItemRow.root_id, ItemRow.status, func.count()).group_by(ItemRow.root_id, ItemRow.status)
    counts = {(root, status): count for root, status, count in connection.execute(grouped)}
    query = select(Root.id, Root.path, Root.exclude, Root.scanned_at).order_by(Root.path)
    rows = [
        RootRecord(
            one, path, _globs(exclude), scanned_at, counts.get((one, "present"), 0), counts.get((one, "missing"), 0)
        )
        for one, path, exclude, scanned_at in connection.execute(query)
    ]
    if all(type(row.path) is bytes for row in rows):
        return rows
    raise CatalogDamaged("the catalog holds a path that mmsearch never writes", hint=MEND)


def _globs(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


def kept_excludes(connection: Connection) -> dict[bytes, tuple[str, ...]]:
    """Root -> its globs, of those that have some, outer roots first."""
    query = select(Root.path, Root.exclude).where(Root.exclude != "").order_by(Root.path)
    return {path: _globs(exclude) for path, exclude in connection.execute(query)}


def keep_excludes(connection: Connection, path: bytes, globs: Sequence[str]) -> None:
    """Let every ingest leave these out below a root, which need not be known yet, in place of what it left out."""
    text = "\n".join(globs)
    statement = upsert(Root).values(path=path, exclude=text)
    connection.execute(statement.on_conflict_do_update(index_elements=[Root.path], set_={"exclude": text}))


def note_scans(connection: Connection, paths: Sequence[bytes]) -> None:
    """Note that an ingest of roots has come to its end, now."""
    connection.execute(update(Root).where(Root.path.in_(paths)).values(scanned_at=utc_now()))


def items_of_root(connection: Connection, root_id: int, after: int, limit: int) -> list[KnownItem]:
    """The next `limit` items that came from a root beyond an id, by id."""
    columns = (
        ItemRow.id, ItemRow.path, ItemRow.size, ItemRow.mtime_ns, ItemRow.status, ItemRow.content_id, ItemRow.kept
    )  # fmt: skip
    query = select(*columns).where(ItemRow.root_id == root_id, ItemRow.id > after)
    rows = connection.execute(query.order_by(ItemRow.id).limit(limit))
    return checked_paths([KnownItem._make(row) for row in rows])
