"""A catalog's contents and paths by pages, for a portable folder; each page is a short read of its own."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, select

from mmsearch.catalog import blobs
from mmsearch.catalog.records import SpaceRecord
from mmsearch.catalog.tables import Content, Embedding, Item, Root, SegmentRow, Tag, UnsupportedRow
from mmsearch.catalog.write import chunks
from mmsearch.types import Metadata, Modality, Span

PAGE = 500
"""Contents read at once: their ids fit one IN list."""


@dataclass(frozen=True, slots=True, eq=False)
class ExportedContent:
    """A findable content with all that is known of it."""

    id: int
    sha256: str
    modality: Modality
    metadata: Metadata
    tags: tuple[tuple[str, float], ...]
    """A model's, with their confidence; a person's are in the metadata."""
    segments: tuple[tuple[Modality, Span], ...]
    vectors: tuple[bytes, ...]
    """As they are stored, one for each segment."""


def contents(connection: Connection, space: SpaceRecord, after: int) -> list[ExportedContent]:
    """The next contents beyond an id that have a present item and vectors in the space, by id; none at the end."""
    query = select(Content.id, Content.sha256, Content.modality, Content.meta).where(Content.id > after, _wanted(space))
    rows: Any = connection.execute(query.order_by(Content.id).limit(PAGE)).all()
    ids = [row[0] for row in rows]
    tags, segments = _tags(connection, ids), _segments(connection, space, ids)
    for found in segments.values():
        blobs.whole([vector for _, _, vector in found], space.dim)
    return [
        ExportedContent(row[0], row[1], row[2], row[3], tuple(tags[row[0]]), *_columns(segments[row[0]]))
        for row in rows
    ]  # fmt: skip


def items(connection: Connection, space: SpaceRecord, after: bytes, until: int) -> list[dict[str, Any]]:
    """The next present items beyond a path whose contents `contents` has up to an id, by path; none at the end."""
    query = (
        select(Item.path, Root.path.label("root"), Content.sha256, Item.size, Item.mtime_ns)
        .join(Content, Content.id == Item.content_id)
        .join(Root, Root.id == Item.root_id)
        .where(Item.path > after, Item.status == "present", Content.id <= until, _embedded(space))
    )
    rows: Any = connection.execute(query.order_by(Item.path).limit(4 * PAGE))
    return [dict(zip(("path", "root", "sha256", "size", "mtime_ns"), row, strict=True)) for row in rows]


def unsupported(connection: Connection, space: SpaceRecord, after: int) -> list[tuple[int, str, str, str]]:
    """The next contents beyond an id that a space has no vectors for: id, hash, failure and reason; none at the end."""
    query = (
        select(Content.id, Content.sha256, UnsupportedRow.failure, UnsupportedRow.reason)
        .join(UnsupportedRow, UnsupportedRow.content_id == Content.id)
        .where(Content.id > after, UnsupportedRow.space_id == space.id)
    )
    rows = connection.execute(query.order_by(Content.id).limit(PAGE))
    return [(content_id, sha256, failure, reason) for content_id, sha256, failure, reason in rows]


def hashes_at(connection: Connection, paths: Sequence[bytes]) -> dict[bytes, str]:
    """Path -> hash of what it holds, of the items, present or missing, that are known."""
    found: dict[bytes, str] = {}
    for part in chunks(paths):
        query = (
            select(Item.path, Content.sha256).join(Content, Content.id == Item.content_id).where(Item.path.in_(part))
        )
        found |= {path: sha256 for path, sha256 in connection.execute(query)}
    return found


def _wanted(space: SpaceRecord) -> Any:
    return and_(
        select(Item.id).where(Item.content_id == Content.id, Item.status == "present").exists(), _embedded(space)
    )


def _embedded(space: SpaceRecord) -> Any:
    vectors = select(Embedding.segment_id).join(SegmentRow, SegmentRow.id == Embedding.segment_id)
    return vectors.where(SegmentRow.content_id == Content.id, Embedding.space_id == space.id).exists()


def _tags(connection: Connection, ids: Sequence[int]) -> dict[int, list[tuple[str, float]]]:
    found: dict[int, list[tuple[str, float]]] = defaultdict(list)
    query = select(Tag.content_id, Tag.tag, Tag.confidence).where(Tag.content_id.in_(ids), Tag.confidence.is_not(None))
    for content, tag, confidence in connection.execute(query.order_by(Tag.content_id, Tag.tag)):
        found[content].append((tag, float(confidence or 0)))
    return found


def _segments(connection: Connection, space: SpaceRecord, ids: Sequence[int]) -> dict[int, list[Any]]:
    row = SegmentRow
    query = (
        select(
            row.content_id, row.modality, row.start, row.end, row.page, row.char_start, row.char_end, row.text,
            Embedding.vector,
        )
        .join(Embedding, Embedding.segment_id == row.id)
        .where(row.content_id.in_(ids), Embedding.space_id == space.id)
        .order_by(row.content_id, row.ordinal)
    )  # fmt: skip
    found: dict[int, list[Any]] = defaultdict(list)
    rows: Any = connection.execute(query)
    for content, modality, *span, vector in rows:
        found[content].append((modality, Span(*span), vector))
    return found


def _columns(rows: Sequence[Any]) -> tuple[tuple[tuple[Modality, Span], ...], tuple[bytes, ...]]:
    return tuple((modality, span) for modality, span, _ in rows), tuple(vector for _, _, vector in rows)
