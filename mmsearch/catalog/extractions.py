"""Extractions: the lines of text that extractors made of contents, and the segments that are cut from them.

A content has the lines of one extractor for what is said in it, and of one for what is written. Lines are kept as the
model gave them; a space has segments of them once it has a row of `extraction_cuts`. So other gates or cuts, or another
model of vectors, cost no second look at a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, not_, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import aliased

from mmsearch.catalog import blobs, boxes, group_key
from mmsearch.catalog.commits import next_generation
from mmsearch.catalog.contents import FINDABLE, content_ids, mark_changed
from mmsearch.catalog.records import MissingEmbeddings, SpaceRecord
from mmsearch.catalog.segments import bury_segments, segment_row, span_of
from mmsearch.catalog.spaces import active_space, mark_backfilled
from mmsearch.catalog.statements import chunks, insert_rows, last_id
from mmsearch.catalog.tables import (
    Content,
    Embedding,
    ExtractionCut,
    ExtractionLine,
    ExtractionRow,
    ItemRow,
    ListRow,
    SegmentRow,
    SpaceRow,
)
from mmsearch.catalog.traces import mark_traces
from mmsearch.types import Line, Modality, Span, Vectors


@dataclass(frozen=True, slots=True)
class ExtractorRecord:
    """An extractor as the catalog knows it."""

    name: str
    source: str
    fingerprint: str
    modalities: tuple[Modality, ...]
    """Item modalities that it takes."""


@dataclass(frozen=True, slots=True)
class NewExtraction:
    """What came of a content."""

    sha256: str
    state: str
    """done, failed or skipped."""
    lines: Sequence[Line] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StoredExtraction:
    """The lines of a content that a space has no segments of yet."""

    content_id: int
    source: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, eq=False)
class NewCut:
    """Segments of an extraction: `vectors` is float32 (len(spans), dim), row i belongs to span i."""

    content_id: int
    source: str
    spans: Sequence[Span]
    vectors: Vectors
    derived: Mapping[int, Vectors] = field(default_factory=dict)
    """Space id -> what that space's projection makes of them."""


@dataclass(frozen=True, slots=True)
class ExtractionCounts:
    """What an extractor left in a library."""

    extractor: str
    source: str
    contents: int
    """That it was through with, with lines or without."""
    with_text: int
    """Of these, those that have segments in the active space."""
    segments: int
    failed: int
    skipped: int


def _of(extractor: ExtractorRecord, retry: bool, version: str) -> ColumnElement[bool]:
    """Whether a content has what it can have of an extractor. A failure holds for one release."""
    row = ExtractionRow
    same = and_(row.extractor == extractor.name, row.fingerprint == extractor.fingerprint)
    settled = row.state != "failed" if retry else or_(row.state != "failed", row.version == version)
    return exists().where(row.content_id == Content.id, row.source == extractor.source, same, settled)


def _pending(extractor: ExtractorRecord, retry: bool, version: str) -> ColumnElement[bool]:
    kinds = Content.modality.in_(extractor.modalities)
    return and_(kinds, FINDABLE, not_(_of(extractor, retry, version)))


def pending_contents(
    connection: Connection, extractor: ExtractorRecord, after: int, limit: int, *, retry: bool, version: str
) -> list[MissingEmbeddings]:
    """The next findable contents beyond an id that an extractor has not looked at, by id."""
    query = select(Content.id, Content.sha256).where(Content.id > after, _pending(extractor, retry, version))
    found = connection.execute(query.order_by(Content.id).limit(limit)).all()
    files: dict[int, list[tuple[bytes, int, int]]] = {}
    for part in chunks([content_id for content_id, _ in found]):
        paths = select(ItemRow.content_id, ItemRow.path, ItemRow.size, ItemRow.mtime_ns).order_by(ItemRow.path)
        present = paths.where(ItemRow.content_id.in_(part), ItemRow.status == "present")
        for content_id, path, size, mtime_ns in connection.execute(present):
            files.setdefault(content_id, []).append((path, size, mtime_ns))
    return [MissingEmbeddings(content_id, sha256, tuple(files[content_id])) for content_id, sha256 in found]


def pending_amounts(
    connection: Connection, extractor: ExtractorRecord, *, retry: bool, version: str
) -> dict[Modality, tuple[int, float]]:
    """Item modality -> how many contents an extractor has not looked at, and their seconds of sound or video."""
    query = (
        select(Content.modality, func.count(), func.coalesce(func.sum(Content.duration), 0.0))
        .where(_pending(extractor, retry, version))
        .group_by(Content.modality)
    )
    return {modality: (n, seconds or 0.0) for modality, n, seconds in connection.execute(query)}


def has_subtitles(connection: Connection, content_id: int) -> bool:
    """Whether the words of a sound or a video are there: as a text track in it, or as a file beside it."""
    inside = select(SegmentRow.id).where(
        SegmentRow.content_id == content_id, SegmentRow.modality == "text", SegmentRow.source.is_(None)
    )
    near, words = aliased(ItemRow), aliased(Content)
    ends = [f".{suffix.decode()}" for suffix in sorted(group_key.SUBTITLES)]
    beside = (
        select(near.id)
        .join(ItemRow, and_(ItemRow.bundle == near.bundle, ItemRow.status == "present"))
        .join(words, words.id == near.content_id)
        .where(ItemRow.content_id == content_id, near.status == "present", words.modality == "text")
        .where(func.lower(func.substr(near.name, -4)).in_(ends))
    )
    return any(connection.execute(query.limit(1)).first() for query in (inside, beside))


