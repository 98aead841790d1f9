"""What a filter is: a closed tree over declared columns. `filters.parser` reads one, `catalog.select` applies it."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from mmsearch.errors import InvalidInput

Column: TypeAlias = Literal[
    "path", "name", "folder", "root", "modality", "camera", "title", "tag", "source",
    "taken", "modified",
    "size", "duration", "width", "height", "latitude", "longitude",
]  # fmt: skip
"""What a filter may ask about an item; see `mmsearch.core.filters.parser` for what each holds."""

META = "meta."
"""Begins the name of a column of a person's own metadata: `meta.rating` is what was given under the key "rating"."""

META_KEY = re.compile(r"\w[\w.-]{0,63}")
"""A key of it, from its first character to its last."""

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


TEXTS = frozenset({"path", "name", "folder", "root", "modality", "camera", "title", "tag", "source"})
TIMES = frozenset({"taken", "modified"})
NUMBERS = frozenset({"size", "duration", "width", "height", "latitude", "longitude"})

SOURCES = ("said", "written", "seen", "heard")
"""What of an item may be asked for; the words of a recording, for example, without its sound."""

_ORDER: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=", "in", "missing")
_WORDS: tuple[Operator, ...] = ("=", "!=", "in", "contains", "glob", "missing")
OPERATORS: dict[str, tuple[Operator, ...]] = {
    **dict.fromkeys(sorted(TEXTS), _WORDS),
    **dict.fromkeys(sorted(TIMES | NUMBERS), _ORDER),
    # "Some tag is another one" is never what is meant: it is said with Not.
    "tag": ("=", "in", "contains", "glob", "missing"),
    "source": ("=", "in"),
}
"""Column -> the operators it takes."""

META_OPERATORS: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=", "in", "contains", "glob", "missing")
"""Those of own metadata, whose values are of any kind: what a value's kind has no meaning for is false."""


def column_operators(column: str) -> tuple[Operator, ...]:
    """The operators that a column takes; none if there is no such column."""
    if column.startswith(META):
        return META_OPERATORS if META_KEY.fullmatch(column.removeprefix(META)) else ()
    return OPERATORS.get(column, ())


@dataclass(frozen=True, slots=True)
class MetaOperand:
    """What own metadata is compared with: a value of a text with the text, a number with the number, and so on."""

    text: str | None = None
    number: int | float | None = None
    truth: bool | None = None
    period: Period | None = None

    def __post_init__(self) -> None:
        wrong: list[object] = [
            value
            for column, value in (("name", self.text), ("size", self.number), ("taken", self.period))
            if value is not None and not _operand_of(column, value)
        ]
        if self.truth is not None and not isinstance(self.truth, bool):
            wrong.append(self.truth)
        if wrong:
            raise InvalidInput(f"own metadata can't be compared with {wrong[0]!r}")

    @classmethod
    def of(cls, value: object) -> "MetaOperand":
        """A value that says by its type how it is meant. Raises: InvalidInput."""
        if isinstance(value, MetaOperand):
            return value
        if isinstance(value, bool):
            return cls(truth=value)
        if isinstance(value, int | float):
            return cls(number=value)
        if isinstance(value, Period):
            return cls(period=value)
        if isinstance(value, str):
            return cls(text=value)
        raise InvalidInput(f"own metadata can't be compared with {value!r}")

    def suits(self, operator: Operator) -> bool:
        """Whether some kind of value may be compared with it so."""
        if operator in ("contains", "glob"):
            return self.text is not None
        return operator in ("=", "!=", "in") or self.number is not None or self.period is not None


Operand: TypeAlias = str | int | float | Period | MetaOperand
"""str for a text column, a finite number for a number column (bytes, seconds, pixels, degrees), a Period for a time;
any of them, a bool or a MetaOperand for own metadata."""

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

    column: Column | str
    """One of `Column`, or `meta.KEY`."""
    operator: Operator
    value: Operand | tuple[Operand, ...] | None
    terms: int = field(init=False, repr=False, compare=False, default=1)
    depth: int = field(init=False, repr=False, compare=False, default=1)

    def __post_init__(self) -> None:
        if not isinstance(self.column, str) or self.operator not in column_operators(self.column):
            raise InvalidInput(f"a filter can't ask {self.column!r} {self.operator!r}")
        if (self.operator == "missing") != (self.value is None) or (self.operator == "in") != isinstance(
            self.value, tuple
        ):
            raise InvalidInput(f"{self.operator!r} takes another kind of value than {self.value!r}")
        if self.value is not None and self.column.startswith(META):
            many = isinstance(self.value, tuple)
            read = tuple(map(MetaOperand.of, self.value if isinstance(self.value, tuple) else (self.value,)))
            object.__setattr__(self, "value", read if many else read[0])
        values = self.value if isinstance(self.value, tuple) else () if self.value is None else (self.value,)
        for value in values:
            if not _operand_of(self.column, value, self.operator):
                raise InvalidInput(f"{self.column!r} can't be compared with {value!r}")
        # Folders and times are no values that could be looked up: each is a condition.
        single = [v for v in values if self.column in TIMES | {"folder"} or getattr(v, "period", None) is not None]
        object.__setattr__(self, "terms", max(len(single) + -(-(len(values) - len(single)) // FILTER_LISTED), 1))
        _check_extent(self)


def _operand_of(column: str, value: object, operator: Operator = "=") -> bool:
    if isinstance(value, MetaOperand):
        return column.startswith(META) and value.suits(operator)
    if column == "source":
        return value in SOURCES
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
