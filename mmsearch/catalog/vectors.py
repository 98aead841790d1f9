"""The vectors of a list as an index asks for them: which there are, and some of them by their ids."""

import numpy as np
from sqlalchemy import Connection, bindparam, select

from mmsearch.catalog import blobs
from mmsearch.catalog.records import ListKey
from mmsearch.catalog.statements import Statement, json_numbers
from mmsearch.catalog.statements import number_list as numbers_in
from mmsearch.catalog.tables import Content, Embedding, Item, SegmentRow, SpaceRow
from mmsearch.types import Ids, Vectors

VECTORS = Statement(
    select(Embedding.segment_id, Embedding.vector).where(
        Embedding.space_id == bindparam("space"), Embedding.segment_id.in_(numbers_in("ids"))
    )
)
"""Segment ids and BLOBs: of a space, those of the ids that have one."""


def listed(snapshot: Connection, key: ListKey) -> Ids:
    """The ids of all findable segments of a list that have a vector, int64 (n,), ascending."""
    live = select(Item.id).where(Item.content_id == Content.id, Item.status == "present").exists()
    query = (
        select(SegmentRow.id)
        .join(Content, Content.id == SegmentRow.content_id)
        .join(Embedding, Embedding.segment_id == SegmentRow.id)
        .join(SpaceRow, SpaceRow.id == Embedding.space_id)
        .where(SpaceRow.name == key.space, Content.modality == key.item, SegmentRow.modality == key.segment, live)
    )
    return np.sort(np.fromiter(snapshot.execute(query).scalars(), np.int64))


def fetch(snapshot: Connection, space_id: int, dim: int, ids: Ids) -> tuple[Ids, Vectors]:
    """The vectors of segments, and their ids ascending: int64 (m,) and float32 (m, dim), m < n where some have none.

    Args:
        ids: int64 (n,), unique.
    """
    rows = VECTORS.rows(snapshot, space=space_id, ids=json_numbers(ids.tolist()))
    found = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    order = np.argsort(found)
    return found[order], blobs.whole([row[1] for row in rows], dim)[order]
