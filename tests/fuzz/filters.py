"""Filters: words of the language in any order, values of any kind, brackets of any depth, and text of no language."""

import atexit
from functools import cache

from hypothesis import strategies as st

import mmsearch
from mmsearch.core.filters.ast import OPERATORS
from mmsearch.library import Library
from tests.fuzz.target import Target
from tests.generated import picture, words
from tests.temporary import kept_folder

LONGEST = 100_000

_WORDS = [
    *OPERATORS, "meta.a", "meta.", "true",
    "and", "or", "not", "NOT", "in", "is", "missing", "known", "contains", "glob", "within", "(", ")", ",",
    "=", "!=", "<", "<=", ">", ">=", "'", '"', "'a b'", '"x"', "''", "0", "-1", "1e9", "1e400", "10MB", "2.5s", "1:30",
    "99999999999999999999", "2024", "2024-05", "9999-12-31", "0001", "2262-04-12", "2024-02-30", "nan", "inf", "[a-z]",
    "[", "*", "?", "[]]", "[^]", "image", "NULL", "--", ";", "/*", "%", "_", "\0", "\ud800", "é", "\u202e",
]  # fmt: skip

_WORD = st.sampled_from(_WORDS) | st.text(max_size=6) | st.floats().map(str) | st.integers().map(str)
_SAID = st.lists(_WORD, max_size=30).map(" ".join)
_RIGHT = st.sampled_from(
    [
        "size > 1",
        "tag = red",
        "name glob '*.txt'",
        "modality in (text, image)",
        "taken is known",
        "within(-90,-180,90,180)",
    ]
)
_JOINED = st.lists(_RIGHT, min_size=1, max_size=20).flatmap(
    lambda parts: st.sampled_from([" and ", " or ", " and not ", ") or ("]).map(lambda by: by.join(parts))
)


def _many(part: str, count: int) -> str:
    return (part * count)[:LONGEST]


_NESTED = st.builds(
    lambda before, inner, after, count: _many(before, count) + inner + _many(after, count),
    st.sampled_from(["(", "not ", "not (", "size > 1 and (", "[", "'", "("]), _RIGHT, st.sampled_from([")", "", "]"]),
    st.integers(0, LONGEST),
)  # fmt: skip
_REPEATED = st.builds(
    _many, _WORD.map(lambda word: f"{word} ") | _JOINED.map(lambda one: f"{one} or "), st.integers(0, LONGEST)
)
_LISTED = st.builds(
    lambda column, value, count: f"{column} in ({_many(f'{value},', count)}1)",
    st.sampled_from(list(OPERATORS)), _WORD, st.integers(0, 12_000),
)  # fmt: skip
_GLOBBED = st.builds(
    lambda part, count: f"name glob '{_many(part, count)}'",
    st.sampled_from(["*", "*a", "[a", "?", "[^]]*"]),
    st.integers(0, 20_000),
)


@cache
def _library() -> Library:
    """Of two files, for as long as this process lives."""
    place = kept_folder("mmsearch-fuzz-")
    words(place / "media" / "a.txt", "a red apple")
    picture(place / "media" / "b.png", "blue")
    opened = mmsearch.open(place / "library", space="tests.tiny:space", workers=1)
    opened.ingest(place / "media")
    atexit.register(opened.close)
    return opened


def step(text: str) -> None:
    """Read a filter, and search with it."""
    _library().search("red", 1, filter=text)


TARGET = Target(
    st.one_of(_SAID, _JOINED, _NESTED, _REPEATED, _LISTED, _GLOBBED, st.text()), step, lambda: step("size > 1")
)
