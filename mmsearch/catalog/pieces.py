"""What contents are made of: their segments' vectors in order, for comparing items as wholes and for their moments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, func, select

from mmsearch.catalog.models import Content, Embedding, Item, SegmentRow
from mmsearch.catalog.write import chunks
from mmsearch.types import Modality, Span, Vectors


@dataclass(frozen=True, slots=True)
class Shape:
    """What an item holds, without its vectors."""

    item_id: int
    content_id: int
    modality: Modality
    counts: tuple[tuple[Modality, int], ...]
    """Segments of each modality, sorted."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A segment with its vector, float32 (dim,)."""

    segment_id: int
    modality: Modality
    span: Span
    vector: Vectors


def shapes(connection: Connection, item_ids: Iterable[int]) -> dict[int, Shape]:
    """Item id -> its shape; present or missing, but not unknown ones."""
    rows: dict[int, tuple[int, Modality, list[tuple[Modality, int]]]] = {}
    for part in chunks(list(item_ids)):
        query = (
            select(Item.id, Item.content_id, Content.modality, SegmentRow.modality, func.count())
            .join(Content, Content.id == Item.content_id)
            .join(SegmentRow, SegmentRow.content_id == Content.id)
            .where(Item.id.in_(part))
            .group_by(Item.id, SegmentRow.modality)
        )
        for item, content, modality, segment, count in connection.execute(query):
            rows.setdefault(item, (content, modality, []))[2].append((segment, count))
    return {
        item: Shape(item, content, modality, tuple(sorted(counts)))
        for item, (content, modality, counts) in rows.items()
    }


def vectors(connection: Connection, space_id: int, content_ids: Sequence[int]) -> dict[int, dict[Modality, Vectors]]:
    """Content id -> segment modality -> float32 (n, dim), unit rows in order; nothing for what has no vectors."""
    found: dict[int, dict[Modality, list[bytes]]] = {}
    for part in chunks(content_ids):
        query = (
            select(SegmentRow.content_id, SegmentRow.modality, Embedding.vector)
            .join(Embedding, Embedding.segment_id == SegmentRow.id)
            .where(Embedding.space_id == space_id, SegmentRow.content_id.in_(part))
            .order_by(SegmentRow.content_id, SegmentRow.ordinal)
        )
        for content, modality, vector in connection.execute(query):
            found.setdefault(content, {}).setdefault(modality, []).append(vector)
    return {
        content: {modality: _matrix(rows) for modality, rows in by_modality.items()}
        for content, by_modality in found.items()
    }


def pieces(connection: Connection, space_id: int, content_id: int) -> list[Piece]:
    """A content's segments, in order."""
    query = (
        select(
            SegmentRow.id, SegmentRow.modality, Embedding.vector,
            SegmentRow.start, SegmentRow.end, SegmentRow.page, SegmentRow.char_start, SegmentRow.char_end,
            SegmentRow.text,
        )
        .join(Embedding, Embedding.segment_id == SegmentRow.id)
        .where(Embedding.space_id == space_id, SegmentRow.content_id == content_id)
        .order_by(SegmentRow.ordinal)
    )  # fmt: skip
    return [Piece(row[0], row[1], Span(*row[3:]), _matrix([row[2]])[0]) for row in connection.execute(query)]


def _matrix(rows: Sequence[bytes]) -> Vectors:
    return np.frombuffer(b"".join(rows), "<f4").reshape(len(rows), -1).astype(np.float32, copy=False)
