"""Reading filters: the small language of `--filter`, parsed into the tree of `mmsearch.core.filters.ast`.

    duration > 10 and path glob '*/2024/*'
    modality in (image, video) and not (taken < 2024-05 or taken is missing)
    within(47.3, 8.4, 47.5, 8.7) and size > 10MB

| column               | holds                                                          | value                      |
|----------------------|----------------------------------------------------------------|----------------------------|
| path, name, folder   | the file's whole path, its last part, the folder it lies in    | text                       |
| root                 | the path that was handed to ingest                             | text                       |
| modality             | image, audio, video or text                                    | text                       |
| camera, title        | what the file says of itself                                   | text                       |
| tag                  | any of the tags it was given                                   | text                       |
| source               | what of it is to match, and nothing else of it                 | said, written, seen, heard |
| taken                | when, by the clock of the camera, without regard to zones      | 2024, 2024-05, 2024-05-01, |
| modified             | when the file last changed, by the clock of this computer      | 2024-05-01T12:00[:30]      |
| size                 | bytes                                                          | 10MB (B kB MB GB TB, KiB…) |
| duration             | seconds                                                        | 10, 2.5s, 1:30, 1:30:00    |
| width, height        | pixels, as shown                                               | a number                   |
| latitude, longitude  | degrees north and east                                         | a number                   |
| meta.KEY             | what a person gave the item under that key                     | text, a number, true,      |
|                      |                                                                | false or a date            |

- Numbers and times: `=`, `!=`, `<`, `<=`, `>`, `>=`, `in (a, b)`. A time is compared as the whole period that it names:
  `taken = 2024-05` is that month, `taken > 2024-05` begins with June, `taken <= 2024-05` ends with May.
- Texts: `=`, `!=`, `in (a, b)`, `contains`, `glob`, all with upper and lower case told apart. `=` takes the whole text.
  In a glob `*` is any run of characters (separators too), `?` any one, `[abc]`, `[a-z]` and `[^a-z]` one of or outside
  a class; `[*]` is the character itself. A tag takes no `!=`: say `not tag = dog`.
- `source = said` finds by what is said alone, `source in (seen, heard)` by all but words. In `not` and `or` it asks of
  items whether they have such.
- `meta.KEY` takes all of these operators. The value is read as what the item has there: `meta.year = 2024` is true of
  the number 2024, of the text "2024" and of a date in that year. Where the two can't be compared, such as a text by
  `<`, it is false.
- `within(south, west, north, east)`: places in that box, edges included; west > east crosses the date line.
- `COLUMN is missing`, `COLUMN is known`. A comparison with what is missing is false, so `not width > 10` finds
  items without a width too.
- `not` binds closer than `and`, `and` closer than `or`; parentheses group. These words may be written in capitals.
- A value with spaces, commas, parentheses, quotes or operators in it goes in quotes, '…' or "…"; a doubled quote
  inside stands for one.
"""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from string import ascii_letters
from typing import Any, NoReturn, cast, get_args

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from mmsearch.core.filters.ast import (
    META,
    META_KEY,
    SOURCES,
    TEXTS,
    TIMES,
    And,
    Column,
    Comparison,
    Filter,
    MetaOperand,
    Not,
    Operand,
    Operator,
    Or,
    Period,
    column_operators,
)
from mmsearch.errors import InvalidInput

LENGTH = 500_000
"""Characters of a filter."""

SHOWN = 76
"""Characters of a filter that an error shows."""

# A word ends where a bare value would end: "android" is no "and".
_WORDS = "\n".join(
    rf"""{name}.2: /{word}(?![^\s()=!<>,'"])/i"""
    for name, word in {
        "_AND": "and", "_OR": "or", "_NOT": "not", "_IN": "in", "_IS": "is", "_MISSING": "missing", "_KNOWN": "known",
        "CONTAINS": "contains", "GLOB": "glob", "_WITHIN": "within",
    }.items()
)  # fmt: skip

