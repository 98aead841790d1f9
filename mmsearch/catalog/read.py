"""Reading the catalog: known paths in order, an index's changes, segments resolved to paths, sizes."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, Text, and_, bindparam, func, or_, select, type_coerce
from sqlalchemy.orm import InstrumentedAttribute

from mmsearch.catalog import blobs
from mmsearch.catalog.records import (
    Change,
    Counts,
    HitDetails,
    KnownFailure,
    KnownItem,
    ListKey,
    ResolvedSegment,
    RunRecord,
)
from mmsearch.catalog.select import filter_clause as matches
from mmsearch.catalog.statements import Statement, json_numbers, number_list
from mmsearch.catalog.tables import (
    Commit,
    Content,
    Embedding,
    FailureRow,
    Item,
    LibraryRow,
    ListRow,
    Root,
    Run,
    SegmentRow,
    SpaceRow,
    Tombstone,
    UnsupportedRow,
)
from mmsearch.catalog.vectors import VECTORS
from mmsearch.errors import FAILURES, CatalogDamaged, InvalidInput, NotEmbedded
from mmsearch.filters.ast import Filter
from mmsearch.types import Ids, Span, Vectors

Placed = TypeVar("Placed", KnownItem, ResolvedSegment, KnownFailure)

ROWS = 8192
"""Vectors handed over at once: memory for one chunk, however large the index."""

SEPARATOR = os.fsencode(os.sep)


def generation(connection: Connection) -> tuple[int, int]:
    """(generation, floor)."""
    found, floor = _GENERATION.rows(connection)[0]
    return found, floor


def current_commit(connection: Connection) -> tuple[int, int, int]:
    """(generation, floor, mark): the last commit as a whole."""
    found, floor, mark = _MOMENT.rows(connection)[0]
    return found, floor, mark or 0


def commit_id(connection: Connection, generation: int) -> int:
    """The mark of the commit that made a generation; 0 if this catalog never had it."""
    return int(connection.execute(_MARK, {"generation": generation}).scalar() or 0)


_GENERATION = Statement(select(LibraryRow.generation, LibraryRow.floor))
_MOMENT = Statement(
    select(LibraryRow.generation, LibraryRow.floor, Commit.mark).outerjoin(
        Commit, Commit.generation == LibraryRow.generation
    )
)
_MARK = select(Commit.mark).where(Commit.generation == bindparam("generation"))
_LISTS = Statement(
    select(ListRow.item, ListRow.segment)
    .join(SpaceRow, SpaceRow.id == ListRow.space_id)
    .where(SpaceRow.name == bindparam("space"))
)
_PLACED: Any = (
    select(SegmentRow.id, Item.content_id, Item.id, Item.path)
    .join(Item, and_(Item.content_id == SegmentRow.content_id, Item.status == "present"))
    .where(SegmentRow.id.in_(number_list("ids")))
)
_RESOLVED: Any = _PLACED.join(Content, Content.id == Item.content_id).add_columns(Content.modality, SegmentRow.modality)
_PLACED_ALL, _RESOLVED_ALL = Statement(_PLACED), Statement(_RESOLVED)
_FACTS = Statement(
    select(Item.id, type_coerce(Content.meta, Text))
    .join(Content, Content.id == Item.content_id)
    .where(Item.id.in_(number_list("ids")))
)
_SPANS = Statement(
    select(
        SegmentRow.id, SegmentRow.start, SegmentRow.end, SegmentRow.page, SegmentRow.char_start, SegmentRow.char_end,
        SegmentRow.text,
    ).where(SegmentRow.id.in_(number_list("ids")))
)  # fmt: skip


def below(root: bytes, after: bytes | None = None) -> dict[str, bytes]:
    """The open interval of paths, "after" and "stop", that lie below `root`, or of those of them beyond `after`."""
    prefix = root if root.endswith(SEPARATOR) else root + SEPARATOR
    return {"after": prefix if after is None else max(after, prefix), "stop": prefix[:-1] + bytes([prefix[-1] + 1])}


def at_or_below(column: InstrumentedAttribute[bytes], root: bytes) -> ColumnElement[bool]:
    """Whether a path is `root` or lies below it."""
    bounds = below(root)
    return or_(column == root, and_(column > bounds["after"], column < bounds["stop"]))


def items_under(connection: Connection, root: bytes, after: bytes | None, limit: int) -> list[KnownItem]:
    """The next `limit` known items at or below a path, in byte order of their paths."""
    first = [] if after is not None else _ITEM_AT.rows(connection, root=root)
    rows = _ITEMS_BELOW.rows(connection, **below(root, after), limit=limit - len(first))
    return _placed([KnownItem._make(row) for row in (*first, *rows)])


def items_of(connection: Connection, sha256: str) -> list[KnownItem]:
    """Every item that holds a content; empty for an unknown one or one that no path holds now."""
    return _placed([KnownItem._make(row) for row in _ITEMS_OF.rows(connection, sha256=sha256)])


def missing(connection: Connection, after: int, limit: int) -> list[KnownItem]:
    """The next `limit` items beyond an id whose file is missing, by id."""
    query = _KNOWN.where(Item.status == "missing", Item.id > after).order_by(Item.id).limit(limit)
    return _placed([KnownItem._make(row) for row in connection.execute(query)])


def orphans(connection: Connection, after: int, limit: int) -> list[int]:
    """The next `limit` contents beyond an id that no path holds, by id."""
    held = select(Item.id).where(Item.content_id == Content.id).exists()
    query = select(Content.id).where(Content.id > after, ~held).order_by(Content.id).limit(limit)
    return list(connection.execute(query).scalars())


def sha256_of(connection: Connection, content_id: int) -> str:
    return str(connection.execute(_SHA256_OF, {"id": content_id}).scalar_one())


def holds(connection: Connection, sha256: str, space_id: int) -> bool:
    """Whether a content is in the catalog with its vectors in the space, or is known to have none there."""
    return any(query.rows(connection, sha256=sha256, space=space_id) for query in (_HOLDS, _REFUSES))


# Statements that every file of a scan asks, or every page of known ones. The root itself is asked for apart from what
# lies below it: with an OR between them SQLite would read and sort everything below for every page.
_KNOWN: Any = select(Item.id, Item.path, Item.size, Item.mtime_ns, Item.status, Item.content_id)
_ITEMS = _KNOWN.order_by(Item.path)
_ITEM_AT = Statement(_ITEMS.where(Item.path == bindparam("root")))
_ITEMS_BELOW = Statement(
    _ITEMS.where(Item.path > bindparam("after"), Item.path < bindparam("stop")).limit(bindparam("limit"))
)
_ITEMS_OF = Statement(_ITEMS.join(Content).where(Content.sha256 == bindparam("sha256")))
_SHA256_OF = select(Content.sha256).where(Content.id == bindparam("id"))
_HOLDS = Statement(
    select(Embedding.segment_id)
    .join(SegmentRow, SegmentRow.id == Embedding.segment_id)
    .join(Content, Content.id == SegmentRow.content_id)
    .where(Content.sha256 == bindparam("sha256"), Embedding.space_id == bindparam("space"))
    .limit(1)
)
_REFUSES = Statement(
    select(UnsupportedRow.content_id)
    .join(Content, Content.id == UnsupportedRow.content_id)
    .where(Content.sha256 == bindparam("sha256"), UnsupportedRow.space_id == bindparam("space"))
)


def failures_under(connection: Connection, root: bytes, after: bytes | None, limit: int) -> list[KnownFailure]:
    """The next `limit` rows of the ledger at or below a path, in byte order of their paths."""
    at = select(FailureRow.path).where(FailureRow.path == root)
    first = [] if after is not None else _failures(connection, at)
    bounds = below(root, after)
    rest = select(FailureRow.path).where(FailureRow.path > bounds["after"], FailureRow.path < bounds["stop"])
    return first + _failures(connection, rest.order_by(FailureRow.path).limit(limit - len(first)))


def failures(connection: Connection) -> list[KnownFailure]:
    """The whole ledger, by path."""
    return _failures(connection, select(FailureRow.path).order_by(FailureRow.path))


def failed(connection: Connection, kind: str | None = None) -> list[KnownFailure]:
    """Of the ledger one class, or all but the files that the space merely has no encoder for; by path.

    Raises: InvalidInput if there is no such class.
    """
    if kind is not None and kind not in FAILURES:
        raise InvalidInput(f"{kind!r} is no class of failures", hint=f"one of {', '.join(FAILURES)}")
    wanted = FailureRow.failure != NotEmbedded.failure if kind is None else FailureRow.failure == kind
    return _failures(connection, select(FailureRow.path).order_by(FailureRow.path).where(wanted))


def _failures(connection: Connection, query: Select[bytes]) -> list[KnownFailure]:
    row = FailureRow
    columns = query.join(Root, Root.id == row.root_id).with_only_columns(
        row.path, row.size, row.mtime_ns, row.failure, row.reason, row.attempts, row.version, Root.path.label("root"),
        maintain_column_froms=True,
    )  # fmt: skip
    rows: Any = connection.execute(columns)  # mypy counts the columns of a wide select wrongly
    return _placed([KnownFailure(*found) for found in rows])


def _placed(rows: list[Placed]) -> list[Placed]:
    """The rows, each with a path of bytes. Raises: CatalogDamaged: SQLite keeps any type in any column."""
    if all(type(row.path) is bytes for row in rows):
        return rows
    raise CatalogDamaged("the catalog holds a path that was never written so", hint=blobs.MEND)


def list_keys(connection: Connection, space: str) -> list[ListKey]:
    """Every list that has vectors in the space."""
    return sorted(ListKey(space, item, segment) for item, segment in _LISTS.rows(connection, space=space))


def changes(connection: Connection, key: ListKey, dim: int, since: int) -> Iterator[Change]:
    """What happened to a list after a generation, in chunks. `since` < 0 gives the whole list, nothing gone."""
    if since < 0:
        yield from _whole(connection, key, dim)
        return
    buried = select(Tombstone.segment_id).where(Tombstone.generation > since)
    for rows in connection.execute(buried).scalars().partitions(ROWS):
        yield Change(np.empty(0, np.int64), np.empty((0, dim), np.float32), np.array(rows, np.int64))
    space = connection.execute(select(SpaceRow.id).where(SpaceRow.name == key.space)).scalar()
    for ids, gone in _changed(connection, key, since):
        for start in range(0, max(len(ids), 1), ROWS):
            found = VECTORS.rows(connection, space=space, ids=json_numbers(ids[start : start + ROWS]))
            yield Change(*_whole_rows(found, dim), np.array(gone if start == 0 else (), np.int64))


def _changed(connection: Connection, key: ListKey, since: int) -> Iterator[tuple[list[int], list[int]]]:
    """Segments of a list that changed after a generation, a page of contents at a time: findable ones, and others."""
    # By the index of changes, and from there by ids: left to choose, SQLite goes through the whole list.
    contents = [content for content, kind in _CHANGED.rows(connection, since=since) if kind == key.item]
    for start in range(0, len(contents), ROWS):
        page = json_numbers(contents[start : start + ROWS])
        found = _SEGMENTS.rows(connection, contents=page, modality=key.segment)
        yield [segment for segment, live in found if live], [segment for segment, live in found if not live]


_LIVE = select(Item.id).where(Item.content_id == Content.id, Item.status == "present").exists()
_CHANGED = Statement(select(Content.id, Content.modality).where(Content.changed > bindparam("since")))
_SEGMENTS = Statement(
    select(SegmentRow.id, _LIVE)
    .join(Content, Content.id == SegmentRow.content_id)
    .where(SegmentRow.content_id.in_(number_list("contents")), SegmentRow.modality == bindparam("modality"))
)


def _whole(connection: Connection, key: ListKey, dim: int) -> Iterator[Change]:
    query = (
        select(SegmentRow.id, Embedding.vector)
        .join(Content, Content.id == SegmentRow.content_id)
        .join(Embedding, Embedding.segment_id == SegmentRow.id)
        .join(SpaceRow, SpaceRow.id == Embedding.space_id)
        .where(Content.modality == key.item, SegmentRow.modality == key.segment, _LIVE, SpaceRow.name == key.space)
    )
    for found in connection.execute(query.execution_options(yield_per=ROWS)).partitions(ROWS):
        yield Change(*_whole_rows(found, dim), np.empty(0, np.int64))


def _whole_rows(rows: Sequence[Any], dim: int) -> tuple[Ids, Vectors]:
    """Of rows of a segment's id and its vector's BLOB: int64 (n,) and float32 (n, dim)."""
    vectors = blobs.whole([row[1] for row in rows], dim) if len(rows) else np.empty((0, dim), np.float32)
    return np.array([row[0] for row in rows], np.int64), vectors


def resolve_segments(connection: Connection, segment_ids: Ids, filter: Filter | None = None) -> list[ResolvedSegment]:
    """Every (segment, present path) pair of these segments, in no particular order; `where` keeps matching paths."""
    ids = json_numbers(segment_ids.tolist())
    if filter is None:
        return _placed([ResolvedSegment._make(row) for row in _RESOLVED_ALL.rows(connection, ids=ids)])
    rows = connection.execute(_RESOLVED.where(matches(filter, few=True)), {"ids": ids})
    return _placed([ResolvedSegment._make(row) for row in rows])


def placed_segments(connection: Connection, key: ListKey, segment_ids: Ids) -> list[ResolvedSegment]:
    """As `resolve`, of segments that are all in one list, which spares looking at their contents."""
    rows = _PLACED_ALL.rows(connection, ids=json_numbers(segment_ids.tolist()))
    return _placed([ResolvedSegment._make((*row, key.item, key.segment)) for row in rows])


def hit_details(connection: Connection, item_ids: Iterable[int], segment_ids: Iterable[int]) -> HitDetails:
    """Facts of items and places of segments; unknown ones are left out."""
    facts = _FACTS.rows(connection, ids=json_numbers(item_ids))
    spans = _SPANS.rows(connection, ids=json_numbers(segment_ids))
    return HitDetails({item: json.loads(told) for item, told in facts}, {row[0]: _span(row[1:]) for row in spans})


def _span(row: tuple[Any, ...]) -> Span:
    """Raises: CatalogDamaged: SQLite keeps any type in any column."""
    whole = all(value is None or type(value) is kind for value, kind in zip(row[2:], _SPAN_TYPES, strict=True))
    if whole and all(value is None or type(value) in (float, int) for value in row[:2]):
        return Span(*row)
    raise CatalogDamaged("the catalog holds a place that was never written so", hint=blobs.MEND)


_SPAN_TYPES = (int, int, int, str)
"""Page, two offsets, text."""


def counts(connection: Connection, space: str) -> list[Counts]:
    """Items, segments and vectors of each item modality."""
    items = {
        (modality, status): n
        for modality, status, n in connection.execute(
            select(Content.modality, Item.status, func.count())
            .select_from(Content)
            .join(Item, Item.content_id == Content.id)
            .group_by(Content.modality, Item.status)
        )
    }
    sized = (
        select(Content.modality, func.count(SegmentRow.id), func.count(Embedding.segment_id))
        .select_from(Content)
        .outerjoin(SpaceRow, SpaceRow.name == space)
        .outerjoin(SegmentRow, and_(SegmentRow.content_id == Content.id, SegmentRow.layout == SpaceRow.layout))
        .outerjoin(Embedding, and_(Embedding.segment_id == SegmentRow.id, Embedding.space_id == SpaceRow.id))
        .group_by(Content.modality)
    )
    return [
        Counts(m, items.get((m, "present"), 0), items.get((m, "missing"), 0), segments, vectors)
        for m, segments, vectors in connection.execute(sized.order_by(Content.modality))
    ]


def failure_counts(connection: Connection) -> dict[str, int]:
    query = select(FailureRow.failure, func.count()).group_by(FailureRow.failure).order_by(FailureRow.failure)
    return {failure: n for failure, n in connection.execute(query)}


def last_run(connection: Connection) -> RunRecord | None:
    row = connection.execute(select(Run).with_only_columns(*Run.__table__.c).order_by(Run.id.desc()).limit(1)).first()
    if row is None:
        return None
    finished = row.finished_at.isoformat() if row.finished_at else None
    return RunRecord(row.id, row.started_at.isoformat(), finished, row.state, row.pid, row.report)
