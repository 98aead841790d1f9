"""Items of a library: looked up, listed and counted; a person's tags and own metadata, kept whatever happens."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import mmsearch
from mmsearch.catalog import listing
from mmsearch.core.filters.ast import And, Comparison, Period
from mmsearch.errors import InvalidInput, LibraryNotFound, MmsearchError
from mmsearch.library import Library
from tests.generated import picture, sound, words
from tests.media.test_sidecar import xmp
from tests.module_library import ModuleLibrary


def fill(media: Path) -> None:
    picture(media / "red.png", "red")
    picture(media / "more" / "green.png", "green", side=64)
    sound(media / "low.wav", "low")
    words(media / "note.txt", "a blue house")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


def names(library: Library, where: str | Any) -> list[str]:
    found = [item.path.name for item in library.items(where)]
    assert library.count(where) == len(found)
    assert {hit.path.name for hit in library.search("red", filter=where)} == set(found), "a search says the same"
    return found


def test_an_item_has_what_is_known_of_its_file(library: Library, folder: Path) -> None:
    path = folder / "more" / "green.png"
    os.utime(path, (1_700_000_000, 1_700_000_000.25))
    library.ingest(folder)
    item = library.get(path)
    assert item is not None
    assert (item.path, item.modality, item.state, item.size) == (path, "image", "present", path.stat().st_size)
    assert item.modified == datetime(2023, 11, 14, 22, 13, 20, 250000, UTC)
    assert (item.width, item.height, item.duration, item.camera, item.gps, item.taken) == (64, 64, *[None] * 4)
    assert (item.tags, item.labels, item.meta) == ((), (), {})
    assert item.metadata == {"width": 64, "height": 64, "format": "PNG"}
    (hit,) = library.search("green", 1)
    assert library.get(hit.item_id) == item and {item} == {library.get(item.id)}
    sounds = library.get(str(folder / "low.wav"))
    assert sounds is not None and sounds.duration == 2.5 and sounds.modality == "audio"


def test_what_is_not_known_is_none_and_what_names_no_item_is_refused(library: Library, folder: Path) -> None:
    assert [library.get(which) for which in (0, 99, -1, folder, folder / "other.png")] == [None] * 5
    wrong: list[Any] = [None, True, 1.5, 2**70, b"red.png", [1], "a\0b", "\ud800\udfff"]
    for which in wrong:
        with pytest.raises(InvalidInput):
            library.get(which)


def test_a_library_that_is_not_there_has_no_items_to_give(open_tiny: Callable[..., Library]) -> None:
    none = open_tiny("none")
    for ask in (partial(none.get, 1), none.items, none.count, partial(none.tag, "a", ["b"])):
        with pytest.raises(LibraryNotFound):
            ask()


def test_items_come_by_path_page_by_page(library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = [folder / name for name in ("low.wav", "more/green.png", "note.txt", "red.png")]
    for page in (1, 3, 500):
        monkeypatch.setattr(listing, "PAGE", page)
        assert [item.path for item in library.items()] == everything
    assert [item.path.name for item in library.items(modalities=["image"])] == ["green.png", "red.png"]
    assert library.count() == 4 and library.count(modalities={"image", "text"}) == 3
    assert library.count("width > 32", ["image"]) == 1 and library.count("width > 32", ["text"]) == 0
    assert names(library, And((Comparison("width", ">", 32),))) == ["green.png"]


def test_what_is_taken_in_between_two_pages_is_in_the_second(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    found = library.items()
    assert next(found).path.name == "low.wav"
    words(folder / "zebra.txt", "light")
    library.ingest(folder)
    assert [item.path.name for item in found] == ["green.png", "note.txt", "red.png", "zebra.txt"]


def test_a_missing_file_is_an_item_but_only_listed_if_asked_for(library: Library, folder: Path) -> None:
    (folder / "note.txt").unlink()
    library.ingest(folder)
    item = library.get(folder / "note.txt")
    assert item is not None and item.state == "missing"
    assert library.count() == 3 and library.count(missing=True) == 4
    assert [one.path.name for one in library.items("name = note.txt", missing=True)] == ["note.txt"]
    library.prune()
    assert library.get(folder / "note.txt") is None and library.get(item.id) is None


def test_wrong_arguments_are_refused_at_once(library: Library, folder: Path) -> None:
    wrong: list[Callable[[], Any]] = [
        lambda: library.items("no filter at"),
        lambda: library.items(5),  # type: ignore[arg-type]
        lambda: library.count(b"name = a"),  # type: ignore[arg-type]
        lambda: library.items(modalities="image"),
        lambda: library.items(modalities=["smell"]),
        lambda: library.count(modalities=[1]),  # type: ignore[list-item]
        lambda: library.count(modalities=5),  # type: ignore[arg-type]
    ]
    paths: list[Any] = [None, 5, [], [None], b"red.png", [b"red.png"], "\0", "\ud800\udfff", folder / "other.png"]
    wrong += [partial(library.tag, path, ["a"]) for path in paths]
    tags: list[Any] = ["dog", b"dog", [""], [" "], [5], [None], ["a\0"], ["\ud800"], ["x" * 10_001], 5, []]
    wrong += [partial(library.tag, folder, tag) for tag in tags]
    wrong += [partial(library.tag, folder, ["fine"], tag) for tag in (*tags[:-1], ["fine"])]
    values: list[Any] = [
        None, {}, [], "a", {1: 2}, {"": 1}, {"a b": 1}, {".a": 1}, {"a" * 65: 1}, {"a=": 1}, {"a": object()},
        {"a": [1]}, {"a": b"x"}, {"a": float("nan")}, {"a": float("inf")}, {"a": 2**53 + 1}, {"a": 1e30},
        {"a": "\0"}, {"a": "\ud800"}, {"a": "x" * 10_001}, {"a": datetime(2024, 1, 1, tzinfo=UTC)}, {"a": 1j},
    ]  # fmt: skip
    wrong += [partial(library.set_meta, folder, value) for value in values]
    for ask in wrong:
        with pytest.raises(InvalidInput):
            ask()
    assert [(item.tags, item.meta) for item in library.items()] == [((), {})] * 4, "nothing of it was written"


def test_a_person_s_tags_are_found_by_filters_and_words_and_can_be_taken_back(library: Library, folder: Path) -> None:
    assert library.tag(folder / "note.txt", add=["dear", " holiday in Rome "]) == 1
    item = library.get(folder / "note.txt")
    assert item is not None and item.tags == ("dear", "holiday in Rome") and item.labels == ()
    assert names(library, "tag = dear") == ["note.txt"]
    assert [hit.path.name for hit in library.search("rome", mode="keyword")] == ["note.txt"]
    assert library.tag([str(folder / "more"), folder / "note.txt", folder / "more" / "green.png"], ["seen"]) == 2
    assert names(library, "tag = seen") == ["green.png", "note.txt"]
    assert library.tag(folder, add=["all"], remove=["dear", "unknown"]) == 4
    assert names(library, "tag = dear") == [] and len(names(library, "tag = all")) == 4
    assert library.search("dear", mode="keyword") == []


def test_a_model_s_label_never_replaces_a_person_s_tag_and_is_replaced_by_it(library: Library, folder: Path) -> None:
    library.tag(folder / "red.png", add=["red"])
    library.label(["red", "green"], save=True, min_confidence=0)
    red, green = library.get(folder / "red.png"), library.get(folder / "more" / "green.png")
    assert red is not None and (red.tags, red.labels) == (("red",), ())
    assert green is not None and green.tags == () and [name for name, _ in green.labels] == ["green"]
    library.tag(folder, remove=["red"])
    library.tag(folder / "more", add=["green"])
    library.label(["red", "green"], save=True, min_confidence=0)
    red, green = library.get(folder / "red.png"), library.get(folder / "more" / "green.png")
    assert red is not None and red.tags == () and [name for name, _ in red.labels] == ["red"]
    assert green is not None and (green.tags, green.labels) == (("green",), ())


GIVEN: dict[str, mmsearch.MetaValue] = {
    "rating": 5, "price": 2.5, "done": True, "due": date(2024, 5, 1), "at": datetime(2024, 5, 1, 12, 30),
    "who": "Ada Lovelace", "作者": "5", "a.b-c_1": -(2**53),
}  # fmt: skip


def test_own_metadata_comes_back_as_it_was_given(library: Library, folder: Path) -> None:
    assert library.set_meta(folder / "red.png", GIVEN) == 1
    item = library.get(folder / "red.png")
    assert item is not None and item.meta == GIVEN
    assert {key: type(value) for key, value in item.meta.items()} == {key: type(it) for key, it in GIVEN.items()}
    library.set_meta([folder / "red.png"], {"rating": "five", "due": None, "none": None})
    item = library.get(folder / "red.png")
    assert item is not None and item.meta == {k: v for k, v in GIVEN.items() if k != "due"} | {"rating": "five"}


MATCHING = {
    "meta.rating = 5": True, "meta.rating = 5.0": True, "meta.rating = 4": False, "meta.rating >= 5": True,
    "meta.rating > 5": False, "meta.rating < 1e3": True, "meta.rating in (1, 5)": True, "meta.rating != 4": True,
    "meta.rating != 5": False, "meta.rating contains 5": False, "meta.price <= 2.5": True, "meta.price < 2.5": False,
    "meta.done = true": True, "meta.done = TRUE": True, "meta.done = false": False, "meta.done != false": True,
    "meta.done > 0": False, "meta.due = 2024": True, "meta.due = 2024-05": True, "meta.due = 2024-06": False,
    "meta.due > 2024-04": True, "meta.due >= 2024-05-01": True, "meta.due > 2024-05-01": False, "meta.due < 2025": True,
    "meta.due in (2023, 2024-05-01)": True, "meta.due != 2024-05-02": True, "meta.at = 2024-05-01": True,
    "meta.at = '2024-05-01 12:30'": True, "meta.at > 2024-05-01T12:00": True, "meta.who = 'Ada Lovelace'": True,
    "meta.who = Ada": False, "meta.who contains Love": True, "meta.who contains love": False,
    "meta.who glob 'Ada *'": True, "meta.who glob '*a'": False, "meta.who in (Bob, 'Ada Lovelace')": True,
    "meta.who != Bob": True, "meta.who < 5": False, "meta.作者 = 5": True, "meta.作者 > 4": False,
    "meta.a.b-c_1 = -9007199254740992": True, "meta.who is known": True,
    "meta.other is known": False, "meta.other = 1": False, "meta.other != 1": False, "meta.WHO is known": False,
}  # fmt: skip
"""Filter -> whether the item with `GIVEN` matches; the others have no metadata."""


def test_own_metadata_is_filtered_as_what_it_is(library: Library, folder: Path) -> None:
    library.set_meta(folder / "red.png", GIVEN)
    for number, (where, wanted) in enumerate(MATCHING.items()):
        # The two ask by other statements.
        if number % 2:
            assert [item.path.name for item in library.items(where)] == (["red.png"] if wanted else []), where
        else:
            assert library.count(f"not {where}") == 4 - wanted, where
    assert names(library, "meta.who is missing") == ["low.wav", "green.png", "note.txt"]


def test_a_filter_built_in_python_says_by_types_how_it_is_meant(library: Library, folder: Path) -> None:
    library.set_meta(folder / "red.png", GIVEN)
    may = Period(datetime(2024, 5, 1), datetime(2024, 6, 1))
    asked: list[tuple[Any, bool]] = [
        (Comparison("meta.rating", "=", 5), True), (Comparison("meta.rating", "=", "5"), False),
        (Comparison("meta.作者", "=", 5), False), (Comparison("meta.作者", "=", "5"), True),
        (Comparison("meta.done", "=", True), True), (Comparison("meta.rating", "=", True), False),
        (Comparison("meta.due", "=", may), True), (Comparison("meta.rating", "in", (1, "x", may, 5)), True),
    ]  # fmt: skip
    for where, wanted in asked:
        assert names(library, where) == (["red.png"] if wanted else []), where
    wrong: list[Callable[[], Any]] = [
        lambda: Comparison("meta.", "=", 5), lambda: Comparison("meta.a b", "=", 5),
        lambda: Comparison("meta.a", "<", "x"),
        lambda: Comparison("meta.a", "<", True), lambda: Comparison("meta.a", "glob", 5),
        lambda: Comparison("meta.a", "=", float("nan")), lambda: Comparison("meta.a", "=", object()),  # type: ignore[arg-type]
        lambda: Comparison("meta.a", "~", 5),  # type: ignore[arg-type]
        lambda: Comparison("meta.a", "in", (may,) * 101), lambda: Comparison("meta.a", "in", ("x",) * 10_001),
    ]  # fmt: skip
    for make in wrong:
        with pytest.raises(InvalidInput):
            make()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("meta.rating < abc", "meta.rating < takes a number or a date, not 'abc'"),
        ("meta. = 5", "'meta.' names no key"),
        ("meta.-a = 5", "'meta.-a' names no key"),
        ("meta.a glob '[x'", "the class opened by \\[ is not closed"),
        ("metta = 5", "there is no column 'metta'"),
    ],
)
def test_a_filter_over_own_metadata_that_makes_no_sense_is_shown(library: Library, where: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        library.count(where)


@pytest.mark.slow
def test_tags_and_own_metadata_stay_when_a_file_moves_is_copied_or_edited(library: Library, folder: Path) -> None:
    note = folder / "note.txt"
    before = library.get(note)
    library.tag(note, add=["dear"])
    library.set_meta(note, {"rating": 5})
    note.rename(folder / "moved.txt")
    library.ingest(folder)
    (folder / "copy.txt").write_bytes((folder / "moved.txt").read_bytes())
    library.ingest(folder)
    moved, copy = library.get(folder / "moved.txt"), library.get(folder / "copy.txt")
    assert before is not None and moved is not None and moved.id == before.id
    for item in (moved, copy):
        assert item is not None and (item.tags, item.meta) == (("dear",), {"rating": 5})
    words(folder / "moved.txt", "a red house, edited")
    library.ingest(folder)
    assert names(library, "tag = dear and meta.rating = 5") == ["copy.txt", "moved.txt"]
    library.tag(folder / "moved.txt", remove=["dear"])
    assert names(library, "tag = dear") == ["copy.txt"], "the two are different contents by now"


@pytest.mark.slow
def test_a_file_that_another_known_one_is_copied_over_has_that_one_s_tags(library: Library, folder: Path) -> None:
    library.tag(folder / "note.txt", add=["dear"])
    words(folder / "other.txt", "green")
    library.ingest(folder)
    words(folder / "note.txt", "green")
    library.ingest(folder)
    assert [(item.path.name, item.tags) for item in library.items(modalities=["text"])] == [
        ("note.txt", ()), ("other.txt", ()),
    ]  # fmt: skip


@pytest.mark.slow
def test_an_edited_file_s_keywords_are_those_it_has_now(library: Library, folder: Path) -> None:
    inside = "<dc:subject><rdf:Bag><rdf:li>{}</rdf:li><rdf:li>{}</rdf:li></rdf:Bag></dc:subject>"
    subject = f"<rdf:Description>{inside}</rdf:Description>"
    sidecar = folder / "red.png.xmp"
    words(sidecar, xmp(subject.format("old", "both")))
    library.ingest(folder)
    library.tag(sidecar, add=["mine"])
    words(sidecar, xmp(subject.format("both", "new")))
    library.ingest(folder)
    item = library.get(sidecar)
    assert item is not None and item.tags == ("both", "mine", "new")


def test_a_removed_file_s_tags_and_metadata_are_forgotten(library: Library, folder: Path) -> None:
    library.tag(folder, add=["dear"])
    library.set_meta(folder, {"rating": 5})
    library.remove(folder / "red.png")
    library.ingest(folder)
    item = library.get(folder / "red.png")
    assert item is not None and (item.tags, item.meta) == ((), {})


def test_many_files_are_tagged_in_few_transactions(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsearch.maintenance.items.TOGETHER", 2)
    before = library.status().generation
    assert library.tag(sorted(folder.iterdir()), add=["all"]) == 4
    assert library.status().generation == before + 2 and library.count("tag = all") == 4


def test_only_our_errors_come_out_of_own_metadata_s_filters(library: Library, folder: Path) -> None:
    library.set_meta(folder, GIVEN)
    for operator in ("=", "!=", "<", "<=", ">", ">=", "contains", "glob"):
        for value in (
            "5",
            "1e400",
            "-1e99",
            "2024-13",
            "9999-12-31",
            "true",
            "''",
            "[",
            "x" * 10_001,
            "\ud800",
            "%",
            "'*'",
        ):
            for key in ("rating", "at", "who", "\ud800", "x" * 65):
                try:
                    library.count(f"meta.{key} {operator} {value}")
                except MmsearchError as error:
                    assert isinstance(error, InvalidInput)


def test_what_cannot_be_kept_is_said_in_a_line(library: Library, folder: Path) -> None:
    library.ingest(folder)
    long = "x" * 100_000
    refused: dict[str, Callable[[], object]] = {
        f"'{long[:58]}… is no tag": lambda: library.tag(folder, [long]),
        f"'{long[:58]}… is no key of own metadata": lambda: library.set_meta(folder, {long: 1}),
        f"the value of a can't be kept: '{long[:58]}…": lambda: library.set_meta(folder, {"a": long}),
        "the value of a can't be kept: 9007199254740993": lambda: library.set_meta(folder, {"a": 2**53 + 1}),
        "the value of a can't be kept: 1e+20": lambda: library.set_meta(folder, {"a": 1e20}),
    }
    for message, call in refused.items():
        with pytest.raises(InvalidInput) as raised:
            call()
        assert raised.value.message == message


@pytest.mark.slow
def test_the_times_of_many_items_are_those_of_each(library: Library, folder: Path) -> None:
    words(folder / "red.txt", "red")
    words(folder / "old.txt", "green")
    os.utime(folder / "old.txt", ns=(1, -1_500))
    library.ingest(folder)
    known = {item.id: item.modified for item in library.items()}
    assert library.modified_of([*known, 10**9]) == known and len(known) == 6
    assert min(known.values()) == datetime(1969, 12, 31, 23, 59, 59, 999998, tzinfo=UTC)
