"""Filters in the catalog and the indexes: what SQL selects is what a filter means, said once more without SQL."""

import os
import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from mmsearch.catalog import Batch, Catalog, ListKey, NewContent, Placement
from mmsearch.catalog.database import writing
from mmsearch.catalog.segments import resolve_segments
from mmsearch.catalog.selections import matching_segments, selected_segments
from mmsearch.catalog.spaces import active_space
from mmsearch.catalog.tables import Tag
from mmsearch.catalog.words import search_words as search_words
from mmsearch.core.filters.ast import FILTER_LISTED, FILTER_TERMS, And, Comparison, Filter, Not, Or, Period
from mmsearch.core.filters.parser import parse
from mmsearch.indexing.lists import Lists
from mmsearch.types import Span, Vectors

pytestmark = pytest.mark.extras

DIM = 4
ROOTS = ("/r", "/r/s", "/*")


@dataclass(frozen=True)
class Thing:
    """One content with all that a filter may ask about it."""

    modality: str
    facts: dict[str, Any]
    tags: tuple[str, ...]
    paths: tuple[tuple[str, int, int], ...]
    """(path, size, mtime in seconds)"""


def truth(part: Filter, thing: Thing, path: str, size: int, mtime: int) -> bool:
    """What a filter means, said once more without SQL."""
    if isinstance(part, And):
        return all(truth(inner, thing, path, size, mtime) for inner in part.parts)
    if isinstance(part, Or):
        return any(truth(inner, thing, path, size, mtime) for inner in part.parts)
    if isinstance(part, Not):
        return not truth(part.part, thing, path, size, mtime)
    pure = PurePosixPath(path)
    root = max((r for r in ROOTS if path.startswith(r + "/")), key=len)
    known = {
        "path": path, "name": pure.name, "folder": str(pure.parent), "root": root, "modality": thing.modality,
        "size": size, "modified": datetime.fromtimestamp(mtime), **thing.facts,
    }  # fmt: skip
    held = list(thing.tags) if part.column == "tag" else [v for v in [known.get(part.column)] if v is not None]
    if part.operator == "missing":
        return not held
    return any(holds(value, part.operator, part.value) for value in held)


def holds(held: Any, operator: str, asked: Any) -> bool:
    if operator == "in":
        return any(holds(held, "=", one) for one in asked)
    if operator == "contains":
        return asked in held
    if operator == "glob":
        return re.fullmatch(glob(asked), held, re.DOTALL) is not None
    low, high = (asked.start, asked.end) if isinstance(asked, Period) else (asked, None)
    inside = low <= held < high if high is not None else held == low
    outcomes = {
        "=": inside, "!=": not inside, "<": held < low, ">=": held >= low,
        "<=": inside or held < low, ">": held >= low and not inside,
    }  # fmt: skip
    return bool(outcomes[operator])


def glob(pattern: str) -> str:
    """SQLite's GLOB as a regular expression."""
    made, place = "", 0
    while place < len(pattern):
        character = pattern[place]
        place += 1
        if character == "*":
            made += ".*"
        elif character == "?":
            made += "."
        elif character == "[":
            found = re.compile(r"(\^?)(\]?[^\]]*)\]").match(pattern, place)
            if not found:
                return r"(?!)"
            body = re.sub(r"([\[\]\\&~|^])", r"\\\1", found[2])
            made += f"[{found[1]}{body}]"
            place = found.end()
        else:
            made += re.escape(character)
    return made


text = st.text("aAbé*?[", min_size=1, max_size=3)
numbers = st.sampled_from([0, 1, 2, 2.5, 10, 1000])
moments = st.sampled_from([datetime(2023, 12, 31, 23, 59, 59), datetime(2024, 1, 1), datetime(2024, 5, 1, 12, 30)])
periods = st.sampled_from(["2023", "2024", "2024-05", "2024-05-01", "2024-01-01T00:00", "2023-12-31T23:59:59"])
patterns = st.lists(
    st.sampled_from(["a", "A", "b", "é", "*", "?", "/", "[ab]", "[^a]", "[*]", "[a-b]", "r"]), max_size=5
).map("".join)
paths = st.tuples(
    st.sampled_from(ROOTS), st.lists(st.text("aAbé*?[%_ ", min_size=1, max_size=2), min_size=1, max_size=2)
)


@st.composite
def things(draw: st.DrawFn) -> list[Thing]:
    made: list[Thing] = []
    used: set[str] = set()
    for _ in range(draw(st.integers(0, 6))):
        places = []
        for root, names in draw(st.lists(paths, min_size=1, max_size=2)):
            path = "/".join([root, *names])
            if path not in used:
                used.add(path)
                mtime = int(draw(moments).timestamp())
                places.append((path, draw(st.sampled_from([1, 10, 1000])), mtime))
        optional: dict[str, st.SearchStrategy[Any]] = {
            "duration": numbers, "width": st.integers(1, 3), "height": st.integers(1, 3), "taken": moments,
            "camera": text, "title": text, "latitude": st.sampled_from([-1.5, 0.0, 47.0]),
            "longitude": st.sampled_from([-180.0, 0.0, 8.5, 180.0]),
        }  # fmt: skip
        facts = {name: draw(values) for name, values in optional.items() if draw(st.booleans())}
        if ("latitude" in facts) != ("longitude" in facts):
            facts.pop("latitude", None), facts.pop("longitude", None)
        tags = tuple(sorted(draw(st.sets(st.sampled_from(["a", "A", "dog", "é"]), max_size=2))))
        made.append(Thing(draw(st.sampled_from(["image", "video"])), facts, tags, tuple(places)))
    return made