GRAMMAR = rf"""
?start: either
?either: both (_OR both)*
?both: unary (_AND unary)*
?unary: _NOT unary -> denial
    | "(" either ")"
    | BARE (ORDER | CONTAINS | GLOB) value -> comparison
    | BARE _IN "(" value ("," value)* ")" -> membership
    | BARE _IS _MISSING -> absence
    | BARE _IS _KNOWN -> presence
    | _WITHIN "(" value "," value "," value "," value ")" -> box
?value: BARE | QUOTED
ORDER: "<=" | ">=" | "!=" | "=" | "<" | ">"
{_WORDS}
BARE: /[^\s()=!<>,'"]+/
QUOTED: /'([^']|'')*'|"([^"]|"")*"/
%ignore /\s+/
"""

_NAMES = {
    "_AND": "and", "_OR": "or", "_NOT": "not", "_IN": "in (…)", "_IS": "is missing, is known", "_MISSING": "missing",
    "_KNOWN": "known", "CONTAINS": "contains", "GLOB": "glob", "_WITHIN": "within(…)", "LPAR": "(", "RPAR": ")",
    "COMMA": "a comma", "ORDER": "= != < <= > >=", "QUOTED": "a value", "$END": "the end",
}  # fmt: skip


def parse(text: str) -> Filter:
    """The filter that `text` says. Raises: InvalidInput, whose message points at the place."""
    if len(text) > LENGTH:
        raise InvalidInput(f"the filter is too long: {len(text)} characters, up to {LENGTH} are read")
    if not text.strip():
        raise InvalidInput("the filter is empty", hint="leave it out to search everything")
    if "\0" in text:
        _wrong(text, text.index("\0"), 1, "names and values contain no null character")
    try:
        read: Any = _parser().parse(text)
    except UnexpectedInput as error:
        _unexpected(text, error)
    except _Misread as error:
        _wrong(text, error.token.start_pos or 0, len(error.token), error.what, error.hint)
    # The callbacks leave no tree of the parser's own.
    return cast(Filter, read)


