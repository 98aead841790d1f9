"""Copies: where this library wrote backups and exports, which may hold what it forgot since."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.tables import CopyRow
from mmsearch.catalog.values import utc_now


class CopyRecord(NamedTuple):
    """A backup or an export."""

    path: bytes
    kind: str
    """backup or export."""
    made_at: datetime
    """UTC."""


def all_copies(connection: Connection) -> list[CopyRecord]:
    """Every copy that is noted, by path, whether it is still there or not."""
    query = select(CopyRow.path, CopyRow.kind, CopyRow.made_at).order_by(CopyRow.path)
    return [CopyRecord(path, kind, made_at) for path, kind, made_at in connection.execute(query)]


def note_copy(connection: Connection, path: bytes, kind: str) -> None:
    """Note that a copy was written, now."""
    values = {"path": path, "kind": kind, "made_at": utc_now()}
    connection.execute(upsert(CopyRow).values(values).on_conflict_do_update(index_elements=[CopyRow.path], set_=values))
