"""What SQLite and PostgreSQL say differently, under one name each: statements are written once and compiled for either.

A construct compiles to SQLite's words by default. Those of PostgreSQL stand beside them; where a pattern has another
syntax there, both forms are parameters of the statement, and each engine takes its own.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Float, Integer, String, TextClause, bindparam, literal, literal_column
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.dialects.sqlite.dml import OnConflictDoNothing, OnConflictDoUpdate
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.functions import FunctionElement

__all__ = [
    "NumberList",
    "flag_of",
    "glob",
    "larger",
    "normal_text",
    "place_of",
    "text_of_bytes",
    "upsert",
    "word_match",
    "word_rank",
]

_POSTGRES = "postgresql"


@compiles(OnConflictDoNothing, _POSTGRES)
def _do_nothing(clause: Any, compiler: Any, **options: Any) -> str:
    clause.constraint_target = None
    return str(compiler.visit_on_conflict_do_nothing(clause, **options))


@compiles(OnConflictDoUpdate, _POSTGRES)
def _do_update(clause: Any, compiler: Any, **options: Any) -> str:
    clause.constraint_target = None
    return str(compiler.visit_on_conflict_do_update(clause, **options))


class NumberList(TextClause):
    """For `in_`: the numbers in a parameter, as `statements.json_numbers` writes them. However many: engines bound the
    parameters of a statement, not their length."""

    inherit_cache = True

    def __init__(self, name: str) -> None:
        super().__init__(f"SELECT value FROM json_each(:{name})")
        self.parameter = name


@compiles(NumberList, _POSTGRES)
def _number_list(element: NumberList, compiler: Any, **options: Any) -> str:
    asked = compiler.process(bindparam(element.parameter, required=True, type_=String()), **options)
    return f"SELECT unnest(CAST(translate({asked}, '[]', '{{}}') AS bigint[]))"


class larger(FunctionElement[int]):
    """The larger of two numbers."""

    type = Integer()
    inherit_cache = True


@compiles(larger)
def _larger(element: larger, compiler: Any, **options: Any) -> str:
    return f"max({compiler.process(element.clauses, **options)})"


@compiles(larger, _POSTGRES)
def _larger_there(element: larger, compiler: Any, **options: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **options)})"


class place_of(FunctionElement[int]):
    """Where in a text or in bytes, from 1, something first stands; 0 if it doesn't. Arguments: whole, part."""

    type = Integer()
    inherit_cache = True


