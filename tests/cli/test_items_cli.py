"""`mmsearch items` and `mmsearch tag`."""

import json
from pathlib import Path

import pytest

import mmsearch
from tests.conftest import Run
from tests.generated import picture, words
from tests.module_library import ModuleLibrary


def fill(media: Path) -> None:
    picture(media / "red.png", "red")
    words(media / "note.txt", "a blue house")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


def printed(run: Run, *arguments: str | Path) -> list[list[str]]:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr.decode()
    return [line.split("\t") for line in done.stdout.decode().splitlines()]


def test_tags_and_metadata_are_given_listed_filtered_and_taken_away(run: Run, folder: Path) -> None:
    red = folder / "red.png"
    given = ["--meta", "rating=5", "--meta", "price=2.5", "--meta", "done=true", "--meta", "due=2024-05-01"]
    given += ["--meta", "at=2024-05-01T12:30", "--meta", 'code="007"', "--meta", "who=Ada=Lovelace", "--meta", "n=-1e3"]
    assert printed(run, "tag", red, "--add", "dear", "--add", "in Rome", *given) == [["changed 1 item"]]
    assert printed(run, "items", "--filter", "meta.rating >= 5 and meta.due = 2024-05 and tag = dear") == [
        ["2", "image", "media/red.png", "dear, in Rome",
         "at=2024-05-01T12:30:00, code=007, done=true, due=2024-05-01, n=-1000.0, price=2.5, rating=5, "
         "who=Ada=Lovelace"],
    ]  # fmt: skip
    assert [row[0] for row in printed(run, "query", "red", "--filter", "meta.code = '007'", "--paths")] == [str(red)]
    (item,) = json.loads(run("items", red, "--json").stdout)
    assert (item["id"], item["path"], item["tags"], item["state"]) == (2, str(red), ["dear", "in Rome"], "present")
    assert item["meta"] == {
        "rating": 5, "price": 2.5, "done": True, "due": "2024-05-01", "at": "2024-05-01T12:30:00", "code": "007",
        "who": "Ada=Lovelace", "n": -1000.0,
    }  # fmt: skip
    assert printed(run, "tag", folder, "--remove", "dear", "--meta", "rating=") == [["changed 2 items"]]
    assert printed(run, "items", "--filter", "tag = dear or meta.rating is known") == []
    assert json.loads(run("items", "--filter", "tag = dear", "--json").stdout) == []


def test_only_what_people_write_as_a_number_is_one(run: Run, folder: Path) -> None:
    values = {"a": "2024_01", "b": "1\u0663", "c": "-", "d": "+5", "e": ".5", "f": "1e3", "g": "12:30", "h": "-_1"}
    run("tag", folder / "red.png", *(part for key, value in values.items() for part in ("--meta", f"{key}={value}")))
    (item,) = json.loads(run("items", folder / "red.png", "--json").stdout)
    assert item["meta"] == values | {"d": 5, "e": 0.5, "f": 1000.0}


@pytest.mark.slow
def test_a_folder_called_mem_is_not_the_media_in_memory(run: Run, folder: Path, tmp_path: Path) -> None:
    words(tmp_path / "mem:" / "note.txt", "a red house")
    with mmsearch.open(tmp_path / "library", space="tests.tiny:space") as library:
        library.ingest_media(mmsearch.Media("n.txt", b"green", id="note"))
    assert run("ingest", "./mem:", "--library", "library").returncode == 0
    rows = printed(run, "items", "./mem:/note.txt", "--library", "library")
    assert [row[2] for row in rows] == ["./mem:/note.txt"]
    assert printed(run, "tag", "./mem:", "--add", "x", "--library", "library") == [["changed 1 item"]]
    assert printed(run, "remove", "./mem:", "--library", "library") == [["forgot 1 item"]]
    assert printed(run, "items", "--filter", "root = 'mem:'", "--count", "--library", "library") == [["1"]]


def test_items_are_listed_and_counted(run: Run, folder: Path) -> None:
    assert [row[2] for row in printed(run, "items")] == ["media/note.txt", "media/red.png"]
    assert printed(run, "items", "--in", "image", "--count") == [["1"]]
    assert [one["modality"] for one in json.loads(run("items", "--json").stdout)] == ["text", "image"]
    (folder / "note.txt").unlink()
    assert run("ingest", folder).returncode == 0
    assert printed(run, "items", "--count") == [["1"]] and printed(run, "items", "--missing", "--count") == [["2"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["items", "none.png"], "nothing is known at none.png"),
        (["items", "media/red.png", "--count"], "give paths, or options that choose items"),
        (["items", "--filter", "meta.a <"], "can't read the filter"),
        (["tag", "media/red.png"], "say what to change"),
        (["tag", "media/red.png", "--meta", "rating"], "--meta takes KEY=VALUE"),
        (["tag", "media/red.png", "--meta", "a b=1"], "'a b' is no key"),
        (["tag", "media/red.png", "--add", " "], "' ' is no tag"),
        (["tag", "none.png", "--add", "a"], "nothing is known at"),
    ],
)
def test_what_makes_no_sense_is_said(run: Run, arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2 and said in done.stderr.decode()
