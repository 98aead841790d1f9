"""A library goes through a folder of plain files and is what it was: here, elsewhere, and merged into another."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmsearch.errors import InvalidInput, LibraryEmpty, LibraryError, LibraryLocked, LibraryNotFound, SpaceChanged
from mmsearch.library import Library
from mmsearch.maintenance.export import Exported, Imported
from tests.conftest import CHECKOUT, Run
from tests.exports import Export
from tests.generated import picture, sound, words
from tests.media.test_sidecar import xmp

Open = Callable[..., Library]


def found(library: Library) -> list[tuple[Any, ...]]:
    return [
        (hit.path.name, hit.cosine, hit.confidence, hit.start, hit.end, hit.passage)
        for query in ("red", "low", "dark")
        for hit in library.search(query, k=50, mode="vector")
    ]


@pytest.fixture
def filled(library: Library, folder: Path) -> Library:
    for n, colour in enumerate(("red", "green", "blue", "dark") * 3):
        picture(folder / f"{n}.png", colour, mark=n)
    picture(folder / "deep" / "copy of 0.png", "red", mark=0)
    sound(folder / "tones.wav", "low", "high", seconds=5)
    words(folder / "letter.txt", "a low red light")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    library.ingest(folder)
    return library


@pytest.mark.slow
def test_an_imported_library_gives_the_same_answers(
    filled: Library, open_tiny: Open, folder: Path, tmp_path: Path
) -> None:
    done = filled.export(tmp_path / "out")
    assert done[:3] == Exported(15, 14, 12 + 3 + 1, 0)[:3]
    assert done.bytes == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    fresh = open_tiny("elsewhere")
    assert fresh.import_(tmp_path / "out") == Imported(15, 14, 0, 0)
    assert found(fresh) == found(filled)
    assert [one.as_dict()["unchanged"] for one in (fresh.ingest(folder),)] == [15], "sizes and times came with them"


@pytest.mark.slow
def test_an_import_maps_roots_to_other_folders(filled: Library, open_tiny: Open, folder: Path, tmp_path: Path) -> None:
    filled.export(tmp_path / "out")
    fresh, here = open_tiny("elsewhere"), tmp_path / "here"
    folder.rename(here)
    roots = {str(folder): str(here), str(folder / "deep"): str(tmp_path / "deeper"), str(folder)[:-1]: "/nowhere"}
    fresh.import_(tmp_path / "out", roots)
    paths = {hit.path for hit in fresh.search("red", k=50, modalities=["image"])}
    assert tmp_path / "deeper" / "copy of 0.png" in paths and here / "0.png" in paths
    report = fresh.ingest(here)
    assert (report.unchanged, report.new, report.moved, report.missing) == (14, 0, 1, 0)


@pytest.mark.slow
def test_an_import_keeps_known_items_and_doubles_none(
    filled: Library, open_tiny: Open, folder: Path, tmp_path: Path
) -> None:
    filled.export(tmp_path / "out")
    other = open_tiny("other")
    picture(folder / "own.png", "blue", mark=99)
    picture(folder / "1.png", "dark", mark=77)
    other.ingest(folder / "own.png", folder / "0.png", folder / "1.png")
    assert other.import_(tmp_path / "out") == Imported(13, 13, 1, 1)
    assert other.import_(tmp_path / "out") == Imported(0, 0, 14, 1)
    with closing(sqlite3.connect(other.path / "catalog.sqlite")) as db:
        assert db.execute("SELECT count(*), count(DISTINCT path) FROM items").fetchone() == (16, 16)
        # Known contents: own.png and the new 1.png, besides the 14 that came.
        assert db.execute("SELECT count(*), count(DISTINCT sha256) FROM contents").fetchone() == (16, 16)
        assert db.execute("SELECT count(*) FROM embeddings").fetchone() == (16 + 2,)
    (first,) = [hit for hit in other.search("dark", k=50) if hit.path.name == "1.png"]
    assert (first.cosine or 0) > 0.99, "the file here is what it was here"


@pytest.mark.slow
def test_labels_and_a_person_s_tags_are_exported(
    filled: Library, open_tiny: Open, folder: Path, tmp_path: Path
) -> None:
    filled.label(["red", "green"], save=True, min_confidence=0.0, modalities=["image"])
    tagged = [(hit.path, hit.cosine) for hit in filled.search("red", filter="tag = red", k=50)]
    filled.export(tmp_path / "out")
    fresh = open_tiny("elsewhere")
    fresh.import_(tmp_path / "out")
    assert tagged and [(hit.path, hit.cosine) for hit in fresh.search("red", filter="tag = red", k=50)] == tagged


@pytest.mark.slow
def test_half_precision_vectors_are_exported_as_they_are(open_tiny: Open, folder: Path, tmp_path: Path) -> None:
    half = open_tiny("half", storage="float16")
    for n in range(6):
        words(folder / f"{n}.txt", f"nothing that has an axis {n}")
    half.ingest(folder)
    half.export(tmp_path / "out")
    assert np.load(tmp_path / "out" / "vectors.npy").dtype == np.float16
    for storage in ("float16", "float32"):
        fresh = open_tiny(storage, storage=storage)
        fresh.import_(tmp_path / "out")
        assert [hit.cosine for hit in fresh.search("something", k=9)] == [
            hit.cosine for hit in half.search("something", k=9)
        ]
    query = "SELECT vector FROM embeddings ORDER BY segment_id"
    stored = []
    for name in ("half", "float16"):
        with closing(sqlite3.connect(tmp_path / name / "catalog.sqlite")) as db:
            stored.append(db.execute(query).fetchall())
    assert stored[0] == stored[1]


@pytest.mark.slow
def test_an_export_can_be_read_with_json_and_numpy_alone(filled: Library, folder: Path, tmp_path: Path) -> None:
    filled.export(tmp_path / "out")
    vectors = np.load(tmp_path / "out" / "vectors.npy", allow_pickle=False)
    contents = [json.loads(line) for line in (tmp_path / "out" / "contents.jsonl").read_text().splitlines()]
    items = [json.loads(line) for line in (tmp_path / "out" / "items.jsonl").read_text().splitlines()]
    assert vectors.shape == (16, 8) and vectors.dtype == np.float32
    rows = [(one["sha256"], segment) for one in contents for segment in one["segments"]]
    (at,) = [n for n, (_, segment) in enumerate(rows) if segment.get("text") == "a low red light"]
    assert vectors[at].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    (letter,) = [item for item in items if item["path"].endswith("letter.txt")]
    assert letter["sha256"] == rows[at][0] and letter["root"] == str(folder)
    assert letter["size"] == 15
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["counts"] == {"items": 15, "contents": 14, "segments": 16}
    assert manifest["space"]["fingerprint"] == filled.status().fingerprint


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="names on Windows are text")
def test_a_path_that_is_no_unicode_survives_export_and_import(
    library: Library, open_tiny: Open, folder: Path, tmp_path: Path
) -> None:
    strange = os.fsencode(folder) + b"/\xff\xfe.txt"
    Path(os.fsdecode(strange)).write_text("red")
    library.ingest(folder)
    library.export(tmp_path / "out")
    fresh = open_tiny("elsewhere")
    fresh.import_(tmp_path / "out")
    assert [os.fsencode(hit.path) for hit in fresh.search("red", k=1)] == [strange]


@pytest.mark.slow
def test_an_export_of_another_space_is_refused_and_nothing_made(
    filled: Library, open_tiny: Open, tmp_path: Path
) -> None:
    filled.export(tmp_path / "out")
    with pytest.raises(SpaceChanged, match="another version"):
        open_tiny("elsewhere", space="tests.tiny:other_weights").import_(tmp_path / "out")
    assert not (tmp_path / "elsewhere").exists()
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["space"] |= {"name": "foreign", "target": "os:system", "fingerprint": "0"}
    path.write_text(json.dumps(manifest))
    before = found(filled)
    with pytest.raises(SpaceChanged, match="'foreign', not of this library's 'tiny'") as told:
        filled.import_(tmp_path / "out")
    assert told.value.hint and "--space foreign" in told.value.hint
    assert found(filled) == before


@pytest.mark.parametrize("name", ["contents.jsonl", "items.jsonl", "vectors.npy"])
@pytest.mark.slow
def test_a_changed_or_missing_export_file_is_refused_before_anything_is_imported(
    filled: Library, open_tiny: Open, tmp_path: Path, name: str
) -> None:
    filled.export(tmp_path / "out")
    path = tmp_path / "out" / name
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    fresh = open_tiny("elsewhere")
    with pytest.raises(InvalidInput, match="not what was exported"):
        fresh.import_(tmp_path / "out")
    path.unlink()
    with pytest.raises(InvalidInput, match="can't be read"):
        fresh.import_(tmp_path / "out")
    assert not fresh.path.exists()


@pytest.mark.slow
def test_a_folder_that_is_no_export_is_refused(filled: Library, open_tiny: Open, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not an exported library"):
        filled.import_(tmp_path / "media")
    filled.export(tmp_path / "out")
    with pytest.raises(InvalidInput, match="exists already"):
        filled.export(tmp_path / "out")
    with pytest.raises(LibraryNotFound):
        open_tiny("nowhere").export(tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name or "none" in path.name) == ["out"]
    path = tmp_path / "out" / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(InvalidInput, match="newer release"):
        filled.import_(tmp_path / "out")


@pytest.mark.slow
def test_an_export_that_fails_leaves_nothing(filled: Library, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryError, match="can't write"):
        filled.export(tmp_path / "file" / "out")
    assert not list(tmp_path.glob(".*writing-*"))


@pytest.mark.slow
def test_an_import_killed_at_any_batch_can_be_repeated(filled: Library, tmp_path: Path) -> None:
    filled.export(tmp_path / "out")
    program = """
