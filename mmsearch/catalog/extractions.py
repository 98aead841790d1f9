"""Extractions: the lines of text that extractors made of contents, and the segments that are cut from them.

A content has the lines of one extractor for what is said in it, and of one for what is written. Lines are kept as the
model gave them; a space has segments of them once it has a row of `extraction_cuts`. So other gates or cuts, or another
model of vectors, cost no second look at a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, not_, or_, select
from sqlalchemy.orm import aliased

from mmsearch.catalog import boxes, group_key, layouts
from mmsearch.catalog.contents import FINDABLE, content_ids
from mmsearch.catalog.paths import at_or_below
from mmsearch.catalog.records import MissingEmbeddings
from mmsearch.catalog.spaces import active_space
from mmsearch.catalog.statements import chunks, json_numbers, number_list
from mmsearch.catalog.tables import (
    Content,
    ExtractionLine,
    ExtractionRow,
    ItemRow,
    SegmentRow,
)
from mmsearch.types import Modality, TextLine


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
    lines: Sequence[TextLine] = ()
    reason: str | None = None


class ExtractionTotals(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class ExtractionScope:
    """Which contents a run looks at."""

    extractor: ExtractorRecord
    version: str
    """Of this release: what failed in another is looked at again."""
    retry: bool = False
    """Whether to look again at what failed in this one."""
    within: bytes | None = None
    """Only what has an item at or below this path."""


def _pending(wanted: ExtractionScope) -> ColumnElement[bool]:
    kinds = Content.modality.in_(wanted.extractor.modalities)
    if wanted.within is None:
        here: ColumnElement[bool] = FINDABLE
    else:
        placed = exists().where(ItemRow.content_id == Content.id, ItemRow.status == "present")
        here = placed.where(at_or_below(ItemRow.path, wanted.within))
    return and_(kinds, here, not_(_of(wanted.extractor, wanted.retry, wanted.version)))


def pending_contents(
    connection: Connection, wanted: ExtractionScope, after: int, limit: int
) -> list[MissingEmbeddings]:
    """The next findable contents beyond an id that an extractor has not looked at, by id."""
    query = select(Content.id, Content.sha256).where(Content.id > after, _pending(wanted))
    found = connection.execute(query.order_by(Content.id).limit(limit)).all()
    files: dict[int, list[tuple[bytes, int, int]]] = {}
    for part in chunks([content_id for content_id, _ in found]):
        paths = select(ItemRow.content_id, ItemRow.path, ItemRow.size, ItemRow.mtime_ns).order_by(ItemRow.path)
        present = paths.where(ItemRow.content_id.in_(part), ItemRow.status == "present")
        for content_id, path, size, mtime_ns in connection.execute(present):
            files.setdefault(content_id, []).append((path, size, mtime_ns))
    return [MissingEmbeddings(content_id, sha256, tuple(files[content_id])) for content_id, sha256 in found]


def pending_amounts(connection: Connection, wanted: ExtractionScope) -> dict[Modality, tuple[int, float]]:
    """Item modality -> how many contents an extractor has not looked at, and their seconds of sound or video."""
    query = (
        select(Content.modality, func.count(), func.coalesce(func.sum(Content.duration), 0.0))
        .where(_pending(wanted))
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


def spoken_lines(connection: Connection, path: bytes) -> tuple[TextLine, ...]:
    """What is said in the item at a path, as subtitles in it or beside it say, or as an extractor heard; in order."""
    row, near = SegmentRow, aliased(ItemRow)
    columns = select(row.text, row.start, row.end).where(
        row.modality == "text", row.source.is_(None), row.start.is_not(None), row.layout == layouts.active_layout()
    )
    inside = columns.join(ItemRow, ItemRow.content_id == row.content_id).where(ItemRow.path == path)
    ends = [f".{suffix.decode()}" for suffix in sorted(group_key.SUBTITLES)]
    beside = (
        columns.join(near, near.content_id == row.content_id)
        .join(ItemRow, and_(ItemRow.bundle == near.bundle, ItemRow.path == path))
        .where(near.status == "present", func.lower(func.substr(near.name, -4)).in_(ends))
    )
    for query in (inside, beside):
        found: Any = connection.execute(query.order_by(row.start, row.id)).all()
        if found:
            return tuple(TextLine(text or "", start, end) for text, start, end in found)
    content = connection.execute(select(ItemRow.content_id).where(ItemRow.path == path)).scalar()
    return () if content is None else lines_of(connection, content, "said")


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


def lines_of(connection: Connection, content_id: int, source: str) -> tuple[TextLine, ...]:
    """The lines of a content, as the model gave them; none if it was not looked at."""
    row = ExtractionLine
    query = (
        select(row.text, row.start, row.end, row.page, row.box, row.scores, row.language)
        .where(row.content_id == content_id, row.source == source)
        .order_by(row.ordinal)
    )
    rows: Any = connection.execute(query)
    return tuple(
        TextLine(text, start, end, page, boxes.read_box(box), scores, language)
        for text, start, end, page, box, scores, language in rows
    )


def lines_of_items(connection: Connection, item_ids: Sequence[int], source: str) -> dict[int, tuple[TextLine, ...]]:
    """Item id -> text, times and language of the lines of its content, in order, of those that have some."""
    row = ExtractionLine
    query = (
        select(ItemRow.id, row.text, row.start, row.end, row.language)
        .join(ItemRow, ItemRow.content_id == row.content_id)
        .where(ItemRow.id.in_(number_list("ids")), row.source == source)
        .order_by(ItemRow.id, row.ordinal)
    )
    found: dict[int, list[TextLine]] = {}
    for item_id, text, start, end, language in connection.execute(query, {"ids": json_numbers(item_ids)}):
        found.setdefault(item_id, []).append(TextLine(text, start, end, language=language))
    return {item_id: tuple(lines) for item_id, lines in found.items()}


def extraction_counts(connection: Connection) -> list[ExtractionTotals]:
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
        ExtractionTotals(
            name, source, of.get("done", 0), *cut.get((source, name), (0, 0)), of.get("failed", 0), of.get("skipped", 0)
        )
        for (source, name), of in sorted(states.items())
    ]
