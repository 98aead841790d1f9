"""Segments: where they lie in their contents, and which paths hold them."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Text, and_, bindparam, delete, func, insert, literal, select, type_coerce

from mmsearch.catalog import blobs, boxes, layouts
from mmsearch.catalog.filters import filter_clause
from mmsearch.catalog.paths import checked_paths
from mmsearch.catalog.records import HitDetails, ListKey, NewContent, ResolvedSegment, SpaceRecord
from mmsearch.catalog.statements import Statement, chunks, json_numbers, number_list
from mmsearch.catalog.tables import Content, ItemRow, LibraryRow, SegmentRow, SpaceRow, Tombstone
from mmsearch.core.filters.ast import Filter
from mmsearch.errors import CatalogDamaged
from mmsearch.types import Ids, Modality, Span

DECODED = SegmentRow.source.is_(None)
"""Whether a segment is a decoder's: what files are compared by, trained with and exported again for another model."""

REGION = "region"
"""The source of a segment that is a part of a picture, which its encoder found beside the whole."""

KEPT_FILTERS = 64
"""Filters whose statement is kept."""


class ItemOutline(NamedTuple):
    """What an item holds."""

    item_id: int
    content_id: int
    counts: tuple[tuple[Modality, int], ...]
    """Segments of each modality, sorted."""
    segment_id: int | None
    """Where it has one segment only."""


def resolve_segments(connection: Connection, segment_ids: Ids, filter: Filter | None = None) -> list[ResolvedSegment]:
    """Every (segment, present path) pair of these segments, in no particular order; `filter` keeps matching paths."""
    ids = json_numbers(segment_ids.tolist())
    if filter is None:
        return checked_paths([ResolvedSegment(*row) for row in _RESOLVED_ALL.rows(connection, ids=ids)])
    return checked_paths([ResolvedSegment(*row) for row in _resolved_of(filter).rows(connection, ids=ids)])


@lru_cache(KEPT_FILTERS)
def _resolved_of(filter: Filter) -> Statement:
    return Statement(_RESOLVED.where(filter_clause(filter, few=True)))


def placed_segments(connection: Connection, key: ListKey, segment_ids: Ids) -> list[ResolvedSegment]:
    """As `resolve_segments`, of segments that are all in one list, which spares looking at their contents."""
    rows = _PLACED_ALL.rows(connection, ids=json_numbers(segment_ids.tolist()))
    return checked_paths(
        [ResolvedSegment(segment, content, item, path, key.item, key.segment) for segment, content, item, path in rows]
    )


_PLACED: Any = (
    select(SegmentRow.id, ItemRow.content_id, ItemRow.id, ItemRow.path)
    .join(ItemRow, and_(ItemRow.content_id == SegmentRow.content_id, ItemRow.status == "present"))
    .where(SegmentRow.id.in_(number_list("ids")))
)

_RESOLVED: Any = _PLACED.join(Content, Content.id == ItemRow.content_id).add_columns(
    Content.modality, SegmentRow.modality
)

_PLACED_ALL, _RESOLVED_ALL = Statement(_PLACED), Statement(_RESOLVED)

_METADATA = Statement(
    select(ItemRow.id, type_coerce(Content.meta, Text))
    .join(Content, Content.id == ItemRow.content_id)
    .where(ItemRow.id.in_(number_list("ids")))
)

_SPANS = Statement(
    select(
        SegmentRow.id, SegmentRow.start, SegmentRow.end, SegmentRow.page, SegmentRow.char_start, SegmentRow.char_end,
        SegmentRow.text, SegmentRow.place, SegmentRow.source, SegmentRow.box,
    ).where(SegmentRow.id.in_(number_list("ids")))
)  # fmt: skip


