"""Every table of a catalog and file of a library: in backup, export, move and remove, or left out for a reason."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from mmsearch.catalog.database import writing
from mmsearch.catalog.spaces import base_space
from mmsearch.catalog.tables import WORD_TABLES, Base, ItemRow, Tag
from mmsearch.ingest.media import Media
from mmsearch.library import Library
from tests import tiny_extractor
from tests.generated import picture, sound, words
from tests.tiny_extractor import with_lines

OF_THE_LIBRARY = "it is about the library itself, which goes on"
OF_SPACES = "models stay when their last vector goes: what comes next is embedded with them"

AS_SEGMENTS = "what was said and written comes as segments; the next `extract add` looks for itself"

LEFT_BY_REMOVE = {
    "library": OF_THE_LIBRARY,
    "commits": "each commit's mark: indexes of before are told by them",
    "runs": "what was done and when, not what was found",
    "spaces": OF_SPACES,
    "projections": OF_SPACES,
    "lists": OF_SPACES,
    "backgrounds": "what scores are judged by until the next ingest measures anew",
    "searches": "what somebody looks for, whatever there is",
    "roots": "where media from memory come from: mem:, which says nothing",
    "copies": "they may still hold what is removed",
}
"""Table -> why rows stay when every path was removed."""

LEFT_BY_EXPORT = {
    "searches": "they are somebody's own; a backup has them",
    "copies": "they are of another library",
    "failures": "they are about files, which the next ingest tries for itself",
    "projections": "they come as trained models, and serve once `train apply` made them",
    "tombstones": "of indexes that stay here",
    "extractions": AS_SEGMENTS,
    "extraction_lines": AS_SEGMENTS,
    "extraction_cuts": AS_SEGMENTS,
}
"""Table -> why an import of an export has no rows of it."""

CHANGED_BY_RESTORE = {
    "library": "its generation and floor are lifted, so that no index of before is believed",
    "commits": "the restore is one",
    "tombstones": "no index of before is believed",
}
"""Table -> why its rows are others after a restore."""

FILES = {
    "catalog.sqlite": "backup, export, move",
    "catalog.sqlite-*": "what the catalog has yet to take in: backup and export read it, move takes it",
    "writer.lock": "a lock of the operating system; made anew",
    "adding.lock": "a lock of the operating system; made anew",
    "extracting.lock": "a lock of the operating system; made anew",
    "indexes/*/*": "move; made anew from the catalog after backup and export",
    "indexes/build.lock": "a lock of the operating system; made anew",
    "originals/*/*": "backup, export, move; removed with the last item that needs it",
    "audit/*": "move: it is about this place",
    "audit.lock": "a lock of the operating system; made anew",
    "tokens.json": "move; no backup or export takes a way in along",
    "tokens.lock": "a lock of the operating system; made anew",
    "slices/*/*": "made anew from the catalog; what a restricted library reads",
    "slices/*/indexes/*/*": "made anew from the catalog",
    "previews/*/*": "made anew from the files, when somebody looks at them",
    "originals/library.id": "move; made anew beside what a restore or an import brings",
    "training/*/*": "export, move; README says that a backup leaves trained models out",
    "mmsearch.toml": "settings of this place, for a person to copy; move",
}
"""Files of a library, as globs below it -> where each goes, or why not."""


HANDED = b"a green valley"


def originals(folder: Path) -> list[bytes]:
    """What every file below a library's originals holds."""
    return [path.read_bytes() for path in (folder / "originals").glob("*/*") if path.is_file()]


