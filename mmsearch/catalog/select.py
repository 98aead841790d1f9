"""Filters as SQL: which segments of a list have a present item that matches, and which paths may be shown.

Everything a filter brings is a bound parameter. SQL knows three truth values, filters know two: negation is carried
down to the comparisons, where an absent column then counts as a match.
"""

import operator as operators
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    String,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased
from sqlalchemy.sql.elements import False_, Grouping, True_

from mmsearch.catalog import layouts
from mmsearch.catalog.database import driver
from mmsearch.catalog.records import ListKey
from mmsearch.catalog.tables import Content, Item, Root, SegmentRow, SpaceRow, Tag
from mmsearch.catalog.write import chunks
from mmsearch.filters.ast import TIMES, And, Comparison, Filter, Not, Period
from mmsearch.types import Ids

Clause = ColumnElement[bool]
Expression = ColumnElement[Any] | InstrumentedAttribute[Any]

_TEXT: dict[str, Expression] = {
    "name": Item.name, "modality": Content.modality, "camera": Content.camera, "title": Content.title,
}  # fmt: skip
_NUMBERS: dict[str, Expression] = {
    "duration": Content.duration, "width": Content.width, "height": Content.height,
    "latitude": Content.latitude, "longitude": Content.longitude, "size": Item.size,
}  # fmt: skip
_NULLABLE: dict[str, Expression] = {
    **{name: column for name, column in _NUMBERS.items() if name != "size"},
    "camera": Content.camera, "title": Content.title, "taken": Content.taken,
}  # fmt: skip

_WILD = frozenset("*?[")

CHAIN = 16

KEPT_IDS = 2_000_000
"""Ids of selections that a connection keeps, 8 bytes each."""

SAMPLE = 128
"""Segments looked at to guess how much of a list matches."""


def filter_clause(filter: Filter, modality: str | None = None, *, few: bool = False) -> Clause:
    """The condition over `Item` joined to its `Content`; never NULL where it counts.

    Args:
        modality: Of every item the condition will meet, if that is known: what it decides is then decided here.
        few: Whether it will only meet a few rows, which then had better ask one by one than all tags be gathered.
    """
    clause = _clause(filter, True, _Scope(modality, few))
    return row_by_row(clause) if few else clause