def hit_details(connection: Connection, item_ids: Iterable[int], segment_ids: Iterable[int]) -> HitDetails:
    """Metadata of items and places of segments; unknown ones are left out."""
    metadata = _METADATA.rows(connection, ids=json_numbers(item_ids))
    spans = _SPANS.rows(connection, ids=json_numbers(segment_ids))
    return HitDetails({row[0]: json.loads(row[1]) for row in metadata}, {row[0]: span_of(row[1:]) for row in spans})


def span_of(row: Sequence[Any]) -> Span:
    """Of the columns of a segment that are a `Span`, in its order.

    Raises: CatalogDamaged: SQLite keeps any type in any column.
    """
    whole = all(value is None or type(value) is kind for value, kind in zip(row[2:], _SPAN_TYPES, strict=True))
    if whole and all(value is None or type(value) in (float, int) for value in row[:2]):
        (start, end, page, first, last, text, place, source, box) = row
        return Span(start, end, page, first, last, text, place, source, boxes.read_box(box))
    raise CatalogDamaged("the catalog holds a place that mmsearch never writes", hint=blobs.MEND)


_SPAN_TYPES = (int, int, int, str, str, str, str)
"""Page, two offsets, text, place, source, box."""

SOURCED = {"said": 2**40, "written": 2**41, REGION: 2**42}
"""Source -> the ordinal of a content's first segment of it: behind all that decoders make."""

IS_REGION = SegmentRow.ordinal >= SOURCED[REGION]
"""Whether a segment is a region of a picture."""

_REGIONS = Statement(select(SegmentRow.id).where(SegmentRow.id.in_(number_list("ids")), IS_REGION))


def regions_among(connection: Connection, segment_ids: Iterable[int]) -> set[int]:
    """Those of the segments that are regions of pictures."""
    return {row[0] for row in _REGIONS.rows(connection, ids=json_numbers(segment_ids))}


def item_outlines(connection: Connection, space: SpaceRecord, item_ids: Collection[int]) -> list[ItemOutline]:
    """The shapes of items, present or missing, in no particular order; unknown ones are left out."""
    rows: dict[int, list[Any]] = {}
    for row in _OUTLINES.rows(connection, space=space.id, ids=json_numbers(item_ids)):
        rows.setdefault(row[0], []).append(row)
    return [_outline(item, those) for item, those in rows.items()]


def _outline(item_id: int, rows: Sequence[Any]) -> ItemOutline:
    (_, content_id, modality, count, segment_id) = rows[0]
    if len(rows) == 1:
        return ItemOutline(item_id, content_id, ((modality, count),), segment_id if count == 1 else None)
    return ItemOutline(item_id, content_id, tuple(sorted((row[2], row[3]) for row in rows)), None)


_OUTLINES = Statement(
    # No more than an index holds: which vector it is is enough.
    select(ItemRow.id, ItemRow.content_id, SegmentRow.modality, func.count(), func.min(SegmentRow.id))
    .join(SegmentRow, SegmentRow.content_id == ItemRow.content_id)
    .where(ItemRow.id.in_(number_list("ids")))
    .where(SegmentRow.layout == layouts.layout_of_space(SpaceRow.id, bindparam("space")), DECODED)
    .group_by(ItemRow.id, SegmentRow.modality)
)


def contents_of_segments(connection: Connection, segment_ids: Ids) -> dict[int, int]:
    """Segment id -> content id; ids that are gone are left out."""
    found: dict[int, int] = {}
    for part in chunks(segment_ids.tolist()):
        query = select(SegmentRow.id, SegmentRow.content_id).where(SegmentRow.id.in_(part))
        found |= {segment: content for segment, content in connection.execute(query)}
    return found


def layout_of_segment(connection: Connection, segment_id: int) -> str | None:
    """How the content was cut that a segment belongs to; None if there is no such segment."""
    return connection.execute(select(SegmentRow.layout).where(SegmentRow.id == segment_id)).scalar()


