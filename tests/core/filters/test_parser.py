"""The language of filters: what each phrase means, and what is said about one that means nothing."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.core.filters.ast import (
    FILTER_DEPTH,
    FILTER_LISTED,
    FILTER_TERMS,
    And,
    Comparison,
    Filter,
    Not,
    Or,
    Period,
)
from mmsearch.core.filters.parser import LENGTH, parse
from mmsearch.errors import InvalidInput

SIZE = Comparison("size", ">", 1)


def period(*ends: tuple[int, ...]) -> Period:
    start, end = (datetime(*numbers) for numbers in ends)  # type: ignore[arg-type]
    return Period(start, end)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("tag = dog", Comparison("tag", "=", "dog")),
        ("name glob *.jpg", Comparison("name", "glob", "*.jpg")),
        ("path glob '*/2024/*'", Comparison("path", "glob", "*/2024/*")),
        ("camera CONTAINS nikon", Comparison("camera", "contains", "nikon")),
        ("title = 'it''s' ", Comparison("title", "=", "it's")),
        ('title != "a ""b"" (c)"', Comparison("title", "!=", 'a "b" (c)')),
        ("tag = and", Comparison("tag", "=", "and")),
        ("root = '/photos/'", Comparison("root", "=", "/photos")),
        ("modality in (image, video)", Comparison("modality", "in", ("image", "video"))),
        ("width>=1000", Comparison("width", ">=", 1000)),
        ("duration > 2.5s", Comparison("duration", ">", 2.5)),
        ("duration <= 1:30", Comparison("duration", "<=", 90)),
        ("duration < 1:30:00.5", Comparison("duration", "<", 5400.5)),
        ("size > 10MB", Comparison("size", ">", 10_000_000)),
        ("size = '1.5 kB'", Comparison("size", "=", 1500)),
        ("size in (1B, 1KiB, 0.3)", Comparison("size", "in", (1, 1024, 0.3))),
        ("latitude < -1.5e1", Comparison("latitude", "<", -15)),
        ("taken = 2024", Comparison("taken", "=", period((2024, 1, 1), (2025, 1, 1)))),
        ("taken < 2024-12", Comparison("taken", "<", period((2024, 12, 1), (2025, 1, 1)))),
        ("taken >= 2024-02-29", Comparison("taken", ">=", period((2024, 2, 29), (2024, 3, 1)))),
        ("modified < 2024-01-01T12:00", Comparison("modified", "<", period((2024, 1, 1, 12, 0), (2024, 1, 1, 12, 1)))),
        ("modified < '2024-01-01 12:00:30'",
         Comparison("modified", "<", period((2024, 1, 1, 12, 0, 30), (2024, 1, 1, 12, 0, 31)))),
        ("camera is missing", Comparison("camera", "missing", None)),
        ("camera is known", Not(Comparison("camera", "missing", None))),
        ("not not size > 1", SIZE),
        ("size > 1 or size > 1 and not size > 1", Or((SIZE, And((SIZE, Not(SIZE)))))),
        ("(size > 1 or size > 1) and size > 1", And((Or((SIZE, SIZE)), SIZE))),
        ("within(47.3, 8.4, 47.5, 8.7)",
         And((Comparison("latitude", ">=", 47.3), Comparison("latitude", "<=", 47.5),
              And((Comparison("longitude", ">=", 8.4), Comparison("longitude", "<=", 8.7)))))),
        ("within(-1, 170, 1, -170)",
         And((Comparison("latitude", ">=", -1), Comparison("latitude", "<=", 1),
              Or((Comparison("longitude", ">=", 170), Comparison("longitude", "<=", -170)))))),
    ],
)  # fmt: skip
def test_a_filter_is_parsed_into_its_tree(text: str, meant: Filter) -> None:
    assert parse(text) == meant
    assert type(parse(text)) is type(meant)


@pytest.mark.parametrize(
    ("text", "column", "carets", "said"),
    [
        ("durtion > 10", 1, 7, "did you mean duration?"),
        ("size > 1 and colour = red", 14, 6, "there is no column 'colour'"),
        ("duration > ten", 12, 3, "duration takes seconds such as 10"),
        ("size > 10XB", 8, 4, "size takes bytes with or without a unit"),
        ("size > 1e99", 8, 4, "size takes bytes"),
        ("width = nan", 9, 3, "width takes a number of pixels"),
        ("taken = 2023-02-29", 9, 10, "taken takes a date such as 2024"),
        ("taken = 2024-05-01T10:00Z", 9, 17, "without a zone"),
        ("duration >", 11, 1, "read the end, expected a value"),
        ("duration 10", 10, 2, "read '10', expected one of:"),
        ("duration == 10", 11, 1, "read '=', expected a value"),
        ("(size > 1", 10, 1, "read the end, expected )"),
        ("size > 1)", 9, 1, "read ')', expected the end"),
        ("size > 10 MB", 11, 2, "read 'MB', expected one of:"),
        ("title = 'abc", 9, 1, "the quote ' is not closed"),
        ("width glob 5", 7, 4, "width takes = != < <= > >= in (…), not glob"),
        ("path < 5", 6, 1, "path takes = != contains glob in (…), not <"),
        ("tag != dog", 5, 2, "a tag takes no !="),
        ("name glob 'a[b'", 11, 5, "the class opened by [ is not closed"),
        ("within(48, 8, 47, 9)", 8, 2, "the south of a box lies north of its north"),
        ("within(91, 8, 92, 9)", 8, 2, "from -90 to 90"),
        ("within(1, 2, 3)", 15, 1, "read ')', expected a comma"),
        ("size > 1 \0", 10, 1, "null character"),
        (";drop table items", 7, 5, "read 'table'"),
    ],
)
def test_a_parse_error_points_at_its_position(text: str, column: int, carets: int, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    first, line, marks = caught.value.message.split("\n")
    assert first.startswith(f"can't read the filter at column {column}: ")
    assert said in first
    assert line == "  " + text.replace("\0", " ")
    assert marks == "  " + " " * (column - 1) + "^" * carets


def test_a_parse_error_in_a_long_filter_shows_an_excerpt() -> None:
    text = " and ".join(["size > 1"] * 40 + ["colour = red"] + ["size > 1"] * 40)
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    _, line, marks = caught.value.message.split("\n")
    assert len(line) <= 78 and line[marks.index("^") : marks.rindex("^") + 1] == "colour"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the filter is empty"),
        (" \n", "the filter is empty"),
        ("x" * (LENGTH + 1), "too long"),
        ("(" * LENGTH, "read the end"),
        ("(" * 3000 + "size > 1", "read the end"),
        (" or ".join(["size>1"] * 900), "too large"),
        (f"tag in ({','.join('a' * 20_000)})", "too large"),
        ("not(size>1 and " * 600 + "size>1" + ")" * 600, "too large"),
    ],
)
@pytest.mark.slow
def test_a_filter_too_long_or_too_deep_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"name glob '{'[' * 400_000}'", "not closed"),
        (f"size > '1{' ' * 400_000}!'", "size takes bytes"),
        (f"size > '1{'k' * 400_000}!'", "size takes bytes"),
        (f"duration > '{'1' * 400_000}:'", "duration takes seconds"),
    ],
)
def test_the_longest_of_hostile_values_is_refused(text: str, said: str) -> None:
    # With patterns that try again it would take hours.
    with pytest.raises(InvalidInput, match=said):
        parse(text)


@pytest.mark.parametrize("pattern", ["[]", "[^]", "[a", "a[", "[a][", "[]a", "[^]a"])
def test_an_unclosed_character_class_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match="not closed"):
        parse(f"name glob '{pattern}'")


@pytest.mark.parametrize("pattern", ["[a]", "[]]", "[^]]", "[^a]*[]a]", "[[]", "a]", "[a[]"])
def test_a_closed_character_class_is_accepted(pattern: str) -> None:
    assert parse(f"name glob '{pattern}'") == Comparison("name", "glob", pattern)


def test_redundant_parentheses_and_negations_do_not_count_as_depth() -> None:
    assert parse("(" * 4000 + "size > 1" + ")" * 4000) == SIZE
    assert parse("not " * 2400 + "size > 1") == SIZE


@given(st.text("abc()'\"=!<>,*[]- .:0123456789\n", max_size=40) | st.text(max_size=20))
def test_any_text_is_parsed_or_refused_with_our_error(text: str) -> None:
    try:
        parse(text)
    except InvalidInput as error:
        assert error.message


@pytest.mark.parametrize(
    ("column", "operator", "value"),
    [
        ("colour", "=", "red"),
        ("path", "<", "a"),
        ("path", "like", "a"),
        ("tag", "!=", "a"),
        ("path", "=", 3),
        ("path", "=", "a\0b"),
        ("path", "glob", "a" * 10_001),
        ("size", "=", "3"),
        ("size", "=", True),
        ("size", "=", 2**63),
        ("size", "=", float("nan")),
        ("taken", "=", "2024"),
        ("size", "in", 3),
        ("size", "=", (3,)),
        ("size", "missing", 3),
        ("size", "=", None),
    ],
)
def test_a_filter_tree_refuses_senseless_values(column: Any, operator: Any, value: Any) -> None:
    with pytest.raises(InvalidInput):
        Comparison(column, operator, value)


def test_a_filter_tree_refuses_too_much_depth_or_size() -> None:
    part: Filter = SIZE
    for _ in range(FILTER_DEPTH - 1):
        part = Not(part)
    with pytest.raises(InvalidInput, match="too large"):
        Not(part)
    assert And((SIZE,) * FILTER_TERMS).terms == FILTER_TERMS
    with pytest.raises(InvalidInput, match="too large"):
        Or((SIZE,) * (FILTER_TERMS + 1))


def test_a_list_may_be_a_hundred_times_longer() -> None:
    most = FILTER_TERMS * FILTER_LISTED
    assert Comparison("name", "in", ("a",) * most).terms == FILTER_TERMS
    assert Comparison("size", "in", tuple(range(101))).terms == 2
    assert Comparison("folder", "in", ("a",) * 3).terms == 3, "folders are not looked up"
    for column, value in (("name", "a"), ("width", 1)):
        with pytest.raises(InvalidInput, match="too large"):
            Comparison(column, "in", (value,) * (most + 1))


def test_a_period_is_local_and_has_a_length() -> None:
    with pytest.raises(InvalidInput):
        Period(datetime(2024, 1, 1), datetime(2024, 1, 1))
    both: Filter = And((SIZE,))
    assert both != Or((SIZE,))
