"""Filters as SQL: which segments of a list have a present item that matches, and which paths may be shown.

Everything a filter brings is a bound parameter. SQL knows three truth values, filters know two: negation is carried
down to the comparisons, where an absent column then counts as a match.
"""

import operator as operators
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    and_,
    case,
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
from sqlalchemy.sql.elements import ColumnClause, False_, Grouping, True_
from sqlalchemy.sql.visitors import iterate

from mmsearch.catalog import sidecars
from mmsearch.catalog.constructs import glob, larger, normal_text, place_of, text_of_bytes
from mmsearch.catalog.sources import SOURCE, holds_source
from mmsearch.catalog.tables import Content, ItemRow, Meta, Root, Tag
from mmsearch.core.filters.ast import META, TIMES, And, Comparison, Filter, MetaOperand, Not, Period
from mmsearch.core.normal_form import normal_form, normal_forms

Clause = ColumnElement[bool]

Expression = ColumnElement[Any] | InstrumentedAttribute[Any]

_TEXT: dict[str, Expression] = {
    "name": ItemRow.name, "modality": Content.modality, "camera": Content.camera, "title": Content.title,
}  # fmt: skip

_NUMBERS: dict[str, Expression] = {
    "duration": Content.duration, "width": Content.width, "height": Content.height,
    "latitude": Content.latitude, "longitude": Content.longitude, "size": ItemRow.size,
}  # fmt: skip

_NULLABLE: dict[str, Expression] = {
    **{name: column for name, column in _NUMBERS.items() if name != "size"},
    "camera": Content.camera, "title": Content.title, "taken": Content.taken,
}  # fmt: skip

_WILD = frozenset("*?[")

CHAIN = 16

KEPT_VERDICTS = 64
"""Filters of which it is kept whether they are about contents alone."""


def filter_clause(filter: Filter, modality: str | None = None, *, few: bool = False) -> Clause:
    """The condition over `ItemRow` joined to its `Content`; never NULL where it counts.

    Args:
        modality: Of every item the condition will meet, if that is known: what it decides is then decided here.
        few: Whether it will only meet a few rows, which then had better ask one by one than all tags be gathered.
    """
    clause = _clause(filter, True, _Scope(modality, few))
    return row_by_row(clause) if few else clause


@lru_cache(KEPT_VERDICTS)
def is_of_contents(filter: Filter, modality: str | None = None) -> bool:
    """Whether it is about what files hold alone: then all items of a content match, or none."""
    return not names_items(filter_clause(filter, modality, few=True))


def names_items(clause: Clause) -> bool:
    """Whether a condition asks anything of an item, which its content does not say."""
    columns = (one for one in iterate(clause) if isinstance(one, ColumnClause))
    return any(getattr(column.table, "name", "") == ItemRow.__tablename__ for column in columns)


