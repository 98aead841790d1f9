"""Without the extras a library is what it is without extractors, and who asks for one is told what to install."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mmsearch.errors import WeightsError
from mmsearch.extract import ocr, speech
from mmsearch.library import Library
from tests.conftest import Run
from tests.generated import picture, sound, words

EXTRAS = {
    "speech": ("listening to speech needs faster-whisper", "pip install 'mmsearch[speech]'"),
    "ocr": ("reading text in pictures needs rapidocr", "pip install 'mmsearch[ocr]'"),
}
"""Extractor -> why it can't run, and what to do."""


@pytest.fixture(autouse=True)
def without_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> Any:
        return None if name in ("faster_whisper", "rapidocr") else find_spec(name)

    for module in (ocr, speech):
        monkeypatch.setattr(module, "find_spec", found)


def fill(folder: Path) -> Path:
    picture(folder / "sign.png", "red")
    sound(folder / "talk.wav", "low")
    words(folder / "note.txt", "a dark night")
    return folder


def answers(library: Library) -> list[object]:
    asked = ("red", "a dark night", "low", "talk")
    return [[(hit.path.name, hit.confidence, hit.cosine) for hit in library.search(one)] for one in asked]


@pytest.mark.slow
def test_an_ingest_answers_as_with_extractors_switched_off(open_tiny: Callable[..., Library], folder: Path) -> None:
    fill(folder)
    made = {}
    for chosen in ("auto", "off"):
        library = open_tiny(chosen, speech=chosen, ocr=chosen)
        assert library.ingest(folder).failed == {}
        assert library.extract.list() == []
        with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
            rows = db.execute("SELECT item, segment FROM lists ORDER BY item, segment").fetchall()
            left = db.execute("SELECT count(*) FROM extractions").fetchone()
        made[chosen] = answers(library), rows, left
    assert made["auto"] == made["off"]
    assert made["auto"][2] == (0,)


@pytest.mark.slow
def test_an_extractor_that_is_asked_for_names_its_extra(open_tiny: Callable[..., Library], folder: Path) -> None:
    picture(folder / "sign.png", "red")
    library = open_tiny()
    library.ingest(folder)
    for name, (reason, hint) in EXTRAS.items():
        works: list[Callable[[], object]] = [
            lambda name=name: library.extract.add(name),  # type: ignore[misc]
            lambda name=name: library.extract.estimate(name),  # type: ignore[misc]
            lambda name=name: open_tiny(**{name: "on"}).ingest(folder),  # type: ignore[misc]
        ]
        for work in works:
            with pytest.raises(WeightsError, match=reason) as told:
                work()
            assert told.value.hint == hint
        assert library.extract.drop(name).contents == 0


@pytest.mark.slow
def test_the_command_names_the_extra(run: Run, folder: Path) -> None:
    picture(folder / "sign.png", "red")
    assert run("ingest", folder).returncode == 0
    for name, parts in EXTRAS.items():
        done = run("extract", "add", name)
        assert done.returncode != 0
        assert all(part.encode() in done.stderr for part in parts)