import os, signal, sys
import mmsearch
from mmsearch.catalog import store
from mmsearch.maintenance import export
export.PAGE = 3
commit, left = store.Catalog.commit, [int(sys.argv[3])]
def dying(self, *arguments):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return commit(self, *arguments)
store.Catalog.commit = dying
with mmsearch.open(sys.argv[1], space="tests.tiny:space") as library:
    print(library.import_(sys.argv[2]).items)
"""
    expected = found(filled)
    target = tmp_path / "killed"
    for commits in (0, 2, 3):
        command = [sys.executable, "-c", program, str(target), str(tmp_path / "out"), str(commits)]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    import mmsearch

    with mmsearch.open(target, space="tests.tiny:space", dedup=False) as library:
        taken = library.import_(tmp_path / "out")
        assert 0 < taken.items + taken.known == 15
        assert found(library) == expected


@pytest.mark.slow
def test_an_import_is_refused_while_another_writes(filled: Library, tmp_path: Path) -> None:
    filled.export(tmp_path / "out")
    with filled._context.writing(), pytest.raises(LibraryLocked):
        filled.import_(tmp_path / "out")


@pytest.mark.slow
def test_an_empty_library_has_nothing_to_export(library: Library, folder: Path, tmp_path: Path) -> None:
    library.ingest(folder)
    assert library.export(tmp_path / "out")[:3] == (0, 0, 0)
    with pytest.raises(LibraryEmpty):
        library.search("red")


@pytest.mark.slow
def test_the_export_and_import_commands_print_their_counts(
    filled: Library, run: Run, process: Run, folder: Path, tmp_path: Path
) -> None:
    done = process("export", "out")
    assert done.returncode == 0 and done.stdout.startswith(b"wrote 15 items, 14 contents, 16 vectors, "), done.stderr
    assert run("export", "out").returncode == 2
    taken = process("import", "out", "--library", "new", "--root", f"{folder}=/there", "--json")
    known = {"items": 15, "contents": 14, "known": 0, "other": 0, "models": [], "trained": [], "left": []}
    assert json.loads(taken.stdout) == known
    assert run("query", "red", "--paths", "--library", "new").stdout.startswith(b"/there/")
    assert run("import", "out").stdout == b"took in 0 items, 0 contents; 15 items known before\n"
    assert run("import", "out", "--root", "nonsense").returncode == 2


@pytest.mark.slow
def test_tags_and_own_metadata_go_through_an_export(
    filled: Library, open_tiny: Open, folder: Path, tmp_path: Path
) -> None:
    meta: dict[str, Any] = {
        "rating": 5,
        "price": 2.5,
        "done": False,
        "due": date(2024, 5, 1),
        "at": datetime(2024, 5, 1, 12, 30, 1, 5),
    }
    filled.tag(folder / "letter.txt", add=["dear", "seen"])
    filled.set_meta(folder / "letter.txt", {**meta, "who": "Ada"})
    filled.export(tmp_path / "out")
    fresh = open_tiny("elsewhere")
    fresh.import_(tmp_path / "out")
    item = fresh.get(folder / "letter.txt")
    assert item is not None and item.tags == ("dear", "seen") and item.meta == {**meta, "who": "Ada"}
    assert {type(value) for value in item.meta.values()} == {int, float, bool, date, datetime, str}
    assert [hit.path.name for hit in fresh.search("dear", mode="keyword")] == ["letter.txt"]
    fresh.tag(folder / "letter.txt", remove=["dear"])
    fresh.import_(tmp_path / "out")
    item = fresh.get(folder / "letter.txt")
    assert item is not None and item.tags == ("seen",), "what is known here stays as it is"


@pytest.mark.slow
def test_a_keyword_that_a_person_took_away_does_not_come_back_with_an_import(
    library: Library, open_tiny: Open, folder: Path, tmp_path: Path
) -> None:
    subject = "<dc:subject><rdf:Bag><rdf:li>beach</rdf:li><rdf:li>dog</rdf:li></rdf:Bag></dc:subject>"
    words(folder / "a.xmp", xmp(f"<rdf:Description>{subject}</rdf:Description>"))
    library.ingest(folder)
    library.tag(folder, remove=["dog"])
    library.export(tmp_path / "out")
    export = Export(tmp_path / "out")
    assert export.contents[0]["given"] == ["beach"]
    taken = open_tiny("taken")
    taken.import_(tmp_path / "out")
    assert [item.tags for item in taken.items()] == [("beach",)]
    del export.contents[0]["given"], export.contents[0]["meta"]
    older = open_tiny("older")
    older.import_(export.seal())
    assert [item.tags for item in older.items()] == [("beach", "dog")], "older releases left it to the keywords"