def row_by_row(clause: Clause) -> Clause:
    """A condition on rows that are found otherwise. By itself SQLite may begin with it where an index fits, and walk
    through all items of a kind or of a root to find a hundred that are known by their ids. A constant stays one."""
    return clause if isinstance(clause, True_ | False_) else case((clause, 1), else_=0) == 1


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is known of the rows that a condition will meet."""

    modality: str | None
    few: bool


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
    if asked.column == SOURCE:
        return holds_source(asked) if wanted else not_(holds_source(asked))
    if asked.operator == "missing":
        return _missing(asked.column, wanted)
    if column is not None and asked.column in sidecars.COLUMNS:
        found = sidecars.completed(column, lambda known: _told(asked, known), scope.few)
        return found if wanted else not_(found)
    if asked.column == "modality" and scope.modality is not None and asked.operator in ("=", "!=", "in"):
        filter = asked.value if isinstance(asked.value, tuple) else (asked.value,)
        return true() if ((scope.modality in filter) == (asked.operator != "!=")) == wanted else false()
    clause = _comparison(asked, scope)
    if wanted:
        return clause
    return not_(clause) if column is None else or_(column.is_(None), not_(clause))


def _missing(name: str, wanted: bool) -> Clause:
    if name == "tag" or name.startswith(META):
        known = _tagged(true(), few=True) if name == "tag" else _held(name, true(), few=True)
        return not_(known) if wanted else known
    column = _NULLABLE.get(name)
    if column is None:
        return false() if wanted else true()
    if name in sidecars.COLUMNS:
        return sidecars.missing(column) if wanted else not_(sidecars.missing(column))
    return column.is_(None) if wanted else column.is_not(None)


def _comparison(asked: Comparison, scope: _Scope) -> Clause:
    """True where it holds; False or NULL where it does not."""
    values = asked.value if isinstance(asked.value, tuple) else (asked.value,)
    if asked.column.startswith(META):
        return _held(asked.column, _meta(asked.operator, [v for v in values if isinstance(v, MetaOperand)]), scope.few)
    if asked.column == "modified":
        column = ItemRow.mtime_ns
        return _any([_at(column, asked.operator, v, _nanoseconds) for v in values if isinstance(v, Period)])
    if asked.column in _NUMBERS:
        return _ordered(_NUMBERS[asked.column], asked.operator, values)
    words = [str(value) for value in values]
    if asked.column == "tag":
        return _tagged(_text(Tag.tag, asked.operator, words), scope.few)
    return _worded(asked.column, asked.operator, words)


def _told(asked: Comparison, column: Expression) -> Clause:
    """A condition on a column that a sidecar may fill, wherever it is read."""
    values = asked.value if isinstance(asked.value, tuple) else (asked.value,)
    if asked.column not in TIMES:
        return _ordered(column, asked.operator, values)
    return _any([_at(column, asked.operator, v, datetime.isoformat) for v in values if isinstance(v, Period)])


def _tagged(tag: Clause, few: bool) -> Clause:
    """Whether the content has such a tag, or a person gave one to a file of the item's file group."""
    near = aliased(ItemRow)
    given = (near.status == "present", Tag.confidence.is_(None), tag)
    if few:
        beside = exists().where(near.bundle == ItemRow.bundle, Tag.content_id == near.content_id, *given)
        return or_(exists().where(Tag.content_id == Content.id, tag), beside)
    bundles = select(near.bundle).join(Tag, Tag.content_id == near.content_id).where(*given)
    return or_(Content.id.in_(select(Tag.content_id).where(tag)), ItemRow.bundle.in_(bundles))


def _held(name: str, value: Clause, few: bool) -> Clause:
    """Whether the content has own metadata under the key of a column, with such a value."""
    key = _clean(name.removeprefix(META))
    row = (Meta.key == key, value)
    if few:
        held: Clause = exists().where(Meta.content_id == Content.id, *row)
    else:
        held = Content.id.in_(select(Meta.content_id).where(*row))
    return or_(held, sidecars.rated(value, few)) if key == sidecars.RATING else held


def _meta(operator: str, values: Sequence[MetaOperand]) -> Clause:
    """A condition on a row of own metadata, never NULL: each value is compared with what is of its kind."""
    if operator == "!=":
        return not_(_meta("=", values))
    number, moment = Meta.kind.in_(("whole", "number")), Meta.kind.in_(("date", "datetime"))
    periods = [value.period for value in values if value.period is not None]
    if operator in ("<", "<=", ">", ">="):
        numbers = [and_(number, _ORDER[operator](Meta.number, one.number)) for one in values if one.number is not None]
        return _any([*numbers, *(and_(moment, _at(Meta.text, operator, one, datetime.isoformat)) for one in periods)])
    texts = [value.text for value in values if value.text is not None]
    if operator in ("contains", "glob"):
        return and_(Meta.kind == "text", _text(Meta.text, operator, texts))
    return _any(
        [
            and_(Meta.kind == "text", _text(Meta.text, "in", texts)),
            and_(number, Meta.number.in_([value.number for value in values if value.number is not None])),
            and_(Meta.kind == "bool", Meta.text.in_([str(v.truth).lower() for v in values if v.truth is not None])),
            *(and_(moment, _at(Meta.text, "=", one, datetime.isoformat)) for one in periods),
        ]
    )


