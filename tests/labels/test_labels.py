"""Labels through a library: exact over the tiny space, plausible over the starter space."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import mmsearch
from mmsearch.errors import InvalidInput, LibraryEmpty
from mmsearch.library import Library
from tests.conftest import CHECKOUT, Run
from tests.generated import picture, sound, video, words
from tests.module_library import ModuleLibrary


def fill(folder: Path) -> None:
    for n in range(6):
        words(folder / f"note{n}.txt", f"something about matter number {n}")
    for colour in ("red", "green", "dark"):
        picture(folder / f"{colour}.png", colour)
    for tone in ("low", "mid"):
        sound(folder / f"{tone}.wav", tone)
    video(folder / "film.mp4", "blue", "green")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.fixture
def filled(library: Library) -> Library:
    return library


def given(library: Library, *names: str, **options: object) -> dict[str, str | None]:
    return {one.path.name: one.label for one in library.label(names, **options)}  # type: ignore[arg-type]


def tags(library: Library) -> list[tuple[str, float | None]]:
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        return db.execute("SELECT tag, confidence FROM tags ORDER BY tag").fetchall()


def test_each_item_gets_the_nearest_label_or_none(filled: Library) -> None:
    found = given(filled, "red", "green", "low", modalities=("image", "audio", "video"))
    assert found == {
        "red.png": "red", "green.png": "green", "dark.png": None, "low.wav": "low", "mid.wav": None,
        "film.mp4": "green",
    }  # fmt: skip
    assert tags(filled) == [], "nothing is written unasked"


def test_a_label_has_a_confidence_and_a_runner_up(filled: Library, folder: Path) -> None:
    red, dark = (
        next(one for one in filled.label(["red", "green"]) if one.path == folder / name)
        for name in ("red.png", "dark.png")
    )
    assert (red.label, red.runner_up, red.modality) == ("red", "green", "image") and red.confidence > 0.99
    assert dark.label is None and dark.confidence < 0.5


def test_min_confidence_decides_which_labels_are_given(filled: Library) -> None:
    assert None not in given(filled, "red", "green", min_confidence=0).values()
    assert given(filled, "red", "green", modalities=("audio",), min_confidence=1) == {"low.wav": None, "mid.wav": None}
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        filled.label(["red", "green"], min_confidence=1.5)


def test_only_items_that_pass_the_filter_are_labelled(filled: Library) -> None:
    assert given(filled, "red", "green", filter="name = red.png") == {"red.png": "red"}
    assert given(filled, "red", "green", filter="name = nothing.png") == {}
    copies = given(filled, "red", "green", modalities=("text",))
    assert len(copies) == 6


def test_saved_labels_are_tags(filled: Library) -> None:
    filled.label(["red", "green", "low"], modalities=("image", "audio"), save=True)
    assert [tag for tag, _ in tags(filled)] == ["green", "low", "red"]
    assert all(sure is not None and 0.95 <= sure <= 1 for _, sure in tags(filled))
    assert [hit.path.name for hit in filled.search("anything", filter="tag = low")] == ["low.wav"]
    assert [hit.path.name for hit in filled.search("low", mode="keyword", modalities=("audio",))] == ["low.wav"]


def test_saved_labels_replace_a_model_s_tags_and_no_person_s(filled: Library) -> None:
    filled.label(["red", "green"], modalities=("image",), save=True, min_confidence=0)
    assert len(tags(filled)) == 3, "dark.png too"
    with closing(sqlite3.connect(filled.path / "catalog.sqlite")) as db, db:
        db.execute("INSERT INTO tags SELECT content_id, 'blue', NULL FROM tags WHERE confidence > 0.99")
        db.execute("INSERT INTO tags SELECT content_id, 'kept', 0.5 FROM tags WHERE tag = 'green' LIMIT 1")
        db.execute("UPDATE tags SET confidence = NULL WHERE tag = 'red'")
    filled.label(["red", "green", "blue"], modalities=("image",), save=True)
    now = tags(filled)
    assert [tag for tag, _ in now if tag != "red"] == ["blue", "blue", "green", "kept"]
    assert all(sure is None for tag, sure in now if tag in ("red", "blue")), "a person's word stands"
    assert ("kept", 0.5) in now, "so does a model's with another name"


def test_items_outside_the_filter_keep_their_labels(filled: Library) -> None:
    filled.label(["red", "green"], modalities=("image",), save=True, min_confidence=0)
    assert len(tags(filled)) == 3
    filled.label(["red", "green"], filter="name = dark.png", save=True)
    assert [tag for tag, _ in tags(filled)] == ["green", "red"]


def test_labelling_an_empty_library_or_with_one_label_is_refused(
    open_tiny: Callable[..., Library], tmp_path: Path
) -> None:
    library, folder = open_tiny("nothing yet"), tmp_path / "none"
    folder.mkdir()
    library.ingest(folder)
    with pytest.raises(LibraryEmpty):
        library.label(["red", "green"])
    with pytest.raises(InvalidInput, match="two names"):
        library.label(["red"])


@pytest.mark.slow
def test_the_label_command_prints_saves_and_lists_labels(run: Run, process: Run) -> None:
    done = process("label", "--as", "red, green", "--in", "image", "--save")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert [(row[0], row[4]) for row in rows] == [
        ("none of these", "media/dark.png"), ("green", "media/green.png"), ("red", "media/red.png"),
    ]  # fmt: skip
    assert done.stderr.decode() == "2 labelled and saved, 1 with none of these\n"
    listed = json.loads(run("label", "--as", "red,green", "--filter", "tag = red", "--json").stdout)
    assert [(one["label"], one["runner_up"]) for one in listed] == [("red", "green")]
    single = run("label", "--as", "red")
    assert single.returncode == 2 and b"two names are needed" in single.stderr and b"Hint" in single.stderr


@pytest.mark.slow
def test_real_sounds_get_their_labels(open_tiny: Callable[..., Library], tmp_path: Path) -> None:
    with mmsearch.open(tmp_path / "real") as library:
        library.ingest(CHECKOUT / "mmsearch" / "resources" / "samples" / "sounds")
        found = given(library, "dog barking", "rooster crowing", "rain", min_confidence=0)
        assert found["dog-barking-sharply.ogg"] == "dog barking"
        assert found["rooster-crowing.ogg"] == "rooster crowing"
        assert found["rain-in-louisiana.ogg"] == "rain"
        none = given(library, "trumpet", "bicycle", filter="name glob 'dog-*'")
        assert set(none.values()) == {None}
