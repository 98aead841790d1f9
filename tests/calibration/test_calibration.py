"""Calibrated search through a library: measured at ingest, kept, measured again as it grows, said in the shell."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mmsearch.cli import show
from mmsearch.library import Library
from mmsearch.types import Hit, Level
from tests.conftest import Run
from tests.generated import picture, sound, words


def stored(library: Library) -> dict[tuple[str, str], int]:
    """(query modality, item modality) -> segments when it was measured."""
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        rows = db.execute("SELECT query, item, fitted FROM backgrounds").fetchall()
    return {(query, item): json.loads(fitted)["segments"] for query, item, fitted in rows}


@pytest.mark.slow
def test_an_ingest_calibrates_and_calibrates_again_as_the_library_grows(library: Library, folder: Path) -> None:
    for n in range(10):
        picture(folder / f"{n}.png", "red", mark=n)
    sound(folder / "a.wav", "low")
    library.ingest(folder)
    assert stored(library) == {
        ("text", "image"): 10, ("text", "audio"): 1, ("image", "image"): 10, ("image", "audio"): 1,
    }, "one sound is too few to know what sounds usually find"  # fmt: skip
    picture(folder / "more.png", "green")
    library.ingest(folder)
    assert stored(library)["text", "image"] == 10, "a tenth more changes little"
    for n in range(10):
        picture(folder / f"other{n}.png", "blue", mark=n)
    library.ingest(folder)
    assert stored(library)["text", "image"] == 21


@pytest.mark.slow
def test_hits_have_a_confidence_that_falls_with_their_rank(library: Library, folder: Path) -> None:
    for n in range(20):
        words(folder / f"{n}.txt", f"something about matter number {n}")
    picture(folder / "red.png", "red")
    library.ingest(folder)
    found = library.search("red", mode="vector")
    best = found[0]
    assert best.path.name == "red.png" and (best.cosine or 0) > 0.999 and best.level == "sure"
    assert best.confidence is not None and best.confidence > 0.99
    assert [h.confidence for h in found] == sorted((h.confidence or 0 for h in found), reverse=True)
    assert all(h.level == "unlikely" for h in library.search("an unknown thing", mode="vector"))


@pytest.mark.slow
def test_the_query_command_says_when_no_hit_is_confident(run: Run, folder: Path) -> None:
    for n in range(20):
        words(folder / f"{n}.txt", f"something about matter number {n}")
    picture(folder / "red.png", "red")
    run("ingest", folder)
    unsure = run("query", "an unknown thing", "--mode", "vector")
    assert unsure.returncode == 1, "nothing is at least likely"
    assert unsure.stderr.decode() == "No confident match. The nearest:\n"
    rows = [line.split("\t") for line in unsure.stdout.decode().splitlines()]
    assert len(rows) == 3 and all(row[1] == "unlikely" for row in rows)
    assert len(run("query", "an unknown thing", "--mode", "vector", "--all").stdout.splitlines()) == 10
    sure = run("query", "red", "--mode", "vector", "--min-confidence", "0.9")
    assert sure.stderr == b"" and [line.split("\t")[4] for line in sure.stdout.decode().splitlines()] == [
        "media/red.png"
    ]


def test_above_a_table_the_levels_are_said_once() -> None:
    def found(*levels: Level | None) -> list[Hit]:
        return [Hit(rank, Path("a"), "image", level=level) for rank, level in enumerate(levels, 1)]

    assert show.levels(found("sure", "sure", "sure", "likely", "unlikely", "unlikely")) == (
        "Sure: 1 to 3. Likely: 4. Unlikely: 5 to 6."
    )
    assert show.levels(found("likely")) == "Likely: 1."
    assert show.levels(found(None)) == "How sure these are was not measured yet."


def test_nothing_found_is_said_only_where_nothing_is(run: Run, folder: Path) -> None:
    words(folder / "a.txt", "something about matter")
    run("ingest", folder)
    assert run("query", "matter", "--in", "video").stderr.decode() == "Nothing found.\n"
    assert b"Nothing found" not in run("query", "an unknown thing", "--mode", "vector").stderr
