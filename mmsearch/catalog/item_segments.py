"""Who owns what: the items behind a whole list, and the items at given paths. For measuring, not for searching."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, and_, select

from mmsearch.catalog.records import ListKey
from mmsearch.catalog.tables import Content, Embedding, FailureRow, Item, SegmentRow, SpaceRow
from mmsearch.catalog.write import chunks
from mmsearch.types import Ids, Modality


class ItemAtPath(NamedTuple):
    """The item at a path."""

    item_id: int
    modality: Modality
    status: str


def items_of_list(connection: Connection, key: ListKey) -> tuple[Ids, Ids]:
    """Every (segment, present item) pair of a list, by item: segment ids (n,), item ids (n,)."""
    query = (
        select(SegmentRow.id, Item.id)
        .join(Content, Content.id == SegmentRow.content_id)
        .join(Item, and_(Item.content_id == Content.id, Item.status == "present"))
        .join(Embedding, Embedding.segment_id == SegmentRow.id)
        .join(SpaceRow, SpaceRow.id == Embedding.space_id)
        .where(Content.modality == key.item, SegmentRow.modality == key.segment, SpaceRow.name == key.space)
        .order_by(Item.id, SegmentRow.id)
    )
    pairs = np.array([tuple(row) for row in connection.execute(query)], np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def items_at_paths(connection: Connection, paths: Sequence[bytes]) -> dict[bytes, ItemAtPath]:
    """The known ones among these paths."""
    found: dict[bytes, ItemAtPath] = {}
    for part in chunks(list(paths)):
        query = select(Item.path, Item.id, Content.modality, Item.status).join(Content).where(Item.path.in_(part))
        found.update({row[0]: ItemAtPath(*row[1:]) for row in connection.execute(query)})
    return found


def failures_at_paths(connection: Connection, paths: Sequence[bytes]) -> dict[bytes, str]:
    """Failure class of those of the paths that are in the failure ledger."""
    found: dict[bytes, str] = {}
    for part in chunks(list(paths)):
        query = select(FailureRow.path, FailureRow.failure).where(FailureRow.path.in_(part))
        found.update({row[0]: row[1] for row in connection.execute(query)})
    return found