_ORDER: dict[str, Callable[[Any, Any], Clause]] = {
    "=": operators.eq, "!=": operators.ne, "<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge,
}  # fmt: skip


def _ordered(column: Expression, operator: str, values: Sequence[object]) -> Clause:
    return column.in_(values) if operator == "in" else _ORDER[operator](column, values[0])


def _at(column: Expression, operator: str, period: Period, written: Callable[[datetime], object]) -> Clause:
    """A moment, `written` so in a column, against a period: before it, in it, or after it."""
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
        path = text_of_bytes(Root.path)
        return ItemRow.root_id.in_(select(Root.id).where(_text(path, operator, values)))
    if name == "path":
        return _path(operator, values)
    if name == "folder":
        return _folder(operator, values)
    return _text(_TEXT[name], operator, values)


def _text(expression: Expression, operator: str, values: Sequence[str]) -> Clause:
    """A name is equal to itself in another form of Unicode."""
    if operator in ("=", "!=", "in"):
        forms = [_clean(form) for value in values for form in normal_forms(value)]
        return expression.not_in(forms) if operator == "!=" else expression.in_(forms)
    clean, normal = normal_form(_clean(values[0])), normal_text(expression)
    return glob(normal, clean) if operator == "glob" else place_of(normal, clean) > 0


def _clean(value: str) -> str:
    """As `items.display` is written: what is no text becomes a question mark."""
    return value.encode("utf-8", "replace").decode("utf-8")


def _path(operator: str, values: Sequence[str]) -> Clause:
    """Equality goes by bytes, of each form of Unicode; patterns by the path as text."""
    if operator in ("=", "!=", "in"):
        paths = [_bytes(form) for value in values for form in normal_forms(value)]
        return ItemRow.path.not_in(paths) if operator == "!=" else ItemRow.path.in_(paths)
    clause = _text(ItemRow.display, operator, values)
    return and_(_below(_literal_start(values[0])), clause) if operator == "glob" else clause


def _below(prefix: str) -> Clause:
    """Paths that begin with these characters: a range of the index over `items.path`."""
    start = _bytes(prefix)
    if not start:
        return true()
    # The first that comes after all of them; a name may hold the byte 255, which has no successor.
    last = start.rstrip(b"\xff")
    stop = last[:-1] + bytes([last[-1] + 1]) if last else None
    return ItemRow.path >= start if stop is None else and_(ItemRow.path >= start, ItemRow.path < stop)


def _literal_start(pattern: str) -> str:
    """What every match begins with, byte by byte: no further than names are the same in every form of Unicode."""
    text = normal_form(pattern)
    ends = [place for place, character in enumerate(text) if character in _WILD or not character.isascii()]
    return text[: ends[0]] if ends else text


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape" if os.name != "nt" else "surrogatepass")


def _folder(operator: str, values: Sequence[str]) -> Clause:
    if operator in ("=", "in"):
        return _any([_directly_in(form) for value in values for form in normal_forms(value)])
    if operator == "!=":
        return not_(_folder("=", values))
    near = _below(_literal_start(values[0])) if operator == "glob" else true()
    return and_(near, _text(_FOLDER, operator, values))


def _directly_in(folder: str) -> Clause:
    prefix = folder if folder.endswith(os.sep) else folder + os.sep
    rest = func.substr(ItemRow.path, len(_bytes(prefix)) + 1)
    return and_(_below(prefix), place_of(rest, literal(_bytes(os.sep), LargeBinary)) == 0)


_FOLDER: ColumnElement[str] = func.substr(
    ItemRow.display, 1, larger(func.length(ItemRow.display) - func.length(ItemRow.name) - len(os.sep), 1)
)
