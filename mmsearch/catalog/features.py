"""What training learns from: the stored vectors of files, and of others that it should leave as they are."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, select

from mmsearch.catalog import blobs
from mmsearch.catalog.records import SpaceRecord
from mmsearch.catalog.tables import Content, Embedding, Item, SegmentRow
from mmsearch.catalog.write import chunks
from mmsearch.types import Ids, Modality, Vectors


class SegmentVectors(NamedTuple):
    """Segments in the order of their ids."""

    contents: Ids
    """(n,)."""
    kinds: list[Modality]
    """Of the segments."""
    vectors: Vectors
    """(n, dim)."""


def contents_at(connection: Connection, paths: Sequence[bytes]) -> dict[bytes, int]:
    """Content ids of the present items among these paths."""
    found: dict[bytes, int] = {}
    for part in chunks(list(paths)):
        query = select(Item.path, Item.content_id).where(Item.path.in_(part), Item.status == "present")
        found |= {path: content for path, content in connection.execute(query)}
    return found


def items_at(connection: Connection, paths: Sequence[bytes]) -> dict[bytes, int]:
    """Item ids of the present items among these paths."""
    found: dict[bytes, int] = {}
    for part in chunks(list(paths)):
        query = select(Item.path, Item.id).where(Item.path.in_(part), Item.status == "present")
        found |= {path: item for path, item in connection.execute(query)}
    return found


def of_contents(connection: Connection, space: SpaceRecord, contents: Sequence[int]) -> SegmentVectors:
    """Every segment of some contents."""
    rows: list[tuple[int, int, str, bytes]] = []
    for part in chunks(list(contents)):
        query = (
            select(SegmentRow.id, SegmentRow.content_id, SegmentRow.modality, Embedding.vector)
            .join(Embedding, Embedding.segment_id == SegmentRow.id)
            .where(Embedding.space_id == space.id, SegmentRow.content_id.in_(part))
        )
        rows.extend((a, b, c, d) for a, b, c, d in connection.execute(query))
    rows.sort()
    return SegmentVectors(
        np.array([row[1] for row in rows], np.int64),
        [row[2] for row in rows],
        blobs.decode([row[3] for row in rows], space.dim),
    )


def others(connection: Connection, space: SpaceRecord, kind: Modality, besides: Collection[int], count: int) -> Vectors:
    """Vectors of findable segments of a kind in other contents; evenly spaced by id if there are more than `count`."""
    live = select(Item.id).where(Item.content_id == Content.id, Item.status == "present").exists()
    query = (
        select(SegmentRow.id, SegmentRow.content_id)
        .join(Content, Content.id == SegmentRow.content_id)
        .where(SegmentRow.modality == kind, SegmentRow.layout == space.layout, live)
        .order_by(SegmentRow.id)
    )
    excluded = set(besides)
    ids = np.array([segment for segment, content in connection.execute(query) if content not in excluded], np.int64)
    if len(ids) > count:
        ids = ids[np.linspace(0, len(ids) - 1, count).astype(np.int64)]
    found: dict[int, bytes] = {}
    for part in chunks(ids.tolist()):
        vectors = select(Embedding.segment_id, Embedding.vector)
        wanted = vectors.where(Embedding.space_id == space.id, Embedding.segment_id.in_(part))
        found |= {segment: vector for segment, vector in connection.execute(wanted)}
    return blobs.decode([found[segment] for segment in ids.tolist() if segment in found], space.dim)