class _Misread(Exception):
    """A word that parses, but makes no sense."""

    def __init__(self, token: Token, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.token, self.what, self.hint = token, what, hint


class _Build(Transformer[Token, Filter]):
    """Called by the parser as it reads, from the inside out: no tree is walked, so depth costs no recursion."""

    def either(self, parts: list[Filter]) -> Filter:
        return Or(tuple(parts))

    def both(self, parts: list[Filter]) -> Filter:
        return And(tuple(parts))

    def denial(self, parts: list[Filter]) -> Filter:
        (part,) = parts
        return part.part if isinstance(part, Not) else Not(part)

    def comparison(self, parts: list[Token]) -> Filter:
        name, sign, value = parts
        column, operator = _column(name), cast(Operator, sign.lower())
        if operator not in column_operators(column):
            if column == "tag" and operator == "!=":
                raise _Misread(sign, "a tag takes no !=", "an item may have several: say not tag = …")
            raise _Misread(sign, f"{column} takes {_said(column_operators(column))}, not {operator}")
        return Comparison(column, operator, _operand(column, value, operator))

    def membership(self, parts: list[Token]) -> Filter:
        column = _column(parts[0])
        return Comparison(column, "in", tuple(_operand(column, value) for value in parts[1:]))

    def absence(self, parts: list[Token]) -> Filter:
        return Comparison(_column(parts[0]), "missing", None)

    def presence(self, parts: list[Token]) -> Filter:
        return Not(self.absence(parts))

    def box(self, parts: list[Token]) -> Filter:
        south, west, north, east = (_degrees(token, 180 if n % 2 else 90) for n, token in enumerate(parts))
        if south > north:
            raise _Misread(parts[0], "the south of a box lies north of its north", "within(south, west, north, east)")
        high, low = Comparison("longitude", ">=", west), Comparison("longitude", "<=", east)
        across: Filter = And((high, low)) if west <= east else Or((high, low))
        if (west <= east) and (east == 180 or west == -180):
            # Both numbers name the same line.
            across = Or((across, Comparison("longitude", "=", -180.0 if east == 180 else 180.0)))
        return And((Comparison("latitude", ">=", south), Comparison("latitude", "<=", north), across))


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", transformer=_Build(), maybe_placeholders=False)


def _said(operators: tuple[str, ...]) -> str:
    return " ".join(o for o in operators if o not in ("in", "missing")) + " in (…)"


def _column(token: Token) -> Column | str:
    if token.startswith(META):
        if META_KEY.fullmatch(token.removeprefix(META)):
            return str(token)
        raise _Misread(token, f"{str(token)!r} names no key", "say meta.KEY, a key of letters, digits, _ . and -")
    names: tuple[Column, ...] = get_args(Column)
    for name in names:
        if token == name:
            return name
    near = get_close_matches(token.lower(), names, 1, 0.5)
    said = f"; did you mean {near[0]}?" if near else ""
    raise _Misread(token, f"there is no column {str(token)!r}{said}", f"columns: {', '.join(names)}, {META}KEY")


def _operand(column: Column | str, token: Token, operator: Operator = "=") -> Operand:
    """The value as its column takes it."""
    text = _unquoted(token)
    if operator == "glob" and _unclosed(text):
        raise _Misread(token, "the class opened by [ is not closed", "for the character itself: [[]")
    if column.startswith(META):
        return _meta_operand(column, token, operator)
    if column == "source" and text not in SOURCES:
        raise _Misread(token, f"source takes {', '.join(SOURCES)}, not {_shortened(text)!r}")
    if column in TEXTS:
        if column in ("root", "folder") and operator in ("=", "!=") and len(text) > 1:
            return text.rstrip(os.sep) or os.sep
        return text
    read, takes = _READERS[column]
    try:
        return read(text)
    except (ValueError, ArithmeticError) as error:
        raise _Misread(token, f"{column} takes {takes}, not {_shortened(text)!r}") from error


def _meta_operand(column: str, token: Token, operator: Operator) -> MetaOperand:
    """The value in each way that it can be read."""
    text = _unquoted(token)
    number = period = None
    with suppress(ValueError, ArithmeticError):
        number = _number(text)
    with suppress(ValueError, ArithmeticError):
        period = _period(text)
    made = MetaOperand(text, number, {"true": True, "false": False}.get(text.lower()), period)
    if not made.suits(operator):
        raise _Misread(token, f"{column} {operator} takes a number or a date, not {_shortened(text)!r}")
    return made


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _unquoted(token: Token) -> str:
    return token[1:-1].replace(token[0] * 2, token[0]) if token.type == "QUOTED" else str(token)


def _unclosed(pattern: str) -> bool:
    """Whether a class in a glob never ends: such a pattern would match nothing, silently."""
    begin = pattern.find("[")
    while begin >= 0:
        first = begin + 1 + pattern.startswith("^", begin + 1)
        # A ] that comes first, also after ^, is a member.
        end = pattern.find("]", first + pattern.startswith("]", first))
        if end < 0:
            return True
        begin = pattern.find("[", end)
    return False


def _degrees(token: Token, limit: int) -> float:
    try:
        value = float(_number(_unquoted(token)))
    except (ValueError, ArithmeticError):
        value = float("inf")
    if abs(value) > limit:
        raise _Misread(token, f"within takes degrees from -{limit} to {limit} here", "within(south, west, north, east)")
    return value


def _number(text: str, unit: int = 1) -> int | float:
    """A finite number that SQLite can hold. Raises: ValueError, ArithmeticError."""
    if not re.fullmatch(r"[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})(e[+-]?\d{1,3})?", text, re.I | re.A):
        raise ValueError(text)
    value = Decimal(text) * unit
    if abs(value) >= 2**62:
        raise ValueError(text)
    return int(value) if value == value.to_integral_value() else float(value)


_UNITS = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


def _size(text: str) -> int | float:
    """Bytes."""
    amount = text.rstrip(ascii_letters)
    unit = text[len(amount) :].lower()
    return _number(amount.rstrip(" \t\r\n\f\v"), _UNITS[unit]) if unit in _UNITS else _number(text)


def _seconds(text: str) -> int | float:
    """Seconds, from 90, 90.5s, 1:30 or 1:30:00."""
    clock = re.fullmatch(r"(?:(\d{1,9}):)?(\d{1,9}):([0-5]\d(?:\.\d{1,9})?)", text, re.A)
    if not clock:
        return _number(text.removesuffix("s"))
    hours, minutes, seconds = clock.groups()
    if hours and int(minutes) > 59:
        raise ValueError(text)
    return _number(str((int(hours or 0) * 60 + int(minutes)) * 60 + Decimal(seconds)))


_MOMENT = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?)?)?", re.A)