def comparisons() -> st.SearchStrategy[Filter]:
    order = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    texts = st.sampled_from(["path", "name", "folder", "root", "modality", "camera", "title"])
    amounts = st.sampled_from(["size", "duration", "width", "height", "latitude", "longitude"])
    times = st.sampled_from(["taken", "modified"])
    period = periods.map(lambda named: parse(f"taken = {named}").value)  # type: ignore[union-attr]
    word = text | st.sampled_from(["image", "video", "/r", "/r/s", "/*", "/r/a", "/r/s/a", "dog", "r/", "/r/s/a/b"])
    columns = texts | st.just("tag")
    everything = columns | amounts | times
    return st.one_of(
        st.builds(Comparison, texts, st.sampled_from(["=", "!=", "contains"]), word),
        st.builds(Comparison, st.just("tag"), st.sampled_from(["=", "contains"]), word),
        st.builds(Comparison, columns, st.just("glob"), patterns),
        st.builds(Comparison, columns, st.just("in"), st.lists(word, max_size=3).map(tuple)),
        st.builds(Comparison, amounts, order, numbers),
        st.builds(Comparison, amounts, st.just("in"), st.lists(numbers, max_size=2).map(tuple)),
        st.builds(Comparison, times, order, period),
        st.builds(Comparison, times, st.just("in"), st.lists(period, max_size=2).map(tuple)),
        st.builds(Comparison, everything, st.just("missing"), st.none()),
        st.sampled_from(["within(-2, 170, 1, -170)", "within(0, 0, 50, 9)", "within(-2, 0, 1, 180)"]).map(parse),
    )


def filters() -> st.SearchStrategy[Filter]:
    return st.recursive(
        comparisons(),
        lambda inner: st.one_of(
            inner.map(Not), *(st.lists(inner, max_size=3).map(tuple).map(kind) for kind in (And, Or))
        ),
        max_leaves=6,
    )