@compiles(place_of)
def _place_of(element: place_of, compiler: Any, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(place_of, _POSTGRES)
def _place_there(element: place_of, compiler: Any, **options: Any) -> str:
    whole, part = (compiler.process(one, **options) for one in element.clauses)
    return f"position({part} in {whole})"


class _Condition(FunctionElement[bool]):
    """A condition by itself: no `= 1` behind it, which would keep SQLite from using an index."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """In parentheses."""
        return Grouping(self)


class flag_of(_Condition):
    """Whether a key of a JSON column is true. Arguments: column, key."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: Any, key: str) -> None:
        super().__init__(column, literal(f"$.{key}"), literal(key))


@compiles(flag_of)
def _flag_of(element: flag_of, compiler: Any, **options: Any) -> str:
    column, path, _ = element.clauses
    return f"json_extract({compiler.process(column, **options)}, {compiler.process(path, **options)}) = 1"


@compiles(flag_of, _POSTGRES)
def _flag_there(element: flag_of, compiler: Any, **options: Any) -> str:
    column, _, key = element.clauses
    return f"coalesce({compiler.process(column, **options)} ->> {compiler.process(key, **options)}, '') = 'true'"


class glob(_Condition):
    """Whether a whole text is as a pattern of SQLite's GLOB says. Arguments: text, pattern."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, text: Any, pattern: str) -> None:
        super().__init__(text, literal(pattern), literal(expression_of_glob(pattern)))


@compiles(glob)
def _glob(element: glob, compiler: Any, **options: Any) -> str:
    text, pattern, _ = element.clauses
    return f"{compiler.process(text, **options)} GLOB {compiler.process(pattern, **options)}"


@compiles(glob, _POSTGRES)
def _glob_there(element: glob, compiler: Any, **options: Any) -> str:
    text, _, expression = element.clauses
    return f"{compiler.process(text, **options)} ~ {compiler.process(expression, **options)}"


_SPECIAL = frozenset(r"\.^$|()[]{}*+?")


def expression_of_glob(pattern: str) -> str:
    """A pattern of SQLite's GLOB as a regular expression of PostgreSQL: `*`, `?`, `[abc]`, `[^abc]`, `[a-z]`."""
    made, place = ["***:^(?:"], 0
    while place < len(pattern):
        character = pattern[place]
        place += 1
        if character == "*":
            made.append(".*")
        elif character == "?":
            made.append(".")
        elif character == "[":
            negated = pattern[place : place + 1] == "^"
            first = place + negated
            end = pattern.find("]", first + 1)
            if end < 0:
                return "***:a^"  # GLOB takes a class that doesn't end for nothing that could match
            made.append(f"[{'^' if negated else ''}{_class_of_glob(pattern[first:end])}]")
            place = end + 1
        else:
            made.append(f"\\{character}" if character in _SPECIAL else character)
    return "".join(made) + ")$"


def _class_of_glob(inside: str) -> str:
    """Ranges whose end comes before their start hold nothing in GLOB, but their start."""
    made, place = [], 0
    while place < len(inside):
        first = inside[place]
        if inside[place + 1 : place + 2] == "-" and place + 2 < len(inside):
            last = inside[place + 2]
            if first <= last:
                made.append(f"{_escaped(first)}-{_escaped(last)}")
            place += 3
        else:
            made.append(_escaped(first))
            place += 1
    return "".join(made) or "\\ue000"


def _escaped(character: str) -> str:
    return f"\\{character}" if character in r"\[]^-" else character


class normal_text(FunctionElement[str]):
    """A text in NFC. Argument: a text."""

    type = String()
    inherit_cache = True


@compiles(normal_text)
def _normal_text(element: normal_text, compiler: Any, **options: Any) -> str:
    # Most names are ASCII, as long in bytes as in characters: these are spared the call.
    text = compiler.process(element.clauses, **options)
    data = f"CAST({text} AS BLOB)"
    return f"CASE WHEN (length({text}) != length({data})) THEN normal_form({data}) ELSE {text} END"


@compiles(normal_text, _POSTGRES)
def _normal_there(element: normal_text, compiler: Any, **options: Any) -> str:
    return f"normalize({compiler.process(element.clauses, **options)}, NFC)"


class text_of_bytes(FunctionElement[str]):
    """Bytes that are UTF-8 mostly, as text. Argument: bytes."""

    type = String()
    inherit_cache = True


@compiles(text_of_bytes)
def _text_of_bytes(element: text_of_bytes, compiler: Any, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS VARCHAR)"


@compiles(text_of_bytes, _POSTGRES)
def _text_there(element: text_of_bytes, compiler: Any, **options: Any) -> str:
    return f"text_of_bytes({compiler.process(element.clauses, **options)})"


class word_match(_Condition):
    """Whether a row of a table of words is what the parameter `match` asks for, in the engine's own syntax."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, table: str) -> None:
        super().__init__(literal_column(table), bindparam("match", type_=String()))


@compiles(word_match)
def _word_match(element: word_match, compiler: Any, **options: Any) -> str:
    table, match = (compiler.process(one, **options) for one in element.clauses)
    return f"{table} MATCH {match}"


@compiles(word_match, _POSTGRES)
def _word_match_there(element: word_match, compiler: Any, **options: Any) -> str:
    table, match = (compiler.process(one, **options) for one in element.clauses)
    return f"{table}.words @@ CAST({match} AS tsquery)"


class word_rank(FunctionElement[float]):
    """Less for a row of a table of words that matches better. `weights`: what a match in each column counts for."""

    type = Float()
    inherit_cache = True

    def __init__(self, table: str, weights: Mapping[str, float] | None = None) -> None:
        counted: list[ColumnElement[float]] = [literal_column(str(one)) for one in (weights or {}).values()]
        super().__init__(literal_column(table), bindparam("match", type_=String()), *counted)


@compiles(word_rank)
def _word_rank(element: word_rank, compiler: Any, **options: Any) -> str:
    return bm25(*(compiler.process(one, **options) for n, one in enumerate(element.clauses) if n != 1))


@compiles(word_rank, _POSTGRES)
def _word_rank_there(element: word_rank, compiler: Any, **options: Any) -> str:
    table, match, *_ = (compiler.process(one, **options) for one in element.clauses)
    # Of the columns folder, tags, title and name, which have the letters D, C, B and A.
    return f"- ts_rank('{{0.1, 0.6, 0.6, 1}}', {table}.words, CAST({match} AS tsquery))"


def bm25(table: str, *weights: object) -> str:
    """SQLite's score of a row of a table of words, as SQL."""
    return f"bm25({', '.join([table, *map(str, weights)])})"