def _period(text: str) -> Period:
    """What a date or a time names, as exactly as it is written. Raises: ValueError, OverflowError."""
    found = _MOMENT.fullmatch(text)
    if not found:
        raise ValueError(text)
    parts = [int(part) for part in found.groups() if part is not None]
    year, month, day, hour, minute, second = parts + [1] * (3 - len(parts)) + [0] * (6 - max(len(parts), 3))
    start = datetime(year, month, day, hour, minute, second)
    if len(parts) < 3:
        months = start.year * 12 + start.month - 1 + (12 if len(parts) == 1 else 1)
        end = datetime(months // 12, months % 12 + 1, 1) if months < 120_000 else datetime.max
    else:
        lasts = {3: timedelta(days=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}[len(parts)]
        end = start + lasts if datetime.max - start > lasts else datetime.max
    return Period(start, end)


_TIME = (_period, "a date such as 2024, 2024-05 or 2024-05-01, or a time such as 2024-05-01T12:00, without a zone")
_READERS: dict[str, tuple[Callable[[str], Operand], str]] = {
    **dict.fromkeys(("width", "height"), (_number, "a number of pixels")),
    **dict.fromkeys(("latitude", "longitude"), (_number, "degrees such as 47.38")),
    **dict.fromkeys(sorted(TIMES), _TIME),
    "size": (_size, "bytes with or without a unit: 500, 20kB, 10MB, 1.5GB"),
    "duration": (_seconds, "seconds such as 10 or 2.5s, or a clock such as 1:30 or 1:30:00"),
}
"""Column -> how its values are read (ValueError or ArithmeticError: they are not), and what it takes, in words."""


def _unexpected(text: str, error: UnexpectedInput) -> NoReturn:
    """What the parser did not expect, in words."""
    place, read = len(text.rstrip()), "the end"
    wanted: set[str] = set()
    if isinstance(error, UnexpectedCharacters):
        place, wanted = error.pos_in_stream or 0, set(error.allowed or ())
    elif isinstance(error, UnexpectedToken):
        wanted = set(error.accepts or error.expected)
        if error.token.type != "$END":
            place = error.token.start_pos or 0
    elif isinstance(error, UnexpectedEOF):
        wanted = set(error.expected)
    length = 1
    if place < len(text.rstrip()):
        found = re.match(r"""[^\s()=!<>,'"]+|[=!<>]+|.""", text[place:], re.DOTALL)
        read = found.group() if found else text[place]
        length = len(read)
        if read in "'\"":
            _wrong(text, place, 1, f"the quote {read} is not closed, or stands where none is expected")
        read = repr(read)
    # Where a value may stand a quoted one may too; where only a bare one may, it is a column.
    names = {"BARE": "a value" if "QUOTED" in wanted else "a column", **_NAMES}
    expected = sorted({names.get(name, name) for name in wanted})
    hint = "a value with a space in it goes in quotes" if "$END" in wanted else None
    _wrong(text, place, length, f"read {read}, expected {'one of: ' * (len(expected) > 1)}{', '.join(expected)}", hint)


def _wrong(text: str, place: int, length: int, what: str, hint: str | None = None) -> NoReturn:
    """Raise InvalidInput with the line and a caret below the place."""
    start = max(0, min(place - SHOWN // 2, len(text) - SHOWN))
    line = "".join(c if c.isprintable() else " " for c in text[start : start + SHOWN])
    caret = "^" * max(1, min(length, start + len(line) - place))
    raise InvalidInput(
        f"can't read the filter at column {place + 1}: {what}\n  {line}\n  {' ' * (place - start)}{caret}", hint=hint
    )
