"""Catalogs that hold what no release wrote: an answer, or an error of ours with a hint, in none of SQLite's words."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mmsearch.catalog import health
from mmsearch.catalog.blobs import MEND
from mmsearch.catalog.stores import FileStore
from mmsearch.errors import CatalogDamaged, InvalidInput, MmsearchError
from mmsearch.library import Library
from mmsearch.types import Query
from tests.generated import picture, sound, words
from tests.module_library import ModuleLibrary

Open = Callable[..., Library]

FOREIGN = (
    "sqlite",
    "sqlalche",
    "select ",
    "insert ",
    "update ",
    "no such table",
    "constraint",
    "error binding",
    "typeerror",
)
"""Words of others, but for the file's own name."""


def fill(media: Path) -> None:
    for n, colour in enumerate(("red", "green", "blue")):
        picture(media / f"{n}.png", colour)
        words(media / f"{n}.txt", f"a {colour} thing")
    sound(media / "s.wav", "low", "high", seconds=5)
    (media / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


READS: dict[str, Callable[[Library], object]] = {
    "status": lambda library: library.status(),
    "search": lambda library: library.search("red", 9, dedup=True, moments=True),
    "keywords": lambda library: library.search("thing", 9, mode="keyword"),
    "filter": lambda library: library.search(
        "red", 9, filter="(width > 1 or tag = red or taken > 2000) and path glob '*'"
    ),
    "items": lambda library: list(library.items("not meta.a = 5 or tag = red", missing=True)),
    "like": lambda library: library.search(Query(like=1), 9),
    "duplicates": lambda library: library.duplicates(),
    "label": lambda library: library.label(["red", "green"], save=True),
    "failures": lambda library: library.failures(),
    "models": lambda library: library.model.list(),
    "index": lambda library: (library.index.status(), library.index.verify()),
    "export": lambda library: library.export(library.path.parent / "out"),
    "plan": lambda library: library.ingest(library.path.parent / "media", dry_run=True),
    "ingest": lambda library: library.ingest(library.path.parent / "media"),
    "remove": lambda library: library.remove(library.path.parent / "media" / "1.png"),
    "prune": lambda library: library.prune(),
}

USUAL = ("status", "search", "plan")
"""What is asked of each; all is asked where the environment says ODD_CATALOGS."""

HARMS: dict[str, tuple[str, str]] = {
    **{f"no {table}": (f"DROP TABLE {table}", shown) for table, shown in {
        "library": "status", "roots": "export", "contents": "search", "tags": "filter", "items": "search",
        "segments": "search", "spaces": "status", "embeddings": "models", "lists": "search", "backgrounds": "search",
        "commits": "search", "failures": "failures", "runs": "status", "item_words": "keywords",
        "passage_words": "keywords", "meta": "items",
    }.items()},
    **{f"own metadata {value}": (f"INSERT INTO meta SELECT id, 'a', {value} FROM contents", "items")
       for value in ("'whole', 'x', 1", "'bool', 'x', NULL", "'date', '2024', NULL", "'text', x'ff', NULL",
                     "'number', 'x', 'x'")},
    "a vector of text": ("UPDATE embeddings SET vector = 'abc'", "export"),
    "a vector of text as long": (f"UPDATE embeddings SET vector = '{'a' * 32}'", "export"),
    "a vector that is a number": ("UPDATE embeddings SET vector = 5", "export"),
    "one short vector": ("UPDATE embeddings SET vector = x'0000803f' WHERE segment_id = 1", "export"),
    "a vector of zeros": ("UPDATE embeddings SET vector = zeroblob(32)", "export"),
    **{f"dim {value}": (f"UPDATE spaces SET dim = {value}", "search")
        for value in ("10e12", "0", "-1", "'x'", "x'00'", "8.5")},
    "another dim": ("UPDATE spaces SET dim = 7", "export"),
    **{f"storage {value}": (f"UPDATE spaces SET storage = {value}", "status") for value in ("'float64'", "x'00'")},
    **{f"a space's {name} is {value}": (f"UPDATE spaces SET {name} = {value}", "status")
       for name, value in (("name", "x'ff'"), ("fingerprint", "x'ff'"), ("target", "x'ff'"), ("layout", "x'ff'"))},
    **{f"backgrounds {value}": (f"UPDATE backgrounds SET fitted = {value}", "search") for value in (
        "'{}'", "'[]'", "'5'", "'null'", "'x'", "x'ff'", "5", "json_set(fitted, '$.centre', 'x')",
        "json_set(fitted, '$.spread', 0)", "json_set(fitted, '$.levels', json('[]'))",
        "json_set(fitted, '$.middle', 'x')",
    )},
    "a strange segment": ("UPDATE segments SET modality = 'smell'", ""),
    "a strange content": ("UPDATE contents SET modality = 'smell'", ""),
    "a content of bytes": ("UPDATE contents SET modality = x'ff'", "export"),
    **{f"metadata {value[:9]}": (f"UPDATE contents SET metadata = {value}", "export")
       for value in ("'[]'", "'5'", "'x'", "x'ff'", f"'{'[' * 3000}{']' * 3000}'")},
    "paths of text": ("UPDATE items SET path = 'text' || id", "search"),
    "paths of numbers": ("UPDATE items SET path = id", "search"),
    "a root of text": ("UPDATE roots SET path = 'text'", "export"),
    "a failure's path": ("UPDATE failures SET path = 5", "failures"),
    "a size of text": ("UPDATE items SET size = 'x'", "export"),
    "a time of text": ("UPDATE items SET mtime_ns = 'x'", "export"),
    "a generation of text": ("UPDATE library SET generation = 'x'", ""),
    "no library's row": ("DELETE FROM library", ""),
    "a run of no time": ("UPDATE runs SET started_at = 'x'", "status"),
    "a report of text": ("UPDATE runs SET report = 'x'", "status"),
    "a start of text": ("UPDATE segments SET start = 'x'", "export"),
    "all starts of text": ("UPDATE segments SET start = 'x', page = 'x'", "search"),
    "a page of bytes": ("UPDATE segments SET page = x'ff'", "export"),
    "a column is gone": ("ALTER TABLE spaces RENAME COLUMN storage TO stored", "status"),
    "a trigger refuses": ("CREATE TRIGGER t BEFORE UPDATE ON library BEGIN SELECT RAISE(ABORT, 'sqlite'); END",
    "remove"),
}  # fmt: skip
"""What -> the statement that does it, and where it shows as damage ("": it may be answered)."""


def harm(library: Path, statement: str) -> None:
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db:
        db.execute(statement)
        db.commit()


def said(library: Library, read: str) -> MmsearchError | None:
    """The error that a command ends with; a foreign one ends the test."""
    try:
        READS[read](library)
    except MmsearchError as error:
        return error
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMS)
def test_a_damaged_value_is_an_error_of_ours_with_a_hint(tmp_path: Path, open_tiny: Open, name: str) -> None:
    statement, shown = HARMS[name]
    harm(tmp_path / "library", statement)
    library = open_tiny()
    for read in READS if os.environ.get("ODD_CATALOGS") else [*USUAL, *{shown} - {*USUAL, ""}]:
        if (error := said(library, read)) is not None:
            words_of = f"{error.message} {error.hint}".lower().replace("catalog.sqlite", "")
            assert error.hint, (read, error.message)
            assert not any(foreign in words_of for foreign in FOREIGN), (read, words_of)
        if read == shown:
            assert isinstance(error, CatalogDamaged), (read, error)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


