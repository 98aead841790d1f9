"""The segments that are cut from extractions, with their vectors, and forgetting both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, not_, or_, select

from mmsearch.catalog import blobs
from mmsearch.catalog.commits import next_generation
from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.contents import mark_changed
from mmsearch.catalog.extractions import lines_of
from mmsearch.catalog.items import items_with_content
from mmsearch.catalog.records import KnownItem, SpaceRecord
from mmsearch.catalog.segments import bury_segments, segment_row, span_of
from mmsearch.catalog.spaces import active_space, mark_backfilled
from mmsearch.catalog.statements import chunks, insert_rows, new_ids
from mmsearch.catalog.tables import (
    Content,
    Embedding,
    ExtractionCut,
    ExtractionRow,
    ListRow,
    SegmentRow,
    SpaceRow,
)
from mmsearch.catalog.traces import mark_traces
from mmsearch.types import Span, TextLine, Vectors


@dataclass(frozen=True, slots=True)
class StoredExtraction:
    """The lines of a content that a space has no segments of yet."""

    content_id: int
    source: str
    lines: tuple[TextLine, ...]


@dataclass(frozen=True, slots=True, eq=False)
class NewCut:
    """Segments of an extraction: `vectors` is float32 (len(spans), dim), row i belongs to span i."""

    content_id: int
    source: str
    spans: Sequence[Span]
    vectors: Vectors
    derived: Mapping[int, Vectors] = field(default_factory=dict)
    """Space id -> what that space's projection makes of them."""


def uncut_extractions(
    connection: Connection, space: SpaceRecord, cut: str, after: tuple[int, str], limit: int
) -> list[StoredExtraction]:
    """The next extractions beyond a (content id, source) that a space has no segments of, cut in this way."""
    row, made = ExtractionRow, ExtractionCut
    there = exists().where(made.space_id == space.id, made.content_id == row.content_id, made.source == row.source)
    query = (
        select(row.content_id, row.source)
        .where(or_(row.content_id > after[0], and_(row.content_id == after[0], row.source > after[1])))
        .where(not_(there.where(made.cut == cut)))
        .order_by(row.content_id, row.source)
        .limit(limit)
    )
    return [
        StoredExtraction(content_id, source, lines_of(connection, content_id, source))
        for content_id, source in connection.execute(query).all()
    ]


def store_cuts(connection: Connection, space: SpaceRecord, cuts: Sequence[NewCut], cut: str) -> None:
    """Write the segments of extractions, in place of those that were there, and their vectors in a space.

    What is gone meanwhile is left out, and segments that another space of the same layout cut in this way are shared.
    """
    layout = space.layout
    storage = {row.id: row.storage for row in connection.execute(select(SpaceRow.id, SpaceRow.storage))}
    if space.id not in storage:
        return
    cuts = [one for one in cuts if _is_wanted(connection, space, one, cut)]
    new = iter(new_ids(connection, "segments", sum(len(one.spans) for one in cuts)))
    rows: list[dict[str, object]] = []
    vectors: list[dict[str, object]] = []
    for one in cuts:
        ids = _shared(connection, layout, one)
        if ids is None:
            ids = list(islice(new, len(one.spans)))
            for ordinal, (segment, span) in enumerate(zip(ids, one.spans, strict=True)):
                rows.append(segment_row((segment, one.content_id, layout, ordinal), "text", span))
        for into, made in {space.id: one.vectors, **one.derived}.items():
            if ids and _has_vectors(connection, into, ids):
                continue  # cut anew, into the same segments
            stored = blobs.encode(made, storage[into])
            vectors.extend(
                {"space_id": into, "segment_id": segment, "vector": blob}
                for segment, blob in zip(ids, stored, strict=True)
            )
    insert_rows(connection, SegmentRow, rows)
    insert_rows(connection, Embedding, vectors)
    _note_cuts(connection, space, cuts, cut)


def _has_vectors(connection: Connection, space_id: int, segments: Sequence[int]) -> bool:
    """Whether a space has the vectors of segments that were written together: of all or of none."""
    held = select(Embedding.segment_id).where(Embedding.space_id == space_id, Embedding.segment_id == segments[0])
    return connection.execute(held).first() is not None


def _is_wanted(connection: Connection, space: SpaceRecord, one: NewCut, cut: str) -> bool:
    """Whether the lines are there still, and nobody has cut them meanwhile."""
    row, made = ExtractionRow, ExtractionCut
    held = select(row.state).where(row.content_id == one.content_id, row.source == one.source)
    done = select(made.cut).where(
        made.space_id == space.id, made.content_id == one.content_id, made.source == one.source, made.cut == cut
    )
    return connection.execute(held).first() is not None and connection.execute(done).first() is None


