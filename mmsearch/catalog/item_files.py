"""Where the file of an item is, as it was taken in; and the folders that were handed to ingest."""

from typing import NamedTuple

from sqlalchemy import Connection, case, func, select

from mmsearch.catalog.tables import Content, ItemRow, Root
from mmsearch.core.media_paths import is_media_path
from mmsearch.types import Modality


class CataloguedFile(NamedTuple):
    """What the catalog says of an item's file."""

    path: bytes
    root: bytes
    """What was handed to ingest: the file lies in this folder, or is it."""
    sha256: str
    modality: Modality
    status: str
    """present or missing."""
    size: int
    mtime_ns: int


class KnownRoot(NamedTuple):
    """A folder or a file that was handed to ingest, and how many items came from there."""

    id: int
    path: bytes
    items: int
    missing: int


def catalogued_file(connection: Connection, item_id: int) -> CataloguedFile | None:
    """The file of an item; None if there is no such item."""
    query = (
        select(
            ItemRow.path, Root.path, Content.sha256, Content.modality, ItemRow.status, ItemRow.size, ItemRow.mtime_ns
        )
        .join(Root, Root.id == ItemRow.root_id)
        .join(Content, Content.id == ItemRow.content_id)
        .where(ItemRow.id == item_id)
    )
    row = connection.execute(query).first()
    return None if row is None else CataloguedFile(*row)


def known_roots(connection: Connection) -> list[KnownRoot]:
    """Every root, by path; not those of media that were handed over in memory."""
    missing = func.coalesce(func.sum(case((ItemRow.status == "missing", 1), else_=0)), 0)
    query = (
        select(Root.id, Root.path, func.count(ItemRow.id), missing)
        .outerjoin(ItemRow, ItemRow.root_id == Root.id)
        .group_by(Root.id)
        .order_by(Root.path)
    )
    return [KnownRoot(*row) for row in connection.execute(query) if not is_media_path(row[1])]