@pytest.mark.parametrize("name", ["paths of text", "one short vector", "a vector that is a number", "backgrounds 'x'"])
def test_the_doctor_finds_damage_that_sqlite_does_not(tmp_path: Path, name: str) -> None:
    assert health.whole(FileStore(tmp_path / "library")).state == "ok"
    harm(tmp_path / "library", HARMS[name][0])
    found = health.whole(FileStore(tmp_path / "library"))
    assert (found.state, found.remedy) == ("error", MEND)


def test_a_damaged_calibration_is_measured_again(tmp_path: Path, open_tiny: Open) -> None:
    before = [(hit.path, hit.confidence) for hit in open_tiny().search("red", 9)]
    harm(tmp_path / "library", "UPDATE backgrounds SET fitted = '{}'")
    library = open_tiny()
    with pytest.raises(CatalogDamaged) as told:
        library.search("red", 9)
    assert "mmsearch ingest" in str(told.value.hint)
    library.ingest(tmp_path / "media")
    assert [(hit.path, hit.confidence) for hit in library.search("red", 9)] == before


@pytest.mark.parametrize("number", [2**63, 10**20, -(2**63) - 1, 10**400])
def test_an_item_id_that_sqlite_cannot_hold_is_refused(tmp_path: Path, open_tiny: Open, number: int) -> None:
    with pytest.raises(InvalidInput) as told:
        open_tiny().search(Query(like=number))
    assert told.value.hint
