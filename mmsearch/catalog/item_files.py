"""Where the file of an item is, as it was taken in; and the folders that were handed to ingest."""

from typing import NamedTuple

from sqlalchemy import Connection, select

from mmsearch.catalog.tables import Content, ItemRow, Root
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