def segment_ids_of(
    connection: Connection, space: SpaceRecord, content_ids: Sequence[int]
) -> dict[int, dict[Modality, list[int]]]:
    """Content id -> segment modality -> ids of its segments in the space, in order."""
    found: dict[int, dict[Modality, list[int]]] = {}
    for part in chunks(content_ids):
        query = (
            select(SegmentRow.content_id, SegmentRow.modality, SegmentRow.id)
            .where(SegmentRow.content_id.in_(part), SegmentRow.layout == space.layout, DECODED)
            .order_by(SegmentRow.content_id, SegmentRow.ordinal)
        )
        for content, modality, segment in connection.execute(query):
            found.setdefault(content, {}).setdefault(modality, []).append(segment)
    return found


def segments_by_content(
    connection: Connection, contents: Sequence[int], layout: str
) -> dict[int, list[tuple[Any, ...]]]:
    """Content id -> (id, then what `_cut` gives, then the source) of its segments in a layout, in order."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    row = SegmentRow
    for part in chunks(contents):
        query = (
            select(
                row.content_id, row.id, row.modality, row.start, row.end, row.page, row.char_start, row.char_end,
                row.source,
            )
            .where(row.content_id.in_(part), row.layout == layout)
            .order_by(row.content_id, row.ordinal)
        )  # fmt: skip
        for content_id, *segment in connection.execute(query):
            found.setdefault(content_id, []).append(tuple(segment))
    return found


def _cut(content: NewContent) -> list[tuple[Any, ...]]:
    """Where its segments lie."""
    return [
        (modality, span.start, span.end, span.page, span.char_start, span.char_end)
        for modality, span in zip(content.modalities, content.spans, strict=True)
    ]


def rows_of(content: NewContent, rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
    """Those of a content's rows (of `segments_by_content`) that are of the kind it brings: a file that was decoded
    brings nothing that an extractor made, an import brings all."""
    own = (None, REGION)
    return rows if any(span.source not in own for span in content.spans) else [row for row in rows if row[-1] in own]


def same_cut(contents: Sequence[tuple[int, NewContent]], there: dict[int, list[tuple[Any, ...]]]) -> set[int]:
    """Those of the contents that have no segments yet, or the same ones (`there`: of `segments_by_content`)."""
    return {
        content_id
        for content_id, content in contents
        if [row[1:-1] for row in rows_of(content, there.get(content_id, ()))] in ([], _cut(content))
    }


def segment_rows(content: NewContent, content_id: int, ids: Iterable[int], layout: str) -> Iterator[dict[str, object]]:
    """Rows of a content's segments, with these ids."""
    for ordinal, (segment, modality, span) in enumerate(zip(ids, content.modalities, content.spans, strict=True)):
        yield segment_row((segment, content_id, layout, ordinal), modality, span)


def segment_row(of: tuple[int, int, str, int], modality: Modality, span: Span) -> dict[str, object]:
    """A row of a segment. `of`: its id, its content's, its layout, its number in the content."""
    (segment, content_id, layout, ordinal) = of
    return {
        "id": segment, "content_id": content_id, "layout": layout,
        "ordinal": ordinal + SOURCED.get(span.source or "", 0), "modality": modality,
        "start": span.start, "end": span.end, "page": span.page,
        "char_start": span.char_start, "char_end": span.char_end, "text": span.text,
        "place": span.place, "source": span.source, "box": boxes.write_box(span.box),
    }  # fmt: skip


def bury_segments(connection: Connection, segment_ids: Sequence[int]) -> None:
    """Delete segments, leaving tombstones for the indexes that hold them."""
    generation = connection.execute(select(LibraryRow.generation)).scalar_one()
    for part in chunks(segment_ids):
        gone = select(SegmentRow.id, literal(generation)).where(SegmentRow.id.in_(part))
        connection.execute(insert(Tombstone).from_select(["segment_id", "generation"], gone))
        connection.execute(delete(SegmentRow).where(SegmentRow.id.in_(part)))