def fill(folder: Path, held: list[Thing], empty: Path) -> Catalog:
    """A library of the things, content n of hash str(n), two segments each; no files. `empty` is an empty catalog."""
    shutil.copy(empty, folder)
    catalog = Catalog.open(folder, "1")
    space = catalog.add_space("tiny", "tests.tiny:space", DIM, "f")
    batch = Batch()
    chance = np.random.default_rng(0)
    for n, thing in enumerate(held):
        facts = dict(thing.facts)
        meta: dict[str, Any] = {name: facts[name] for name in ("duration", "width", "height", "title") if name in facts}
        if "taken" in facts:
            meta["taken"] = facts["taken"].isoformat()
        if "camera" in facts:
            meta["model"] = facts["camera"]
        if "latitude" in facts:
            meta["gps"] = [facts["latitude"], facts["longitude"]]
        rows = chance.normal(size=(2, DIM))
        vectors: Vectors = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
        batch.contents.append(NewContent(str(n), thing.modality, meta, ["image"] * 2, [Span()] * 2, vectors))
        for path, size, mtime in thing.paths:
            root = max((r for r in ROOTS if path.startswith(r + "/")), key=len)
            batch.placements.append(
                Placement(os.fsencode(path), os.fsencode(root), str(n), size, mtime * 10**9 + 5 * 10**8)
            )
    catalog.commit(batch, space.id)
    with catalog.reading() as snapshot:
        ids: dict[str, int] = {row[0]: row[1] for row in snapshot.exec_driver_sql("SELECT sha256, id FROM contents")}
    tags = [{"content_id": ids[str(n)], "tag": tag} for n, thing in enumerate(held) for tag in thing.tags]
    if tags:
        with writing(catalog._engine) as connection:
            connection.execute(insert(Tag), tags)
    return catalog


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: migrations take longer than everything else here."""
    folder = tmp_path_factory.mktemp("empty")
    Catalog.open(folder, "1", create=True).close()
    return folder / "catalog.sqlite"


@settings(max_examples=60, deadline=None)
@given(held=things(), asked=st.lists(filters(), min_size=8, max_size=8))
@pytest.mark.slow
def test_random_filters_agree_with_an_exhaustive_search(
    held: list[Thing], asked: list[Filter], tmp_path_factory: pytest.TempPathFactory, empty: Path
) -> None:
    folder = tmp_path_factory.mktemp("library")
    catalog = fill(folder, held, empty)
    space = catalog.read(active_space)
    assert space is not None
    indexes = Lists(catalog, folder / "indexes", space, "numpy")
    query = np.full((1, DIM), DIM**-0.5, np.float32)
    everything, _ = indexes.search(query, 100)
    for one in asked:
        shown = {
            os.fsencode(path)
            for thing in held
            for path, size, mtime in thing.paths
            if truth(one, thing, path, size, mtime)
        }
        # With k of 1 there are lists long enough to be probed first.
        found = {k: indexes.search(query, k, filter=one)[0] for k in (1, 3)}
        for key, near in everything.items():
            with catalog.reading() as snapshot:
                rows = resolve_segments(snapshot, near.ids[0], one)
                assert {row.path for row in rows} == {
                    row.path for row in resolve_segments(snapshot, near.ids[0])
                } & shown
                matching = {row.segment_id for row in rows}
                assert set(matching_segments(snapshot, one, key, near.ids[0]).tolist()) == matching
            expected = [i for i in near.ids[0].tolist() if i in matching]
            assert {k: found[k][key].ids[0].tolist() for k in found} == {k: expected[:k] for k in found}, one
    catalog.close()


@pytest.mark.slow
def test_the_largest_allowed_filter_is_answered(tmp_path: Path, empty: Path) -> None:
    """SQLite's limits on depth and parameters are not reached by what a tree may hold."""
    catalog = fill(tmp_path, [Thing("image", {}, (), (("/r/a", 1, 0),))], empty)
    deep: Filter = Comparison("size", ">", 5)
    for n in range(24):
        deep = Not(And((deep,))) if n % 2 else Not(deep)
    wide = Or(tuple(Comparison("folder", "=", f"/r/{n}") for n in range(100)))
    long = And(
        tuple(Not(Comparison("taken", "!=", Period(datetime(n, 1, 1), datetime(n, 1, 2)))) for n in range(1, 101))
    )
    most = range(FILTER_TERMS * FILTER_LISTED)
    many = Comparison("name", "in", tuple(f"name {n}" for n in most))
    paths = Comparison("path", "in", tuple(f"/r/{n}" for n in most))
    tags = Comparison("tag", "in", tuple(f"tag {n}" for n in most))
    sizes = Comparison("size", "in", tuple(most))
    for one in (
        deep,
        wide,
        long,
        many,
        paths,
        tags,
        sizes,
        Not(wide),
        Not(long),
        Not(many),
        Comparison("name", "glob", "a" * 10_000),
    ):
        with catalog.reading() as snapshot:
            assert selected_segments(snapshot, one, ListKey("tiny", "image", "image")) is not None
            assert {row.path for row in resolve_segments(snapshot, np.arange(1, 600), one)} <= {b"/r/a"}
            assert len(search_words(snapshot, "a", 10, None, one)) <= 1
    catalog.close()


def test_times_in_any_notation_compare_alike(tmp_path: Path, empty: Path) -> None:
    catalog = fill(tmp_path, [], empty)
    given_as = ["2024-05-01T10:00:00+02:00", "2024-05-01 10:00:00", "2024-05-01T10:00:00.5Z", "yesterday", "2024-05-01"]
    vectors: Vectors = np.eye(DIM, dtype=np.float32)[:1]
    batch = Batch()
    for n, taken in enumerate(given_as):
        batch.contents.append(NewContent(str(n), "image", {"created": taken}, ["image"], [Span()], vectors))
        batch.placements.append(Placement(b"/r/%d" % n, b"/r", str(n), 1, 1))
    catalog.commit(batch, 1)
    asked = {"taken = 2024-05-01T10:00:00": [1, 2, 3], "taken is missing": [4], "taken = 2024-05-01T00:00": [5]}
    with catalog.reading() as snapshot:
        for text, ids in asked.items():
            found = selected_segments(snapshot, parse(text), ListKey("tiny", "image", "image"))
            assert found is not None and found.tolist() == ids
    catalog.close()


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="names that are no text")
def test_names_that_are_no_unicode_can_be_filtered_by_their_escapes(tmp_path: Path, empty: Path) -> None:
    strange = os.fsdecode(b"/r/\xff\xff/\xffname.jpg")
    catalog = fill(tmp_path, [Thing("image", {}, (), ((strange, 1, 0),))], empty)
    folder = os.path.dirname(strange)
    known = {"path": strange, "folder": folder}
    found = [
        *(f"{column} = '{value}'" for column, value in known.items()),
        "name glob '*name.jpg'",
        f"path glob '{folder}/*'",
        "path contains name",
    ]
    other = ["path = '/r/??/?name.jpg'", "folder = '/r'", f"path != '{strange}'", f"not folder = '{folder}'"]
    with catalog.reading() as snapshot:
        for text in found + other:
            ids = selected_segments(snapshot, parse(text), ListKey("tiny", "image", "image"))
            assert ids is not None and len(ids) == (2 if text in found else 0), text
    catalog.close()
