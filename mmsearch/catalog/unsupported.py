"""Contents that a space has no vectors for, because its encoders or the decoders can't take them."""

from sqlalchemy import Connection, and_, delete, func, select

from mmsearch.catalog.records import SpaceRecord
from mmsearch.catalog.stored_contents import PAGE
from mmsearch.catalog.tables import Content, ItemRow, UnsupportedRow
from mmsearch.types import Modality


def unsupported_counts(connection: Connection, space: SpaceRecord) -> dict[tuple[Modality, str], int]:
    """(item modality, failure class) -> present items that have no vectors in the space and won't get any."""
    query = (
        select(Content.modality, UnsupportedRow.failure, func.count(ItemRow.id))
        .join(UnsupportedRow, UnsupportedRow.content_id == Content.id)
        .join(ItemRow, and_(ItemRow.content_id == Content.id, ItemRow.status == "present"))
        .where(UnsupportedRow.space_id == space.id)
        .group_by(Content.modality, UnsupportedRow.failure)
    )
    return {(modality, failure): n for modality, failure, n in connection.execute(query)}


def unsupported_contents(connection: Connection, space: SpaceRecord, after: int) -> list[tuple[int, str, str, str]]:
    """The next contents beyond an id that a space has no vectors for: id, hash, failure and reason; none at the end."""
    query = (
        select(Content.id, Content.sha256, UnsupportedRow.failure, UnsupportedRow.reason)
        .join(UnsupportedRow, UnsupportedRow.content_id == Content.id)
        .where(Content.id > after, UnsupportedRow.space_id == space.id)
    )
    rows = connection.execute(query.order_by(Content.id).limit(PAGE))
    return [(content_id, sha256, failure, reason) for content_id, sha256, failure, reason in rows]


def forget_unsupported(connection: Connection, space: SpaceRecord, failure: str) -> None:
    """Let all contents be tried again that a space has no vectors for, but for those of one class."""
    connection.execute(
        delete(UnsupportedRow).where(UnsupportedRow.space_id == space.id, UnsupportedRow.failure != failure)
    )