def row_by_row(clause: Clause) -> Clause:
    """A condition on rows that are found otherwise. By itself SQLite may begin with it where an index fits, and walk
    through all items of a kind or of a root to find a hundred that are known by their ids. A constant stays one."""
    return clause if isinstance(clause, True_ | False_) else case((clause, 1), else_=0) == 1


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is known of the rows that a condition will meet."""

    modality: str | None
    few: bool


def selected(snapshot: Connection, filter: Filter, key: ListKey) -> Ids | None:
    """The segments of a list that have a present item that matches: int64 (n,), sorted, unique. None: all of them.

    An id may be among them that has no vector in the space; an index knows nothing of it and ignores it. Not to be
    changed: it is kept until somebody commits something, since a filter mostly stays while the query changes.
    """
    kept = _kept(snapshot)
    if (filter, key) not in kept:
        found = _selected(snapshot, filter, key)
        while kept and sum(map(_size, kept.values())) + _size(found) > KEPT_IDS:
            del kept[next(iter(kept))]
        kept[filter, key] = found
    return kept[filter, key]


def known(snapshot: Connection, filter: Filter, key: ListKey) -> bool:
    """Whether `selected` has the answer at hand."""
    return (filter, key) in _kept(snapshot)


def _kept(snapshot: Connection) -> dict[tuple[Filter, ListKey], Ids | None]:
    """What was selected in the same state of the catalog, oldest first, by the connection that looks at it."""
    # Whatever anybody else commits changes this number, and who reads commits nothing.
    version = driver(snapshot).execute("PRAGMA data_version").fetchone()[0]
    if snapshot.info.get("selected", (None,))[0] != version:
        snapshot.info["selected"] = version, {}
    kept: dict[tuple[Filter, ListKey], Ids | None] = snapshot.info["selected"][1]
    return kept


def _size(ids: Ids | None) -> int:
    return 1000 if ids is None else 1000 + len(ids)  # an entry by itself takes some room


def _selected(snapshot: Connection, filter: Filter, key: ListKey) -> Ids | None:
    clause = filter_clause(filter, key.item)
    if isinstance(clause, True_):
        return None
    if isinstance(clause, False_):
        return np.empty(0, np.int64)
    # First the contents, then their segments: a condition is not tried again for every segment of a long file.
    contents = _present(clause).where(Content.modality == key.item)
    query = select(SegmentRow.id).where(*_listed(key), SegmentRow.content_id.in_(contents))
    # The driver's own rows: SQLAlchemy's would cost a fifth of it all.
    rows: Any = snapshot.execute(query).cursor
    return np.sort(np.fromiter((row[0] for row in rows), np.int64))


def matching(snapshot: Connection, filter: Filter, key: ListKey, segment_ids: Ids) -> Ids:
    """Those of the given segments of a list that `selected` would hold: int64 (n,), sorted, unique."""
    clause = filter_clause(filter, key.item, few=True)
    if isinstance(clause, True_ | False_):
        return np.unique(segment_ids) if isinstance(clause, True_) else np.empty(0, np.int64)
    found: list[int] = []
    for part in chunks(segment_ids.tolist()):
        query = _present(clause).join(SegmentRow, SegmentRow.content_id == Content.id).where(SegmentRow.id.in_(part))
        found.extend(snapshot.execute(query.with_only_columns(SegmentRow.id)).scalars())
    return np.unique(np.array(found, np.int64))


def share(snapshot: Connection, filter: Filter, key: ListKey) -> float:
    """About what share of a list `selected` holds, in [0, 1], from segments evenly spread over the catalog."""
    last = snapshot.execute(select(func.max(SegmentRow.id))).scalar() or 0
    drawn = np.unique(np.linspace(1, last, SAMPLE, dtype=np.int64))
    in_list = (
        select(SegmentRow.id)
        .join(Content, Content.id == SegmentRow.content_id)
        .where(row_by_row(Content.modality == key.item), *_listed(key), SegmentRow.id.in_(drawn.tolist()))
    )
    listed = np.array(list(snapshot.execute(in_list).scalars()), np.int64)
    return len(matching(snapshot, filter, key, listed)) / max(len(listed), 1)


def _listed(key: ListKey) -> tuple[Clause, Clause]:
    """The segments of a list, among those of contents of its item modality."""
    return SegmentRow.modality == key.segment, SegmentRow.layout == layouts.layout_of_space(SpaceRow.name, key.space)


def _present(clause: Clause) -> Select[int]:
    """Contents that have a present item that matches, once for each."""
    return select(Content.id).join(Item, Item.content_id == Content.id).where(Item.status == "present", clause)


def _clause(part: Filter, wanted: bool, scope: _Scope) -> Clause:
    """`part`, or its opposite if not `wanted`."""
    if isinstance(part, Not):
        return _clause(part.part, not wanted, scope)
    if isinstance(part, Comparison):
        return _leaf(part, wanted, scope)
    clauses = [_clause(inner, wanted, scope) for inner in part.parts]
    # Not all is some not: De Morgan.
    return _all(clauses) if isinstance(part, And) == wanted else _any(clauses)


def _all(clauses: Sequence[Clause]) -> Clause:
    """In halves: a chain of AND is as deep as it is long, and SQLite takes no more than 1000 levels."""
    if len(clauses) <= CHAIN:
        return and_(true(), *clauses)
    half = len(clauses) // 2
    return and_(true(), *(_grouped(_all(part)) for part in (clauses[:half], clauses[half:])))


def _any(clauses: Sequence[Clause]) -> Clause:
    if len(clauses) <= CHAIN:
        return or_(false(), *clauses)
    half = len(clauses) // 2
    return or_(false(), *(_grouped(_any(part)) for part in (clauses[:half], clauses[half:])))


def _grouped(clause: Clause) -> Clause:
    """In parentheses, which keeps SQLAlchemy from making one chain of it again; a constant stays one."""
    return clause if isinstance(clause, True_ | False_) else Grouping(clause)


def _leaf(asked: Comparison, wanted: bool, scope: _Scope) -> Clause:
    column = _NULLABLE.get(asked.column)
    if asked.operator == "missing":
        return _missing(asked.column, wanted)
    if asked.column == "modality" and scope.modality is not None and asked.operator in ("=", "!=", "in"):
        filter = asked.value if isinstance(asked.value, tuple) else (asked.value,)
        return true() if ((scope.modality in filter) == (asked.operator != "!=")) == wanted else false()
    clause = _comparison(asked, scope)
    if wanted:
        return clause
    return not_(clause) if column is None else or_(column.is_(None), not_(clause))


def _missing(name: str, wanted: bool) -> Clause:
    if name == "tag":
        tagged = _tagged(true(), few=True)
        return not_(tagged) if wanted else tagged
    column = _NULLABLE.get(name)
    if column is None:
        return false() if wanted else true()
    return column.is_(None) if wanted else column.is_not(None)


def _comparison(asked: Comparison, scope: _Scope) -> Clause:
    """True where it holds; False or NULL where it does not."""
    values = asked.value if isinstance(asked.value, tuple) else (asked.value,)
    if asked.column in TIMES:
        return _any([_when(asked.column, asked.operator, v) for v in values if isinstance(v, Period)])
    if asked.column in _NUMBERS:
        return _ordered(_NUMBERS[asked.column], asked.operator, values)
    words = [str(value) for value in values]
    if asked.column == "tag":
        return _tagged(_text(Tag.tag, asked.operator, words), scope.few)
    return _worded(asked.column, asked.operator, words)


def _tagged(tag: Clause, few: bool) -> Clause:
    """Whether the content has such a tag, or a person gave one to a file of the item's bundle."""
    near = aliased(Item)
    given = (near.status == "present", Tag.confidence.is_(None), tag)
    if few:
        beside = exists().where(near.bundle == Item.bundle, Tag.content_id == near.content_id, *given)
        return or_(exists().where(Tag.content_id == Content.id, tag), beside)
    bundles = select(near.bundle).join(Tag, Tag.content_id == near.content_id).where(*given)
    return or_(Content.id.in_(select(Tag.content_id).where(tag)), Item.bundle.in_(bundles))


