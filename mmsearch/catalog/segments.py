"""What contents are made of: their segments' vectors in order, for comparing items as wholes and for their moments."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from mmsearch.catalog import blobs, layouts
from mmsearch.catalog.records import SpaceRecord
from mmsearch.catalog.select import filter_clause as matches
from mmsearch.catalog.statements import Statement, json_numbers, number_list
from mmsearch.catalog.tables import Content, Embedding, Item, SegmentRow, SpaceRow
from mmsearch.catalog.vectors import VECTORS
from mmsearch.catalog.write import chunks
from mmsearch.filters.ast import Filter
from mmsearch.types import Modality, Span, Vectors


@dataclass(frozen=True, slots=True, eq=False)
class ItemOutline:
    """What an item holds."""

    item_id: int
    content_id: int
    counts: tuple[tuple[Modality, int], ...]
    """Segments of each modality, sorted."""
    segment_id: int | None
    """Where it has one segment only."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredSegment:
    """A segment with its vector, float32 (dim,)."""

    segment_id: int
    modality: Modality
    span: Span
    vector: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class StoredItem:
    """An item as a query."""

    modality: Modality
    path: Path
    vectors: Mapping[Modality, Vectors]
    """Segment modality -> float32 (n, dim), unit rows in order."""


@dataclass(frozen=True, slots=True)
class PresentFile:
    """A present item, as a report on duplicates tells it."""

    item_id: int
    path: bytes
    size: int
    width: int | None
    height: int | None


def item_outlines(connection: Connection, space: SpaceRecord, item_ids: Collection[int]) -> list[ItemOutline]:
    """The shapes of items, present or missing, in no particular order; unknown ones are left out."""
    rows: dict[int, list[Any]] = {}
    for row in _SHAPES.rows(connection, space=space.id, ids=json_numbers(item_ids)):
        rows.setdefault(row[0], []).append(row)
    return [_shape(item, those) for item, those in rows.items()]


def _shape(item_id: int, rows: Sequence[Any]) -> ItemOutline:
    (_, content_id, modality, count, segment_id) = rows[0]
    if len(rows) == 1:
        return ItemOutline(item_id, content_id, ((modality, count),), segment_id if count == 1 else None)
    return ItemOutline(item_id, content_id, tuple(sorted((row[2], row[3]) for row in rows)), None)


_SHAPES = Statement(
    # No more than an index holds: which vector it is is enough.
    select(Item.id, Item.content_id, SegmentRow.modality, func.count(), func.min(SegmentRow.id))
    .join(SegmentRow, SegmentRow.content_id == Item.content_id)
    .where(Item.id.in_(number_list("ids")))
    .where(SegmentRow.layout == layouts.layout_of_space(SpaceRow.id, bindparam("space")))
    .group_by(Item.id, SegmentRow.modality)
)


def vectors(
    connection: Connection, space: SpaceRecord, content_ids: Sequence[int]
) -> dict[int, dict[Modality, Vectors]]:
    """Content id -> segment modality -> float32 (n, dim), unit rows in order; nothing for what has no vectors."""
    found: dict[int, dict[Modality, list[bytes]]] = {}
    for part in chunks(content_ids):
        query = (
            select(SegmentRow.content_id, SegmentRow.modality, Embedding.vector)
            .join(Embedding, Embedding.segment_id == SegmentRow.id)
            .where(Embedding.space_id == space.id, SegmentRow.content_id.in_(part))
            .order_by(SegmentRow.content_id, SegmentRow.ordinal)
        )
        for content, modality, vector in connection.execute(query):
            found.setdefault(content, {}).setdefault(modality, []).append(vector)
    return {
        content: {modality: blobs.decode(rows, space.dim) for modality, rows in by_modality.items()}
        for content, by_modality in found.items()
    }


def layout_of(connection: Connection, segment_id: int) -> str | None:
    """How the content was cut that a segment belongs to; None if there is no such segment."""
    return connection.execute(select(SegmentRow.layout).where(SegmentRow.id == segment_id)).scalar()


def of_hit(
    connection: Connection, space: SpaceRecord, item_id: int, segment_id: int
) -> tuple[Modality, list[StoredSegment]]:
    """The item modality and the segments, in order, of what a segment belongs to; below 0: of what an item holds."""
    named = select(Content.id, Content.modality)
    if segment_id < 0:
        named = named.join(Item, Item.content_id == Content.id).where(Item.id == item_id)
    else:
        named = named.join(SegmentRow, SegmentRow.content_id == Content.id).where(SegmentRow.id == segment_id)
    row = connection.execute(named).first()
    return (row[1], _pieces(connection, space, row[0])) if row else ("", [])