def tables(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every table that is not FTS5's or SQLite's own, with its rows."""
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        inner = tuple(f"{word}_" for word in WORD_TABLES)
        own = [name for name in names if not name.startswith((*inner, "sqlite_", "alembic_"))]
        return {name: sorted(db.execute(f"SELECT * FROM {name}"), key=repr) for name in own}


@pytest.fixture
def filled(open_tiny: Callable[..., Library], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library with rows in every table, an index, a trained model's folder and settings."""
    tiny_extractor.register(monkeypatch)
    with_lines(picture(folder / "red.png", "red"), {"text": "green letters", "box": [0.0, 0.5, 1.0, 0.75]})
    picture(folder / "gone.png", "green")
    sound(folder / "low.wav", "low")
    words(folder / "note.txt", "a blue house")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    library = open_tiny()
    library.ingest(folder)
    library.ingest_media(Media("handed.txt", HANDED, id="x", keep=True))
    library.model.add("tests.model_spaces:mute")
    catalog = library._context.catalog()
    base = catalog.read(base_space)
    assert base is not None
    catalog.add_projected(base, "bent", "f", b"weights")
    with writing(catalog._engine) as connection:
        (content,) = connection.execute(select(ItemRow.content_id).where(ItemRow.name == "red.png")).scalars()
        connection.execute(insert(Tag), [{"content_id": content, "tag": "dear", "confidence": 0.5}])
    library.set_meta(folder / "red.png", {"rating": 5})
    library.save_search("dear ones", "filter=tag = dear")
    (red,) = library.search("red", 1)
    library.preview(red.item_id)
    library.extract.add("tiny-ocr")
    library.backup(folder.parent / "earlier.backup")
    catalog.remove(bytes(folder / "gone.png"))
    library.tokens.create("ann")
    library.audit.record("ann", "looked")
    library.only("modality = image").search("red", 1)
    (library.path / "training" / "names").mkdir(parents=True)
    (library.path / "training" / "names" / "model.json").write_text("{}")
    (library.path / "mmsearch.toml").write_text('dedup = "off"\n')
    return library


@pytest.mark.slow
def test_every_table_has_rows_in_the_tested_library(filled: Library) -> None:
    found = tables(filled.path)
    assert found.keys() == {*Base.metadata.tables, *WORD_TABLES}, "a new table needs a place in this module"
    assert [name for name, rows in found.items() if not rows] == []


@pytest.mark.slow
def test_a_backup_has_every_row(filled: Library, open_tiny: Callable[..., Library], tmp_path: Path) -> None:
    before = tables(filled.path)
    filled.backup(tmp_path / "backup")
    restored = open_tiny("restored")
    restored.restore(tmp_path / "backup")
    after = tables(restored.path)
    assert {name for name, rows in before.items() if rows != after[name]} <= CHANGED_BY_RESTORE.keys()
    assert after.keys() == before.keys()
    assert originals(restored.path) == originals(filled.path) == [HANDED]


@pytest.mark.slow
def test_an_export_has_every_table(filled: Library, open_tiny: Callable[..., Library], tmp_path: Path) -> None:
    shutil.rmtree(filled.path / "training")  # of no trained model
    filled.export(tmp_path / "exported")
    other = open_tiny("other")
    other.import_(tmp_path / "exported", models=["tests.model_spaces:mute"])
    empty = {name for name, rows in tables(other.path).items() if not rows}
    assert empty == LEFT_BY_EXPORT.keys() | {"runs"}, "an import is no ingest"
    assert {row[1] for row in tables(other.path)["tags"]} == {"dear"}
    assert [row[1:] for row in tables(other.path)["meta"]] == [("rating", "whole", "5", 5.0)]
    assert originals(other.path) == [HANDED]
    (hit, *_) = other.search("green letters", mode="keyword")
    assert (hit.path.name, hit.source, hit.box) == ("red.png", "written", (0.0, 0.5, 1.0, 0.75))


@pytest.mark.slow
def test_remove_leaves_no_row_of_the_removed_files(filled: Library, folder: Path) -> None:
    filled.remove(folder, "x")
    assert originals(filled.path) == []
    left = {name for name, rows in tables(filled.path).items() if rows}
    assert left == LEFT_BY_REMOVE.keys()


@pytest.mark.slow
def test_a_library_folder_may_be_moved(filled: Library, open_tiny: Callable[..., Library], tmp_path: Path) -> None:
    before = [(hit.path, hit.cosine) for hit in filled.search("red")]
    filled.close()
    named = [path for path in filled.path.rglob("*") if path.is_file() and bytes(filled.path) in path.read_bytes()]
    assert named == [], "no file knows where its library lies"
    filled.path.rename(tmp_path / "elsewhere")
    moved = open_tiny("elsewhere")
    assert [(hit.path, hit.cosine) for hit in moved.search("red")] == before
    assert not (tmp_path / "library").exists()


@pytest.mark.slow
def test_every_file_of_a_library_folder_is_known(filled: Library) -> None:
    (filled.path / "indexes").mkdir(exist_ok=True)
    with filled._context.builder().build_lock():
        pass
    found = {path.relative_to(filled.path) for path in filled.path.rglob("*") if path.is_file()}
    unknown = [path for path in found if not any(path.match(pattern) for pattern in FILES)]
    assert unknown == [], "a new file needs a place in this module"
    assert [pattern for pattern in FILES if not any(path.match(pattern) for path in found)] == []