def _shared(connection: Connection, layout: str, one: NewCut) -> list[int] | None:
    """The ids of segments that are there already, cut like these and without vectors in the space; others go."""
    row = SegmentRow
    query = (
        select(
            row.id, row.start, row.end, row.page, row.char_start, row.char_end, row.text, row.place, row.source, row.box
        )
        .where(row.content_id == one.content_id, row.layout == layout, row.source == one.source)
        .order_by(row.ordinal)
    )
    there: Any = connection.execute(query).all()
    if not there:
        return None
    made = ExtractionCut
    others = exists().where(made.content_id == one.content_id, made.source == one.source, made.space_id == SpaceRow.id)
    if [span_of(found[1:]) for found in there] == list(one.spans) and connection.execute(
        select(SpaceRow.id).where(SpaceRow.layout == layout, others)
    ).first():
        return [found[0] for found in there]
    bury_segments(connection, [found[0] for found in there])
    same = select(SpaceRow.id).where(SpaceRow.layout == layout)
    connection.execute(
        delete(made).where(made.content_id == one.content_id, made.source == one.source, made.space_id.in_(same))
    )
    return None


def _note_cuts(connection: Connection, space: SpaceRecord, cuts: Sequence[NewCut], cut: str) -> None:
    for one in cuts:
        row = {"space_id": space.id, "content_id": one.content_id, "source": one.source, "cut": cut}
        connection.execute(
            upsert(ExtractionCut).values(row).on_conflict_do_update(
                index_elements=["space_id", "content_id", "source"], set_={"cut": cut}
            )
        )  # fmt: skip
    changed = [one.content_id for one in cuts]
    kinds: set[str] = set()
    for part in chunks(changed):
        kinds.update(connection.execute(select(Content.modality).where(Content.id.in_(part))).scalars())
    into = {space.id, *(other for one in cuts for other in one.derived)}
    for each in sorted(into):
        for kind in sorted(kinds):
            row = {"space_id": each, "item": kind, "segment": "text"}
            connection.execute(upsert(ListRow).values(row).on_conflict_do_nothing())
    active = active_space(connection)
    if active is not None and active.id in into:
        # Indexes in use replay some contents rather than look through all.
        mark_changed(connection, changed, next_generation(connection))
    else:
        mark_backfilled(connection, sorted(into))


def forget_extractions(connection: Connection, source: str) -> tuple[int, int, list[KnownItem]]:
    """Forget the lines of a source, and all segments that were cut from them.

    Returns (contents, segments, items of contents that have no segments any more).
    """
    rows = select(ExtractionRow.content_id).where(ExtractionRow.source == source)
    contents = list(connection.execute(rows).scalars())
    segments = list(connection.execute(select(SegmentRow.id).where(SegmentRow.source == source)).scalars())
    if not contents and not segments:
        return 0, 0, []
    generation = next_generation(connection)
    for part in chunks(segments):
        held = select(SegmentRow.content_id).where(SegmentRow.id.in_(part)).distinct()
        mark_changed(connection, connection.execute(held).scalars().all(), generation)
    bury_segments(connection, segments)
    connection.execute(delete(ExtractionRow).where(ExtractionRow.source == source))
    mark_traces(connection)
    _forget_empty_lists(connection)
    return len(contents), len(segments), _items_without_segments(connection, contents)


def _items_without_segments(connection: Connection, contents: Sequence[int]) -> list[KnownItem]:
    found: list[str] = []
    for part in chunks(contents):
        held = exists().where(SegmentRow.content_id == Content.id)
        found += connection.execute(select(Content.sha256).where(Content.id.in_(part), not_(held))).scalars()
    return [item for sha256 in found for item in items_with_content(connection, sha256)]


def _forget_empty_lists(connection: Connection) -> None:
    """Lists of text in media that have none any more, so that nothing tells that there were some."""
    for space, item in connection.execute(
        select(ListRow.space_id, ListRow.item).where(ListRow.segment == "text", ListRow.item != "text")
    ).all():
        held = (
            select(SegmentRow.id)
            .join(Content, Content.id == SegmentRow.content_id)
            .where(Content.modality == item, SegmentRow.modality == "text")
        )
        if connection.execute(held.limit(1)).first() is None:
            listed = ListRow.space_id == space, ListRow.item == item, ListRow.segment == "text"
            connection.execute(delete(ListRow).where(*listed))