def _pieces(connection: Connection, space: SpaceRecord, content_id: int) -> list[StoredSegment]:
    query = (
        select(
            SegmentRow.id, SegmentRow.modality, Embedding.vector,
            SegmentRow.start, SegmentRow.end, SegmentRow.page, SegmentRow.char_start, SegmentRow.char_end,
            SegmentRow.text,
        )
        .join(Embedding, Embedding.segment_id == SegmentRow.id)
        .where(Embedding.space_id == space.id, SegmentRow.content_id == content_id)
        .order_by(SegmentRow.ordinal)
    )  # fmt: skip
    return [
        StoredSegment(row[0], row[1], Span(*row[3:]), blobs.decode([row[2]], space.dim)[0])
        for row in connection.execute(query)
    ]


def contents_to_keep_first(
    connection: Connection, modalities: Collection[Modality] | None = None, filter: Filter | None = None
) -> list[tuple[Modality, int]]:
    """(item modality, content id) of all that have a present item that matches, by modality, the one to keep first.

    That is the one with more pixels, then more bytes, then the one that changed longer ago, then the first by path.
    """
    query = (
        select(Content.modality, Content.id)
        .join(Item, Item.content_id == Content.id)
        .where(Item.status == "present", *([] if filter is None else [matches(filter)]))
        .group_by(Content.id)
        .order_by(
            Content.modality,
            func.coalesce(Content.width * Content.height, 0).desc(),
            func.max(Item.size).desc(),
            func.min(Item.mtime_ns),
            func.min(Item.path),
        )
    )
    if modalities is not None:
        query = query.where(Content.modality.in_(modalities))
    return [(modality, content) for modality, content in connection.execute(query)]


def segment_ids_of(
    connection: Connection, space: SpaceRecord, content_ids: Sequence[int]
) -> dict[int, dict[Modality, list[int]]]:
    """Content id -> segment modality -> ids of its segments in the space, in order."""
    found: dict[int, dict[Modality, list[int]]] = {}
    for part in chunks(content_ids):
        query = (
            select(SegmentRow.content_id, SegmentRow.modality, SegmentRow.id)
            .where(SegmentRow.content_id.in_(part), SegmentRow.layout == space.layout)
            .order_by(SegmentRow.content_id, SegmentRow.ordinal)
        )
        for content, modality, segment in connection.execute(query):
            found.setdefault(content, {}).setdefault(modality, []).append(segment)
    return found


def vectors_of(connection: Connection, space: SpaceRecord, segment_ids: Sequence[int]) -> dict[int, Vectors]:
    """Segment id -> float32 (dim,), for those that have a vector."""
    rows = VECTORS.rows(connection, space=space.id, ids=json_numbers(segment_ids))
    if not rows:
        return {}
    return dict(
        zip((segment for segment, _ in rows), blobs.decode([vector for _, vector in rows], space.dim), strict=True)
    )


def present_files(
    connection: Connection, content_ids: Sequence[int], filter: Filter | None = None
) -> dict[int, list[PresentFile]]:
    """Content id -> its present items that match, the oldest first."""
    found: dict[int, list[PresentFile]] = {}
    for part in chunks(content_ids):
        query = (
            select(Item.content_id, Item.id, Item.path, Item.size, Content.width, Content.height)
            .join(Content, Content.id == Item.content_id)
            .where(
                Item.status == "present", Content.id.in_(part), *([] if filter is None else [matches(filter, few=True)])
            )
            .order_by(Item.content_id, Item.mtime_ns, Item.path)
        )
        for content, item_id, path, size, width, height in connection.execute(query):
            found.setdefault(content, []).append(PresentFile(item_id, path, size, width, height))
    return found


def copied_contents(
    connection: Connection, modalities: Collection[Modality] | None = None, filter: Filter | None = None
) -> set[int]:
    """Contents that several present items hold that match."""
    query = (
        select(Content.id)
        .join(Item, Item.content_id == Content.id)
        .where(Item.status == "present", *([] if filter is None else [matches(filter)]))
        .group_by(Content.id)
        .having(func.count() > 1)
    )
    if modalities is not None:
        query = query.where(Content.modality.in_(modalities))
    return set(connection.execute(query).scalars())


def stored_item(connection: Connection, space: SpaceRecord, item_id: int) -> StoredItem | None:
    """An item, present or missing, with its vectors; None if there is no such, or it has none."""
    query = select(Content.id, Content.modality, Item.path).join(Item, Item.content_id == Content.id)
    row = connection.execute(query.where(Item.id == item_id)).first()
    held = vectors(connection, space, [row[0]]).get(row[0]) if row else None
    return StoredItem(row[1], Path(os.fsdecode(row[2])), held) if row and held else None