_ORDER: dict[str, Callable[[Any, Any], Clause]] = {
    "=": operators.eq, "!=": operators.ne, "<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge,
}  # fmt: skip


def _ordered(column: Expression, operator: str, values: Sequence[object]) -> Clause:
    return column.in_(values) if operator == "in" else _ORDER[operator](column, values[0])


def _when(name: str, operator: str, period: Period) -> Clause:
    """A moment against a period: before it, in it, or after it."""
    column: Expression = Content.taken if name == "taken" else Item.mtime_ns
    written: Callable[[datetime], object] = datetime.isoformat if name == "taken" else _nanoseconds
    start, end = written(period.start), written(period.end)
    return {
        "<": column < start, "<=": column < end, ">": column >= end, ">=": column >= start,
        "!=": or_(column < start, column >= end),
    }.get(operator, and_(column >= start, column < end))  # fmt: skip


def _nanoseconds(moment: datetime) -> int:
    """Local time of this computer as nanoseconds since 1970, kept within 64 bits."""
    try:
        nanoseconds = int(moment.timestamp()) * 10**9
    except (OverflowError, ValueError, OSError):  # years 1 and 9999 are no times for every zone and system
        nanoseconds = 2**63 if moment.year > 1970 else -(2**63)
    return max(-(2**63), min(2**63 - 1, nanoseconds))


def _worded(name: str, operator: str, values: Sequence[str]) -> Clause:
    if name == "root":
        path = cast(Root.path, String)
        return Item.root_id.in_(select(Root.id).where(_text(path, operator, values)))
    if name == "path":
        return _path(operator, values)
    if name == "folder":
        return _folder(operator, values)
    return _text(_TEXT[name], operator, values)


def _text(expression: Expression, operator: str, values: Sequence[str]) -> Clause:
    clean = [_clean(value) for value in values]
    if operator == "in":
        return expression.in_(clean)
    if operator == "glob":
        return expression.op("GLOB", is_comparison=True, return_type=true().type)(clean[0])
    if operator == "contains":
        return func.instr(expression, clean[0]) > 0
    return expression == clean[0] if operator == "=" else expression != clean[0]


def _clean(value: str) -> str:
    """As `items.display` is written: what is no text becomes a question mark."""
    return value.encode("utf-8", "replace").decode("utf-8")


def _path(operator: str, values: Sequence[str]) -> Clause:
    """Equality goes by bytes, patterns by the path as text."""
    if operator in ("=", "!=", "in"):
        paths = [_bytes(value) for value in values]
        return Item.path.not_in(paths) if operator == "!=" else Item.path.in_(paths)
    clause = _text(Item.display, operator, values)
    return and_(_below(_literal_start(values[0])), clause) if operator == "glob" else clause


def _below(prefix: str) -> Clause:
    """Paths that begin with these characters: a range of the index over `items.path`."""
    start = _bytes(prefix)
    if not start:
        return true()
    # The first that comes after all of them; a name may hold the byte 255, which has no successor.
    last = start.rstrip(b"\xff")
    stop = last[:-1] + bytes([last[-1] + 1]) if last else None
    return Item.path >= start if stop is None else and_(Item.path >= start, Item.path < stop)


def _literal_start(pattern: str) -> str:
    ends = [place for place, character in enumerate(pattern) if character in _WILD]
    return pattern[: ends[0]] if ends else pattern


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape" if os.name != "nt" else "surrogatepass")


def _folder(operator: str, values: Sequence[str]) -> Clause:
    if operator in ("=", "in"):
        return _any([_directly_in(value) for value in values])
    if operator == "!=":
        return not_(_directly_in(values[0]))
    near = _below(_literal_start(values[0])) if operator == "glob" else true()
    return and_(near, _text(_FOLDER, operator, values))


def _directly_in(folder: str) -> Clause:
    prefix = folder if folder.endswith(os.sep) else folder + os.sep
    rest = func.substr(Item.path, len(_bytes(prefix)) + 1)
    return and_(_below(prefix), func.instr(rest, literal(_bytes(os.sep), LargeBinary)) == 0)


_FOLDER: ColumnElement[str] = func.substr(
    Item.display, 1, func.max(func.length(Item.display) - func.length(Item.name) - len(os.sep), 1)
)
