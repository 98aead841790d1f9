"""What a filter is: a closed tree over declared columns. `filters.parser` reads one, `catalog.select` applies it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from mmsearch.errors import InvalidInput

Column: TypeAlias = Literal[
    "path", "name", "folder", "root", "modality", "camera", "title", "tag",
    "taken", "modified",
    "size", "duration", "width", "height", "latitude", "longitude",
]  # fmt: skip
"""What a filter may ask about an item; see `mmsearch.filters.parser` for what each holds."""

Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">=", "in", "contains", "glob", "missing"]


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of local time, [start, end), both without a zone: what a date such as 2024-05 stands for."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if not (isinstance(self.start, datetime) and isinstance(self.end, datetime)):
            raise InvalidInput("a period is two times (`datetime.datetime`)")
        if self.start.tzinfo or self.end.tzinfo or self.start >= self.end:
            raise InvalidInput("a period is two local times without a zone, the first before the second")


TEXTS = frozenset({"path", "name", "folder", "root", "modality", "camera", "title", "tag"})
TIMES = frozenset({"taken", "modified"})
NUMBERS = frozenset({"size", "duration", "width", "height", "latitude", "longitude"})

_ORDER: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=", "in", "missing")
_WORDS: tuple[Operator, ...] = ("=", "!=", "in", "contains", "glob", "missing")
OPERATORS: dict[str, tuple[Operator, ...]] = {
    **dict.fromkeys(sorted(TEXTS), _WORDS),
    **dict.fromkeys(sorted(TIMES | NUMBERS), _ORDER),
    # "Some tag is another one" is never what is meant: it is said with Not.
    "tag": ("=", "in", "contains", "glob", "missing"),
}
"""Column -> the operators it takes."""

Operand: TypeAlias = str | int | float | Period
"""str for a text column, a finite number for a number column (bytes, seconds, pixels, degrees), a Period for a time."""

FILTER_TERMS = 100
"""Conditions in one filter; SQLite takes expressions up to a depth of 1000, and time for each that it must try."""
FILTER_LISTED = 100
"""Values of a list that count as one condition, where a column is looked up in it: so a list may hold 10,000, and a
statement stays below SQLite's 32,766 parameters."""
FILTER_DEPTH = 50
FILTER_TEXT = 10_000
"""Characters of one text value."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A column against a value; False where the column is absent, whatever the operator.

    value: an Operand; a tuple of them for "in"; None for "missing". Raises: InvalidInput if they don't go together.
    """

    column: Column
    operator: Operator
    value: Operand | tuple[Operand, ...] | None
    terms: int = field(init=False, repr=False, compare=False, default=1)
    depth: int = field(init=False, repr=False, compare=False, default=1)

    def __post_init__(self) -> None:
        if not isinstance(self.column, str) or self.operator not in OPERATORS.get(self.column, ()):
            raise InvalidInput(f"a filter can't ask {self.column!r} {self.operator!r}")
        if (self.operator == "missing") != (self.value is None) or (self.operator == "in") != isinstance(
            self.value, tuple
        ):
            raise InvalidInput(f"{self.operator!r} takes another kind of value than {self.value!r}")
        values = self.value if isinstance(self.value, tuple) else () if self.value is None else (self.value,)
        for value in values:
            if not _operand_of(self.column, value):
                raise InvalidInput(f"{self.column!r} can't be compared with {value!r}")
        # Folders and times are no values that could be looked up: each is a condition.
        listed = FILTER_LISTED if self.column not in TIMES | {"folder"} else 1
        object.__setattr__(self, "terms", max(-(-len(values) // listed), 1))
        _check_extent(self)


def _operand_of(column: str, value: object) -> bool:
    if column in TEXTS:
        return isinstance(value, str) and len(value) <= FILTER_TEXT and "\0" not in value
    if column in TIMES:
        return isinstance(value, Period)
    return isinstance(value, int | float) and not isinstance(value, bool) and -(2**63) <= value < 2**63


@dataclass(frozen=True, slots=True)
class Not:
    """Everything that `part` does not match, items whose column is absent among them."""

    part: "Filter"
    terms: int = field(init=False, repr=False, compare=False)
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_parts((self.part,))
        object.__setattr__(self, "terms", self.part.terms)
        object.__setattr__(self, "depth", self.part.depth + 1)
        _check_extent(self)


@dataclass(frozen=True, slots=True)
class _Several:
    parts: tuple["Filter", ...]
    terms: int = field(init=False, repr=False, compare=False)
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_parts(self.parts)
        object.__setattr__(self, "terms", sum(part.terms for part in self.parts))
        object.__setattr__(self, "depth", max((part.depth for part in self.parts), default=0) + 1)
        _check_extent(self)


class And(_Several):
    """What every part matches; everything if there is none."""

    __slots__ = ()


class Or(_Several):
    """What some part matches; nothing if there is none."""

    __slots__ = ()


Filter: TypeAlias = And | Or | Not | Comparison
"""Which items may be found: a closed tree over declared columns, so no engine's query language passes through.

A tree that is too large or too deep can't be built, so whoever walks one may recurse.
"""


def _check_parts(parts: object) -> None:
    if not isinstance(parts, tuple) or not all(isinstance(part, Filter) for part in parts):
        raise InvalidInput("a filter is made of filters", hint="And((a, b)), Or((a, b)), Not(a) or Comparison(...)")


def _check_extent(part: Filter | _Several) -> None:
    if part.terms > FILTER_TERMS or part.depth > FILTER_DEPTH:
        raise InvalidInput(
            f"the filter is too large: up to {FILTER_TERMS} conditions, {FILTER_DEPTH} levels deep",
            hint=f"say COLUMN in (…), which may hold {FILTER_TERMS * FILTER_LISTED} values, or ask in parts",
        )
