"""Whatever a public function is handed, only errors of mmsearch come out, and nothing is written before."""

import collections.abc
import inspect
import math
import operator
import os
import threading
import typing
from collections.abc import Callable, Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import mmsearch
from mmsearch.core import arguments
from mmsearch.errors import InvalidInput, MmsearchError
from mmsearch.library import Library
from mmsearch.types import PillowImage
from tests.module_library import ModuleLibrary
from tests.surface.walk import hints

GROUPS: dict[str, Callable[[Library], Any]] = {
    "": lambda library: library,
    "index.": lambda library: library.index,
    "model.": lambda library: library.model,
    "train.": lambda library: library.train,
}
NEEDED: dict[str, Any] = {
    "query": "red", "value": "red", "names": ["red", "green"], "name": "mine", "pairs": "pairs.tsv",
    "table": "table.tsv", "media": (), "queries": ["red"], "values": {},
    "path": "backup.db", "folder": "exported", "paths": ["red.txt"], "a": "starter", "target": "moved.library",
    "b": "tests.tiny:space", "root": "media", "globs": ["*.tmp"], "item_id": 1, "address": "text=dog", "ids": [1],
    "filter": "modality = text",
    "hit": mmsearch.Hit(1, Path("red.png"), "image", 1.0, item_id=1, segment_id=1),
}  # fmt: skip
"""What stands for the parameters that are not wrong and have no default."""


class Parameter(NamedTuple):
    """One argument of a public function."""

    owner: str
    function: str
    name: str
    annotation: Any
    needed: dict[str, Any]
    """Other arguments that it doesn't go without."""
    listed: bool
    """Whether it takes any number of values, such as `*paths`."""

    def __str__(self) -> str:
        return f"{self.owner}{self.function}({self.name})"

    def call(self, library: Library, value: Any) -> object:
        found = mmsearch if self.owner == "mmsearch." else GROUPS[self.owner](library)
        if self.listed:
            return getattr(found, self.function)(value)
        return getattr(found, self.function)(**{**self.needed, self.name: value})


def parameters() -> Iterator[Parameter]:
    from mmsearch.maintenance.index import LibraryIndex
    from mmsearch.models.switch import LibraryModels
    from mmsearch.training.training import LibraryTraining

    owners = {"": Library, "index.": LibraryIndex, "model.": LibraryModels, "train.": LibraryTraining}
    for owner, kind in owners.items():
        for name, function in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_"):
                yield from of_function(owner, name, function)
    for name in mmsearch.__all__:
        if inspect.isfunction(function := getattr(mmsearch, name)):
            yield from of_function("mmsearch.", name, function)


def of_function(owner: str, name: str, function: Any) -> Iterator[Parameter]:
    annotations = hints(function)
    known = inspect.signature(function).parameters
    asked = [one for one, it in known.items() if it.default is it.empty and it.kind is not it.VAR_POSITIONAL]
    needed = {one: NEEDED[one] for one in asked if one in NEEDED}
    if owner + name == "mmsearch.connect":
        needed["texts"] = ["too few"]  # training on all that comes with the package takes minutes
    for one, parameter in known.items():
        if one != "self" and parameter.kind is not parameter.VAR_KEYWORD:
            rest = {other: value for other, value in needed.items() if other != one}
            yield Parameter(owner, name, one, annotations[one], rest, parameter.kind is parameter.VAR_POSITIONAL)


PARAMETERS = list(parameters())
FAST = [one for one in PARAMETERS if one.owner not in ("train.", "mmsearch.") or one.function == "open"]


def fill(media: Path) -> None:
    (media / "red.txt").write_text("a red thing")
    (media / "green.txt").write_text("a green thing")


@pytest.fixture(scope="module")
def library(module_library: ModuleLibrary) -> Iterator[Library]:
    with mmsearch.open(module_library.restored() / "library", space="tests.tiny:space", workers=1) as opened:
        opened.status()
        yield opened


def written(library: Library) -> dict[str, tuple[int, int]]:
    """Every file of a library, with what changes when it is written."""
    stats = {path: path.stat() for path in sorted(library.path.rglob("*")) if not path.name.endswith(("-shm", "-wal"))}
    return {os.fspath(path): (found.st_size, found.st_mtime_ns) for path, found in stats.items()}