def store_extractions(
    connection: Connection, extractor: ExtractorRecord, made: Sequence[NewExtraction], version: str
) -> None:
    """Keep what came of contents, in place of what was there of the same source; contents that are gone are left out.
    Their segments stay until they are cut anew."""
    ids = content_ids(connection, [one.sha256 for one in made])
    known = [(ids[one.sha256], one) for one in made if one.sha256 in ids]
    for part in chunks([content_id for content_id, _ in known]):
        held = ExtractionRow.content_id.in_(part), ExtractionRow.source == extractor.source
        connection.execute(delete(ExtractionRow).where(*held))
    for content_id, one in known:
        connection.execute(
            insert(ExtractionRow).values(
                content_id=content_id, source=extractor.source, extractor=extractor.name,
                fingerprint=extractor.fingerprint, state=one.state, reason=one.reason, version=version,
            )
        )  # fmt: skip
    lines = [
        {
            "content_id": content_id, "source": extractor.source, "ordinal": ordinal, "start": line.start,
            "end": line.end, "page": line.page, "box": boxes.write_box(line.box), "text": line.text,
            "scores": dict(line.scores), "language": line.language,
        }
        for content_id, one in known
        for ordinal, line in enumerate(one.lines)
    ]  # fmt: skip
    if lines:
        connection.execute(insert(ExtractionLine), lines)


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


def lines_of(connection: Connection, content_id: int, source: str) -> tuple[Line, ...]:
    """The lines of a content, as the model gave them; none if it was not looked at."""
    row = ExtractionLine
    query = (
        select(row.text, row.start, row.end, row.page, row.box, row.scores, row.language)
        .where(row.content_id == content_id, row.source == source)
        .order_by(row.ordinal)
    )
    rows: Any = connection.execute(query)
    return tuple(
        Line(text, start, end, page, boxes.read_box(box), scores, language)
        for text, start, end, page, box, scores, language in rows
    )


def store_cuts(connection: Connection, space: SpaceRecord, cuts: Sequence[NewCut], cut: str) -> None:
    """Write the segments of extractions, in place of those that were there, and their vectors in a space.

    What is gone meanwhile is left out, and segments that another space of the same layout cut in this way are shared.
    """
    layout = space.layout
    storage = {row.id: row.storage for row in connection.execute(select(SpaceRow.id, SpaceRow.storage))}
    if space.id not in storage:
        return
    cuts = [one for one in cuts if _is_wanted(connection, space, one, cut)]
    next_segment = last_id(connection, "segments") + 1
    rows: list[dict[str, object]] = []
    vectors: list[dict[str, object]] = []
    for one in cuts:
        ids = _shared(connection, layout, one)
        if ids is None:
            ids = list(range(next_segment, next_segment + len(one.spans)))
            next_segment += len(ids)
            for ordinal, (segment, span) in enumerate(zip(ids, one.spans, strict=True)):
                rows.append(segment_row((segment, one.content_id, layout, ordinal), "text", span))
        for into, made in {space.id: one.vectors, **one.derived}.items():
            stored = blobs.encode(made, storage[into])
            vectors.extend(
                {"space_id": into, "segment_id": segment, "vector": blob}
                for segment, blob in zip(ids, stored, strict=True)
            )
    insert_rows(connection, SegmentRow, rows)
    insert_rows(connection, Embedding, vectors)
    _note_cuts(connection, space, cuts, cut)


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


def forget_extractions(connection: Connection, source: str) -> tuple[int, int]:
    """Forget the lines of a source, and all segments that were cut from them. Returns (contents, segments)."""
    contents = connection.execute(select(func.count()).where(ExtractionRow.source == source)).scalar_one()
    segments = list(connection.execute(select(SegmentRow.id).where(SegmentRow.source == source)).scalars())
    if not contents and not segments:
        return 0, 0
    generation = next_generation(connection)
    for part in chunks(segments):
        held = select(SegmentRow.content_id).where(SegmentRow.id.in_(part)).distinct()
        mark_changed(connection, connection.execute(held).scalars().all(), generation)
    bury_segments(connection, segments)
    connection.execute(delete(ExtractionRow).where(ExtractionRow.source == source))
    mark_traces(connection)
    _forget_empty_lists(connection)
    return contents, len(segments)


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


def extraction_counts(connection: Connection) -> list[ExtractionCounts]:
    """What each extractor left, by source."""
    row = ExtractionRow
    states: dict[tuple[str, str], dict[str, int]] = {}
    for source, name, state, n in connection.execute(
        select(row.source, row.extractor, row.state, func.count()).group_by(row.source, row.extractor, row.state)
    ):
        states.setdefault((source, name), {})[state] = n
    here = SegmentRow.layout == (space.layout if (space := active_space(connection)) is not None else "")
    cut = {
        (source, name): (contents, segments)
        for source, name, contents, segments in connection.execute(
            select(row.source, row.extractor, func.count(SegmentRow.content_id.distinct()), func.count())
            .join(SegmentRow, and_(SegmentRow.content_id == row.content_id, SegmentRow.source == row.source))
            .where(here)
            .group_by(row.source, row.extractor)
        )
    }
    return [
        ExtractionCounts(
            name, source, of.get("done", 0), *cut.get((source, name), (0, 0)), of.get("failed", 0), of.get("skipped", 0)
        )
        for (source, name), of in sorted(states.items())
    ]
