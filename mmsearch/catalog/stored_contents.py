"""Contents with all that is kept of them: segments, their places, their vectors and a model's tags."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, select

from mmsearch.catalog import blobs
from mmsearch.catalog.contents import FINDABLE
from mmsearch.catalog.embeddings import vectors_by_content
from mmsearch.catalog.evidence import stored_evidence
from mmsearch.catalog.meta import meta_of
from mmsearch.catalog.records import SpaceRecord
from mmsearch.catalog.segments import span_of
from mmsearch.catalog.tables import Content, Embedding, ItemRow, Root, SegmentRow
from mmsearch.catalog.tags import model_tags, tags_of
from mmsearch.types import Metadata, MetaValue, Modality, Span, Vectors

PAGE = 500
"""Contents read at once: their ids fit one IN list."""


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


@dataclass(frozen=True, slots=True, eq=False)
class ExportedContent:
    """A findable content with all that is known of it."""

    id: int
    sha256: str
    modality: Modality
    metadata: Metadata
    tags: tuple[tuple[str, float], ...]
    """A model's, with their confidence."""
    given: tuple[str, ...]
    """A person's tags."""
    meta: Mapping[str, MetaValue]
    """A person's own metadata."""
    segments: tuple[tuple[Modality, Span], ...]
    vectors: tuple[bytes, ...]
    """As they are stored, one for each segment."""
    evidence: bytes | None
    """What tells whether another content is the same; None if none was made."""


def segments_of_hit(
    connection: Connection, space: SpaceRecord, item_id: int, segment_id: int
) -> tuple[Modality, list[StoredSegment]]:
    """The item modality and the segments, in order, of what a segment belongs to; below 0: of what an item holds."""
    named = select(Content.id, Content.modality)
    if segment_id < 0:
        named = named.join(ItemRow, ItemRow.content_id == Content.id).where(ItemRow.id == item_id)
    else:
        named = named.join(SegmentRow, SegmentRow.content_id == Content.id).where(SegmentRow.id == segment_id)
    row = connection.execute(named).first()
    return (row[1], _stored_segments(connection, space, row[0])) if row else ("", [])


def _stored_segments(connection: Connection, space: SpaceRecord, content_id: int) -> list[StoredSegment]:
    query = (
        select(
            SegmentRow.id, SegmentRow.modality, Embedding.vector,
            SegmentRow.start, SegmentRow.end, SegmentRow.page, SegmentRow.char_start, SegmentRow.char_end,
            SegmentRow.text, SegmentRow.place, SegmentRow.source, SegmentRow.box,
        )
        .join(Embedding, Embedding.segment_id == SegmentRow.id)
        .where(Embedding.space_id == space.id, SegmentRow.content_id == content_id)
        .order_by(SegmentRow.ordinal)
    )  # fmt: skip
    rows: Any = connection.execute(query)
    return [StoredSegment(row[0], row[1], span_of(row[3:]), blobs.decode([row[2]], space.dim)[0]) for row in rows]


def stored_item(connection: Connection, space: SpaceRecord, item_id: int) -> StoredItem | None:
    """An item, present or missing, with its vectors; None if there is no such, or it has none."""
    query = select(Content.id, Content.modality, ItemRow.path).join(ItemRow, ItemRow.content_id == Content.id)
    row = connection.execute(query.where(ItemRow.id == item_id)).first()
    vectors = vectors_by_content(connection, space, [row[0]]).get(row[0]) if row else None
    return StoredItem(row[1], Path(os.fsdecode(row[2])), vectors) if row and vectors else None


def exported_contents(connection: Connection, space: SpaceRecord, after: int) -> list[ExportedContent]:
    """The next contents beyond an id that have a present item and vectors in the space, by id; none at the end."""
    query = select(Content.id, Content.sha256, Content.modality, Content.meta).where(Content.id > after, _wanted(space))
    rows: Any = connection.execute(query.order_by(Content.id).limit(PAGE)).all()
    ids = [row[0] for row in rows]
    tags, segments = model_tags(connection, ids), _segments(connection, space, ids)
    given, meta = tags_of(connection, ids), meta_of(connection, ids)
    evidence = stored_evidence(connection, ids)
    for found in segments.values():
        blobs.whole([vector for _, _, vector in found], space.dim)
    return [
        ExportedContent(
            row[0], row[1], row[2], row[3], tuple(tags[row[0]]), tuple(given[row[0]]), meta[row[0]],
            *_columns(segments[row[0]]), evidence[row[0]].data,
        )
        for row in rows
    ]  # fmt: skip


def exported_items(connection: Connection, space: SpaceRecord, after: bytes, until: int) -> list[dict[str, Any]]:
    """The next present items beyond a path of the exported contents up to an id, by path; none at the end."""
    query = (
        select(ItemRow.path, Root.path.label("root"), Content.sha256, ItemRow.size, ItemRow.mtime_ns, ItemRow.kept)
        .join(Content, Content.id == ItemRow.content_id)
        .join(Root, Root.id == ItemRow.root_id)
        .where(ItemRow.path > after, ItemRow.status == "present", Content.id <= until, _embedded(space))
    )
    rows: Any = connection.execute(query.order_by(ItemRow.path).limit(4 * PAGE))
    return [dict(zip(("path", "root", "sha256", "size", "mtime_ns", "kept"), row, strict=True)) for row in rows]


def _wanted(space: SpaceRecord) -> Any:
    return and_(FINDABLE, _embedded(space))


def _embedded(space: SpaceRecord) -> Any:
    vectors = select(Embedding.segment_id).join(SegmentRow, SegmentRow.id == Embedding.segment_id)
    return vectors.where(SegmentRow.content_id == Content.id, Embedding.space_id == space.id).exists()


def _segments(connection: Connection, space: SpaceRecord, ids: Sequence[int]) -> dict[int, list[Any]]:
    row = SegmentRow
    query = (
        select(
            row.content_id, row.modality, row.start, row.end, row.page, row.char_start, row.char_end, row.text,
            row.place, row.source, row.box, Embedding.vector,
        )
        .join(Embedding, Embedding.segment_id == row.id)
        .where(row.content_id.in_(ids), Embedding.space_id == space.id)
        .order_by(row.content_id, row.ordinal)
    )  # fmt: skip
    found: dict[int, list[Any]] = defaultdict(list)
    rows: Any = connection.execute(query)
    for content, modality, *span, vector in rows:
        found[content].append((modality, span_of(span), vector))
    return found


def _columns(rows: Sequence[Any]) -> tuple[tuple[tuple[Modality, Span], ...], tuple[bytes, ...]]:
    return tuple((modality, span) for modality, span, _ in rows), tuple(vector for _, _, vector in rows)