def takes(annotation: Any, value: Any) -> bool:
    """Whether a value is of a type that an annotation names: told apart from how the library itself tells it."""
    origin, inner = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if origin in (typing.Union, type(int | str)):
        return any(takes(one, value) for one in inner)
    if origin is Any:
        return True
    if origin is typing.Literal:
        return isinstance(value, str) and value in inner
    if origin in (int, float, bool):
        kinds: dict[Any, Any] = {int: int, float: (int, float, Fraction, np.floating), bool: (bool, np.bool_)}
        return isinstance(value, kinds[origin]) and (origin is bool) == isinstance(value, bool | np.bool_)
    if origin is collections.abc.Callable:
        return callable(value)
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == 2 and takes(inner[0], value[0]) and takes(inner[1], value[1])
    if inner and inspect.isclass(origin) and issubclass(origin, collections.abc.Mapping):
        return isinstance(value, dict) and all(takes(inner[0], k) and takes(inner[1], v) for k, v in value.items())
    if inner and origin is not np.ndarray and origin is not os.PathLike:
        if origin is collections.abc.Iterable and isinstance(value, collections.abc.Iterator):
            return True
        listed = isinstance(value, list | tuple | set | frozenset | range | np.ndarray)
        return listed and all(takes(inner[0], one) for one in value)
    return isinstance(value, typing.cast(Any, origin))


class Odd:
    """An object that is nothing in particular, and breaks when it is looked at."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        raise RuntimeError("no")

    def __bool__(self) -> bool:
        raise RuntimeError("no")


class BrokenPath:
    def __fspath__(self) -> str:
        raise RuntimeError("no")


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"media"


WRONG: dict[str, Any] = {
    "object": object(), "odd": Odd(), "class": int, "module": os, "function": len, "lambda": lambda: 0,
    "None": None, "True": True, "numpy bool": np.bool_(False), "0": 0, "1.5": 1.5, "nan": math.nan, "inf": math.inf,
    "complex": 1j, "fraction": Fraction(1, 3), "text": "image", "bytes": b"red", "bytearray": bytearray(b"red"),
    "view": memoryview(b"red"), "list": [], "numbers": [1, 2], "mixed": ["red", None], "nested": [["red"]],
    "bytes listed": [b"red"], "tuple": ("red", "green", "blue"), "pair": (1, 2), "rate missing": (np.zeros(3), None),
    "set": {"red"}, "set of numbers": {1}, "dict": {}, "dict of numbers": {1: 2}, "named": {"red": object()},
    "iterator": iter(["red"]), "range": range(3), "array": np.zeros((2, 3)),
    "image array": np.zeros((4, 4, 3), np.uint8),
    "exception": ValueError("no"), "date": datetime(2024, 5, 1), "broken path": BrokenPath(), "bytes path": BytesPath(),
    "event": threading.Event(), "picture": Image.new("RGB", (2, 2)), "query": mmsearch.Query("red"),
    "hit": NEEDED["hit"], "path": PurePosixPath("nowhere"), "huge": 10**400, "ellipsis": ...,
    "progress": mmsearch.Progress,
}  # fmt: skip
"""Values that are right in few places."""


def wrong_for(parameter: Parameter, value: Any) -> bool:
    if isinstance(value, BrokenPath | BytesPath):
        return True
    if isinstance(value, float) and not math.isfinite(value):
        return True
    return not takes(parameter.annotation, value) or (isinstance(value, int) and value > 2**63)


def refused(parameter: Parameter, library: Library, value: Any) -> MmsearchError:
    before = written(library)
    with pytest.raises(MmsearchError) as caught:
        parameter.call(library, value)
        raise AssertionError(f"{parameter} takes {value!r:.60}")
    assert written(library) == before, f"{parameter} = {value!r:.60}"
    assert caught.value.message and caught.value.hint
    return caught.value


def test_every_public_function_is_here() -> None:
    functions = {one.owner + one.function for one in PARAMETERS}
    assert {"search", "ingest", "explain", "label", "import_", "index.build", "model.add", "train.labels"} <= functions
    assert len(PARAMETERS) >= 90


@pytest.mark.parametrize("parameter", FAST, ids=str)
def test_every_argument_refuses_what_is_no_value_of_it(parameter: Parameter, library: Library) -> None:
    for value in (object(), Odd(), 1j, [object()], {1: 2}, BytesPath()):
        error = refused(parameter, library, value)
        assert isinstance(error, InvalidInput) and parameter.name in error.message


@pytest.mark.slow
@settings(max_examples=500, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PARAMETERS), st.sampled_from(sorted(WRONG)))
def test_only_our_errors_come_out_for_wrong_arguments(library: Library, parameter: Parameter, named: str) -> None:
    if wrong_for(parameter, WRONG[named]):
        refused(parameter, library, WRONG[named])


@pytest.mark.slow
def test_every_wrong_value_is_refused_by_every_argument(library: Library) -> None:
    tried = 0
    for parameter in PARAMETERS:
        for value in WRONG.values():
            if wrong_for(parameter, value):
                refused(parameter, library, value)
                tried += 1
    assert tried > 3000


NASTY: dict[type, tuple[Any, ...]] = {
    str: ("", " ", "\0", "\ud800", "x" * 5000, "nowhere/../x", "a\nb", "-", "%s{0}", "nul", "\x1b[31m"),
    int: (-1, 0, 2**31, 2**63 - 1, -(2**63) + 1),
    float: (-1.0, 0.0, 5e-324, 1.7e308, 2.0),
}
"""Values of the right type that make no sense, or nearly none."""


def nasty() -> Iterator[tuple[Parameter, Any]]:
    for parameter in PARAMETERS:
        for values in NASTY.values():
            yield from ((parameter, value) for value in values if takes(parameter.annotation, value))
            yield from ((parameter, [value]) for value in values if takes(parameter.annotation, [value]))
            yield from ((parameter, {value: value}) for value in values if takes(parameter.annotation, {value: value}))


@pytest.mark.slow
def test_values_that_make_no_sense_are_refused_or_do_no_harm(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    tried, foreign = 0, []
    for parameter, value in nasty():
        tried += 1
        try:
            parameter.call(library, value)
        except MmsearchError as error:
            assert error.message
        except Exception as error:
            foreign.append(f"{parameter} = {value!r:.60}: {type(error).__name__}: {error}"[:200])
    assert foreign == [] and tried > 500
    assert [hit.path.name for hit in library.search("red", 1)] == ["red.txt"]


LONG = "x" * 5000
FAMILIES = ("open_clip:a/", "hf-hub:a/", "local-dir:/", "adapter:/", "connected:", "", "a:")
NAMES = [
    *(f"{family}{end}" for family in FAMILIES for end in (LONG, "\0")),
    "math:sqrt", "os:getenv", "os:nothing", "no.such.module:space", "local-dir:", ":", "a:b:c", "\ud800",
    "connected:..",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:20]))
def test_a_model_s_name_that_no_model_can_have_is_refused(library: Library, name: str) -> None:
    for use in (library.model.add, library.model.switch, library.model.drop):
        with pytest.raises(MmsearchError):
            use(name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda library: library.search("red", modalities="image"), "modalities can't be 'image'"),
        (lambda library: library.search("red", modalities=["images"]), "unknown modality 'images'"),
        (lambda library: library.search("red", k=1.5), "k can't be 1.5"),
        (lambda library: library.search("red", k=True), "k can't be True"),
        (lambda library: library.search("red", k=-1), "k must be at least 1"),
        (lambda library: library.search("red", k=0), "k must be at least 1"),
        (lambda library: library.search("red", k=10**30), "k can't be 1000000000000"),
        (lambda library: library.search("red", offset=-1), "offset at least 0"),
        (lambda library: library.search("red", mode="words"), "mode can't be 'words'"),
        (lambda library: library.search("red", filter="size <"), "filter"),
        (lambda library: library.search("red", filter=5), "filter can't be 5"),
        (lambda library: library.search(b"red"), "query can't be a bytes"),
        (lambda library: library.search(None), "query can't be a NoneType"),
        (lambda library: library.search(Path("x" * 300)), "the name is too long"),
        (lambda library: library.search(Path("a\0b")), "null"),
        (lambda library: library.search(mmsearch.Query(image="a\0b")), "null"),
        (lambda library: library.search(mmsearch.Query(audio="x" * 300)), "the name is too long"),
        (lambda library: library.search((np.zeros(9), -5)), "a rate in Hz"),
        (lambda library: library.search((np.zeros((9, 200)), 8000)), "200 channels"),
        (lambda library: library.search((np.full(9, "a"), 8000)), "samples can't be read"),
        (lambda library: library.duplicates(math.nan), "threshold can't be nan"),
        (lambda library: library.evaluate("pairs.tsv", k=5), "k can't be 5"),
        (lambda library: library.evaluate("pairs.tsv", directions="text-image"), "directions can't be"),
        (lambda library: library.label("red,green"), "names can't be 'red,green'"),
        (lambda library: library.label(["red", 5]), "names[1] can't be 5"),
        (lambda library: library.set_meta("red.txt", {"a": 1, "b": math.nan}), "values['b'] can't be nan"),
        (lambda library: library.set_meta("red.txt", {"b": [1]}), "values['b'] can't be a list"),
        (lambda library: library.search_many(["red", None]), "queries[1] can't be a NoneType"),
        (lambda library: library.embed(["red", None]), "given[1] can't be a NoneType"),
        (lambda library: library.tag(["red.txt", "a\0b"], ["x"]), "paths[1] can't be 'a\\x00b': embedded null"),
        (lambda library: library.tag({5}, ["x"]), "paths can't be 5"),
        (lambda library: library.remove(""), "paths can't be '': it is empty"),
        (lambda library: library.ingest(""), "paths can't be '': it is empty"),
        (lambda library: library.get(""), "which can't be '': it is empty"),
        (lambda library: library.tag("", ["x"]), "paths can't be '': it is empty"),
        (lambda library: library.set_meta(["red.txt", ""], {"a": 1}), "paths[1] can't be '': it is empty"),
        (lambda library: library.backup(""), "path can't be '': it is empty"),
        (lambda library: library.label(["red", "green"], min_confidence="1"), "min_confidence can't be '1'"),
        (lambda library: library.ingest("media", exclude="*.png"), "exclude can't be"),
        (lambda library: library.ingest(5), "paths can't be 5"),
        (lambda library: library.failures("sad"), "'sad' is not a failure class"),
        (lambda library: library.index.tune(math.inf), "recall can't be inf"),
        (lambda library: library.train.projection("pairs.tsv", epochs="2"), "epochs can't be '2'"),
        (lambda library: library.train.projection("pairs.tsv", lr=math.nan), "lr can't be nan"),
        (lambda library: library.train.labels("table.tsv", hidden=1.5), "hidden can't be 1.5"),
        (lambda library: library.train.labels("table.tsv", nonsense=1), "unknown training settings: nonsense"),
        (lambda library: library.train.labels("table.tsv", balanced=1), "balanced can't be 1"),
        (lambda library: library.train.adapter("pairs.tsv", towers="image"), "towers can't be 'image'"),
    ],
)  # fmt: skip
def test_a_message_says_which_argument_and_why(library: Library, call: Callable[[Any], Any], message: str) -> None:
    before = written(library)
    with pytest.raises(InvalidInput) as caught:
        call(library)
    assert message in caught.value.message
    assert written(library) == before


QUERIES: dict[str, Callable[[], Any]] = {
    "an image": lambda: mmsearch.Query(image=3),  # type: ignore[arg-type]
    "an array as an image": lambda: mmsearch.Query(image=np.zeros((2, 2, 3))),  # type: ignore[arg-type]
    "words": lambda: mmsearch.Query(5),  # type: ignore[arg-type]
    "a sound without a rate": lambda: mmsearch.Query(audio=(np.zeros(3),)),  # type: ignore[arg-type]
    "a sound": lambda: mmsearch.Query(audio=[0.0]),  # type: ignore[arg-type]
    "a video": lambda: mmsearch.Query(video=object()),  # type: ignore[arg-type]
    "like": lambda: mmsearch.Query(like="12"),  # type: ignore[arg-type]
    "parts": lambda: mmsearch.Query(mixed="red"),  # type: ignore[arg-type]
    "a weight": lambda: mmsearch.QueryPart("text", "red", "2"),  # type: ignore[arg-type]
    "an endless weight": lambda: mmsearch.Query("red") * math.inf,
    "a modality": lambda: mmsearch.QueryPart(None, "red"),  # type: ignore[arg-type]
    "what to leave out": lambda: mmsearch.Query.mix(text="red", without=5),  # type: ignore[arg-type]
    "a column": lambda: mmsearch.Comparison([], "=", "red"),  # type: ignore[arg-type]
    "an operator": lambda: mmsearch.Comparison("name", None, "red"),  # type: ignore[arg-type]
    "no value": lambda: mmsearch.Comparison("name", "=", [object()]),  # type: ignore[arg-type]
    "a part of And": lambda: mmsearch.And(("red",)),  # type: ignore[arg-type]
    "parts of Or": lambda: mmsearch.Or(5),  # type: ignore[arg-type]
    "what Not is of": lambda: mmsearch.Not("red"),  # type: ignore[arg-type]
    "a period": lambda: mmsearch.Period("2024", "2025"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("make", QUERIES.values(), ids=list(QUERIES))
def test_a_query_and_a_filter_refuse_what_they_cannot_be_made_of(make: Callable[[], Any]) -> None:
    with pytest.raises(InvalidInput):
        make()


@pytest.mark.parametrize("other", [5, "red", None, object()])
def test_a_query_adds_up_with_queries_alone(other: Any) -> None:
    for work in (operator.add, operator.sub):
        with pytest.raises(TypeError, match="unsupported operand"):
            work(mmsearch.Query("red"), other)
    with pytest.raises(TypeError):
        operator.mul(mmsearch.Query("red"), str(other))


SETTINGS = [
    (name, value) for name in mmsearch.SettingsArguments.__annotations__ for value in ([], object(), 1j, b"", Odd())
]


@pytest.mark.parametrize(("name", "value"), [pytest.param(*one, id=f"{one[0]}-{n}") for n, one in enumerate(SETTINGS)])
def test_a_setting_refuses_what_is_no_value_of_it(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=f"setting {name} can't be"):
        mmsearch.open(tmp_path, **{name: value})


def test_numbers_of_any_library_are_numbers(library: Library) -> None:
    found = library.search("red", k=np.int64(1), offset=np.uint8(1), dedup=np.bool_(False))  # type: ignore[arg-type]
    assert [hit.path.name for hit in found] == ["green.txt"]
    assert library.search("red", 1, modalities={"text"}) == library.search("red", 1, modalities=["text"])
    assert library.duplicates(np.float32(0.5)) == library.duplicates(0.5)  # type: ignore[arg-type]


def test_a_picture_and_a_sound_in_memory_are_queries(library: Library) -> None:
    picture = Image.new("RGB", (8, 8), (255, 0, 0))
    assert isinstance(picture, PillowImage)
    by_picture = library.search(picture, 2)
    assert [hit.path.name for hit in by_picture] == ["red.txt", "green.txt"]
    assert by_picture == library.search(mmsearch.Query(image=picture), 2)
    rate = 16_000
    tone = np.sin(2 * np.pi * 200 * np.arange(rate) / rate)
    by_sound = library.search((tone, rate), 2)
    assert by_sound == library.search(mmsearch.Query(audio=(tone.tolist(), rate)), 2) and len(by_sound) == 2
    assert library.explain(picture, by_picture[0]).score == pytest.approx(1.0)


def test_what_an_argument_is_is_said_in_words() -> None:
    assert arguments.described(str | os.PathLike[str] | None) == "a text or a path"
    assert arguments.described(collections.abc.Sequence[int]) == "a list, each of it a whole number"
    assert arguments.described(typing.Literal["a", "b"]) == "'a' or 'b'"
    assert arguments.described(mmsearch.QueryLike).startswith("a text or a path or a Query or a PIL image or (an array")
