"""Media that an application hands over in memory. Most are read by the test itself (`tests.faults.world`); what decode
workers make of them is asked at the end."""

import hashlib
import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmsearch import Media
from mmsearch.errors import InvalidInput, LibraryNotFound, MmsearchError, NotKept, SpaceIncomplete
from mmsearch.ingest import IngestReport
from mmsearch.library import Library
from mmsearch.maintenance import doctor
from tests import tiny
from tests.conftest import CHECKOUT, Run
from tests.faults.world import image, open_library

RED, GREEN, BLUE = (image(*rgb).encode() for rgb in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with open_library(tmp_path / "library") as opened:
        yield opened


def counts(report: IngestReport) -> dict[str, int]:
    """What was counted, but for nothing."""
    kinds = ("new", "changed", "moved", "copied", "unchanged", "completed", "failed_before", "missing")
    found = {kind: getattr(report, kind) for kind in kinds} | dict(report.failed)
    return {kind: n for kind, n in found.items() if n}


def items(library: Library) -> dict[str, tuple[str, int]]:
    """Path -> (hash, whether it is kept), of all that is present."""
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        query = "SELECT path, sha256, kept FROM items JOIN contents c ON c.id = content_id WHERE status = 'present'"
        return {path.decode(): (sha256, kept) for path, sha256, kept in db.execute(query)}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def kept(library: Library) -> dict[str, bytes]:
    """Place below `originals` -> bytes, of every file there."""
    folder = library.path / "originals"
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.glob("*/*") if p.is_file()}


def place_of(data: bytes) -> str:
    return f"{sha256(data)[:2]}/{sha256(data)}"


def found(library: Library, query: Any = "red", **options: Any) -> list[str]:
    return [hit.path.as_posix() for hit in library.search(query, **options)]


def test_what_is_handed_over_is_found_with_its_id_name_and_tags(library: Library) -> None:
    report = library.ingest_media(
        [Media("red.img", RED, id="doc-17", tags=("holiday",)), Media("green.img", bytearray(GREEN), id="7/é")]  # type: ignore[arg-type]
    )
    assert counts(report) == {"new": 2} and report.files == 2
    hits = library.search("red", mode="vector")
    assert [(hit.path.as_posix(), hit.media_id, hit.cosine) for hit in hits] == [
        ("mem:/doc-17/red.img", "doc-17", 1.0), ("mem:/7%2Fé/green.img", "7/é", 0.0),
    ]  # fmt: skip
    assert found(library, filter="tag = 'holiday'") == ["mem:/doc-17/red.img"]
    assert found(library, filter="name = 'green.img'") == ["mem:/7%2Fé/green.img"]
    assert found(library, filter="root = 'mem:'", modalities=["image"])[0] == "mem:/doc-17/red.img"
    assert found(library, "holiday", mode="keyword") == ["mem:/doc-17/red.img"]
    assert found(library, hits[0].path) == ["mem:/7%2Fé/green.img"], "its path as a query: more like it"
    assert not (library.path / "originals").exists(), "nothing was to be kept, and nothing is left"


@pytest.mark.slow
def test_the_same_id_is_the_same_item(library: Library) -> None:
    library.ingest_media(Media("a.img", RED, id="x"))
    (number,) = [hit.item_id for hit in library.search("red")]
    tiny.reset()
    assert counts(library.ingest_media(Media("a.img", RED, id="x"))) == {"unchanged": 1}
    assert counts(library.ingest_media(Media("b.img", RED, id="x"))) == {"moved": 1}
    assert counts(library.ingest_media(Media("a.img", RED, id="y"))) == {"copied": 1}
    assert not tiny.ENCODED, "known bytes are not embedded again"
    assert counts(library.ingest_media(Media("c.img", BLUE, id="x"))) == {"changed": 1}
    assert tiny.ENCODED == {"image": 1}
    assert {path: one[0] for path, one in items(library).items()} == {
        "mem:/x/c.img": sha256(BLUE), "mem:/y/a.img": sha256(RED),
    }  # fmt: skip
    assert [hit.item_id for hit in library.search("blue", 1)] == [number]
    assert found(library, "blue", k=1, mode="vector") == ["mem:/x/c.img"]


def test_without_an_id_equal_names_never_push_each_other_out(library: Library) -> None:
    report = library.ingest_media([Media("a.img", RED), Media("a.img", BLUE), Media("b.img", RED), Media("a.img", RED)])
    assert counts(report) == {"new": 2, "copied": 1, "unchanged": 1}
    assert items(library).keys() == {
        f"mem:/sha256:{sha256(data)}/{name}" for data, name in ((RED, "a.img"), (BLUE, "a.img"), (RED, "b.img"))
    }
    assert [hit.media_id for hit in library.search("red")] == [None] * 3


@pytest.mark.slow
def test_an_id_that_comes_twice_in_one_call_holds_what_came_last(library: Library) -> None:
    handed = [Media("a.img", RED, id="x"), Media("n.img", GREEN, id="y"), Media("b.img", BLUE, id="x"),
              Media("b.img", BLUE, id="x")]  # fmt: skip
    assert counts(library.ingest_media(iter(handed))) == {"new": 2, "changed": 1, "unchanged": 1}
    assert items(library).keys() == {"mem:/x/b.img", "mem:/y/n.img"}


@pytest.mark.slow
def test_files_and_media_of_the_same_bytes_leave_each_other_alone(library: Library, folder: Path) -> None:
    library.ingest_media(Media("a.img", RED, id="x"))
    (folder / "a.img").write_bytes(RED)
    assert counts(library.ingest(folder)) == {"copied": 1}, "a file takes nothing away from memory"
    (folder / "a.img").unlink()
    assert counts(library.ingest(folder)) == {"missing": 1}
    assert counts(library.ingest_media(Media("b.img", RED, id="y"))) == {"copied": 1}
    (folder / "c.img").write_bytes(RED)
    assert counts(library.ingest(folder)) == {"moved": 1}, "of the file that is gone, and of nothing else"
    (folder / "c.img").unlink()
    (folder / "inner").mkdir()  # of an empty folder nothing is forgotten
    library.ingest(folder)
    assert library.prune().items == 1
    assert items(library).keys() == {"mem:/x/a.img", "mem:/y/b.img"}


@pytest.mark.slow
def test_a_folder_named_like_the_scheme_is_a_folder(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mem:" / "x").mkdir(parents=True)
    (tmp_path / "mem:" / "x" / "a.img").write_bytes(BLUE)
    library.ingest_media(Media("a.img", RED, id="x", keep=True))
    assert counts(library.ingest("mem:")) == {"new": 1}
    assert items(library).keys() == {"mem:/x/a.img", f"{tmp_path}/mem:/x/a.img"}
    shutil.rmtree(tmp_path / "mem:")
    library.ingest("mem:")
    library.prune()
    assert library.original("mem:/x/a.img").read_bytes() == RED
    assert library.remove("mem:/x") == 1


@pytest.mark.slow
def test_what_is_kept_lies_by_its_hash_once_and_goes_with_the_last_that_needs_it(library: Library) -> None:
    library.ingest_media([Media("a.img", RED, id="x", keep=True), Media("b.img", RED, id="y", keep=True),
                          Media("c.img", RED, id="z"), Media("d.img", GREEN, id="w")])  # fmt: skip
    assert kept(library) == {place_of(RED): RED}
    (file,) = (path for path in (library.path / "originals").glob("*/*") if path.is_file())
    assert file == library.original("mem:/x/a.img") and file.stat().st_mode & 0o777 == 0o600
    before = file.stat()
    library.ingest_media([Media("a.img", RED, id="x"), Media("e.img", RED, id="v", keep=True)])
    assert {path: one[1] for path, one in items(library).items()} == {
        "mem:/x/a.img": 1, "mem:/y/b.img": 1, "mem:/z/c.img": 0, "mem:/w/d.img": 0, "mem:/v/e.img": 1,
    }, "not asking again does not let go of it"  # fmt: skip
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns), "written once"
    assert library.original("mem:/z/c.img") == file, "another one's kept bytes are the same"
    assert library.remove("x", "y") == 2 and kept(library) == {place_of(RED): RED}
    library.ingest_media(Media("e.img", BLUE, id="v"))
    assert kept(library) == {} and not (library.path / "originals").exists()
    with pytest.raises(NotKept, match=r"the original of mem:/z/c\.img was not kept") as refused:
        library.original("mem:/z/c.img")
    assert refused.value.hint == "hand it over again, with keep=True"
    library.ingest_media(Media("c.img", RED, id="z", keep=True))
    assert kept(library) == {place_of(RED): RED}


@pytest.mark.slow
def test_a_damaged_original_is_told_and_mended_by_handing_it_over_again(library: Library, tmp_path: Path) -> None:
    library.ingest_media([Media("a.img", RED, id="x", keep=True), Media("b.img", BLUE, id="y", keep=True)])
    library.backup(tmp_path / "backup")

    def told() -> str:
        found = doctor._originals(library._context)
        return f"{found.state}: {found.detail}" if found else ""

    assert told() == "ok: 2 kept, 0.0 MB"
    file = library.original("mem:/x/a.img")
    for damage in (lambda: file.write_bytes(RED[:-1] + b"!"), lambda: file.write_bytes(b""), file.unlink):
        damage()
        assert told() == "error: 1 of 2 are missing or damaged: mem:/x/a.img"
        with pytest.raises(NotKept, match="missing or damaged"):
            library.original("mem:/x/a.img")
        library.restore(tmp_path / "backup", overwrite=True)
        assert told() == "ok: 2 kept, 0.0 MB"
    file.write_bytes(b"torn")
    library.ingest_media(Media("a.img", RED, id="x"))
    assert kept(library) == {place_of(RED): RED, place_of(BLUE): BLUE}


@pytest.mark.slow
def test_a_backup_brings_what_is_kept_and_prune_what_is_needed_no_more(tmp_path: Path, library: Library) -> None:
    library.ingest_media([Media("a.img", RED, id="x", keep=True), Media("b.img", GREEN, id="y")])
    library.backup(tmp_path / "backup")
    library.ingest_media([Media("a.img", BLUE, id="x", keep=True)])
    with open_library(tmp_path / "other") as other:
        assert other.restore(tmp_path / "backup") == 2
        assert kept(other) == {place_of(RED): RED} and found(other, mode="vector", k=1) == ["mem:/x/a.img"]
        with closing(sqlite3.connect(other.path / "catalog.sqlite")) as db:
            names = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            assert "packed_originals" not in names and db.execute("PRAGMA freelist_count").fetchone() == (0,)
    library.restore(tmp_path / "backup", overwrite=True)
    assert kept(library) == {place_of(RED): RED, place_of(BLUE): BLUE}, "what the .bak file of before needs"
    assert library.prune().freed >= len(BLUE)
    assert kept(library) == {place_of(RED): RED}


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["data = x'00'", "data = 'text'", "part = NULL", "sha256 = 'no'"])
def test_a_backup_with_other_bytes_is_refused_or_says_that_they_are_lost(
    tmp_path: Path, library: Library, harm: str
) -> None:
    library.ingest_media(Media("a.img", RED, id="x", keep=True))
    library.backup(tmp_path / "backup")
    with closing(sqlite3.connect(tmp_path / "backup")) as db:
        db.executescript("CREATE TABLE new (sha256, part, data); INSERT INTO new SELECT * FROM packed_originals;"
                         f"DROP TABLE packed_originals; ALTER TABLE new RENAME TO packed_originals;"
                         f"UPDATE packed_originals SET {harm}")  # fmt: skip
    with open_library(tmp_path / "other") as other:
        if harm.startswith("data"):
            with pytest.raises(MmsearchError, match=r"an original in .* is damaged"):
                other.restore(tmp_path / "backup")
            assert not (other.path / "catalog.sqlite").exists() and kept(other) == {}
        else:
            other.restore(tmp_path / "backup")
            assert found(other) == ["mem:/x/a.img"]
        assert set(kept(other)) <= {place_of(RED)}


@pytest.mark.slow
def test_an_export_brings_what_is_kept(tmp_path: Path, library: Library) -> None:
    library.ingest_media([Media("a.img", RED, id="x", keep=True), Media("b.img", GREEN, id="y")])
    library.export(tmp_path / "exported")
    assert (tmp_path / "exported" / "originals" / place_of(RED)).read_bytes() == RED
    with open_library(tmp_path / "other") as other:
        taken = other.import_(tmp_path / "exported", {"/": "/elsewhere"})
        assert (taken.items, kept(other)) == (2, {place_of(RED): RED})
        assert {path: one[1] for path, one in items(other).items()} == {"mem:/x/a.img": 1, "mem:/y/b.img": 0}
        assert other.import_(tmp_path / "exported").known == 2
    (tmp_path / "exported" / "originals" / place_of(RED)).write_bytes(BLUE)
    with open_library(tmp_path / "third") as third, pytest.raises(InvalidInput, match="is not what was exported"):
        third.import_(tmp_path / "exported")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [('"mem:/x/a.img"', '"mem:/../a.img"'), ('"mem:/x/a.img"', '"/x/a.img"'), ('"root": "mem:"', '"root": "/"'),
     ('"kept": true', '"kept": 1'), ('"mem:/y/b.img"', '"mem:/y/b.img", "kept": true')],
)  # fmt: skip
def test_an_export_that_says_what_can_t_be_is_refused(tmp_path: Path, library: Library, old: str, new: str) -> None:
    library.ingest_media([Media("a.img", RED, id="x", keep=True), Media("b.img", GREEN, id="y")])
    library.export(tmp_path / "exported")
    lines, manifest = tmp_path / "exported" / "items.jsonl", tmp_path / "exported" / "manifest.json"
    before = sha256(lines.read_bytes())
    assert old in lines.read_text()
    lines.write_text(lines.read_text().replace(old, new))
    manifest.write_text(manifest.read_text().replace(before, sha256(lines.read_bytes())))
    with open_library(tmp_path / "other") as other, pytest.raises(InvalidInput, match=r"line 1|line 2"):
        other.import_(tmp_path / "exported")


@pytest.mark.slow
def test_an_id_a_number_or_a_path_forgets_one_item(library: Library, folder: Path, monkeypatch: Any) -> None:
    library.ingest_media([Media("a.img", RED, id="x"), Media("b.img", GREEN, id="a.img"), Media("c.img", BLUE, id="7")])
    (folder / "a.img").write_bytes(image(9, 9, 200).encode())
    library.ingest(folder)
    monkeypatch.chdir(folder)
    numbers = {hit.path.as_posix(): hit.item_id for hit in library.search("red")}
    with pytest.raises(InvalidInput, match=r"'a\.img' is both the id of a medium and a path") as refused:
        library.remove("a.img")
    assert str(refused.value.hint).startswith("mem:/a.img is the medium")
    assert library.remove("x") == 1 and library.remove(numbers["mem:/7/c.img"]) == 1
    for unknown in ("x", "7", "mem:/7", "mem:/7/c.img", 10**6, numbers["mem:/7/c.img"]):
        with pytest.raises(InvalidInput, match=r"nothing is known at|has nothing at"):
            library.remove(unknown)
    for wrong in (None, 1.5, True, b"x", ["x"]):
        with pytest.raises(InvalidInput):
            library.remove(wrong)  # type: ignore[arg-type]
    assert library.remove(Path("a.img")) == 1 and items(library).keys() == {"mem:/a.img/b.img"}
    assert library.remove("a.img") == 1 and items(library) == {}


def test_wrong_arguments_are_refused_before_anything_is_done(library: Library) -> None:
    good = Media("a.img", RED)
    for wrong in (None, 7, b"bytes", "a.img", Path("a.img"), [good, "b.img"], [good, None], {"a.img": RED}, [b"x"]):
        with pytest.raises(InvalidInput) as refused:
            library.ingest_media(wrong)  # type: ignore[arg-type]
        assert refused.value.hint
    for arguments in (
        {"data": "text"}, {"data": None}, {"data": Path("a.img")}, {"data": io.BytesIO(b"")}, {"data": 7},
        {"name": 7}, {"name": "a/b"}, {"name": ""}, {"id": 7}, {"id": ""}, {"id": b"x"}, {"keep": 1}, {"keep": "yes"},
        {"tags": "word"}, {"tags": (7,)}, {"tags": ("",)}, {"tags": ("a\0",)}, {"tags": ("\ud800",)}, {"tags": None},
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            Media(**{"name": "a.img", "data": RED, **arguments})  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        good.name = "b"  # type: ignore[misc]
    assert "image 255" not in repr(good), "no bytes in messages and logs"
    for no_path in (None, 7, b"mem:/x", ["mem:/x"]):
        with pytest.raises(InvalidInput):
            library.original(no_path)  # type: ignore[arg-type]
    with pytest.raises(LibraryNotFound):
        library.search("red")
    assert counts(library.ingest_media([])) == {}


def test_a_generator_that_fails_leaves_what_was_committed(library: Library) -> None:
    def failing() -> Iterator[Media]:
        yield Media("a.img", RED, id="x", keep=True)
        yield Media("b.img", GREEN, id="y", keep=True)
        yield Media("c.img", BLUE, id="z", keep=True)
        raise OSError("the network is gone")

    with pytest.raises(OSError, match="the network is gone"):
        library.ingest_media(failing())
    assert {sha for sha, _ in items(library).values()} == {path.split("/")[1] for path in kept(library)}
    assert not (library.path / "originals" / "incoming").exists()
    assert counts(library.ingest_media(Media("c.img", BLUE, id="z", keep=True))) == {"new": 1}


@pytest.mark.slow
def test_a_cancelled_run_keeps_what_it_committed(library: Library) -> None:
    import threading

    cancel = threading.Event()

    def handed() -> Iterator[Media]:
        for number in range(40):
            if number == 30:
                cancel.set()
            yield Media(f"{number}.img", image(number, 1, 2).encode(), id=str(number), keep=True)

    report = library.ingest_media(handed(), cancel=cancel)
    assert report.interrupted and len(items(library)) < 40
    assert {sha for sha, _ in items(library).values()} == {path.split("/")[1] for path in kept(library)}
    assert not (library.path / "originals" / "incoming").exists()


def test_what_a_killed_process_left_is_gone_when_the_library_opens(library: Library) -> None:
    library.ingest_media([Media("a.img", RED, id="x", keep=True)])
    library.close()
    originals = library.path / "originals"
    (originals / "incoming").mkdir()
    (originals / "incoming" / "0011.img").write_bytes(b"half of a pic")
    (originals / place_of(BLUE)).parent.mkdir(exist_ok=True)
    (originals / place_of(BLUE)).write_bytes(BLUE)
    with library._context.writing():
        # Somebody is writing: it may be theirs.
        assert found(library) == ["mem:/x/a.img"] and len(kept(library)) == 3
    library.close()
    assert found(library) == ["mem:/x/a.img"]
    assert kept(library) == {place_of(RED): RED} and not (originals / "incoming").exists()


def png(color: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (32, 32), color).save(made, "PNG")
    return made.getvalue()


@pytest.mark.slow
def test_decode_workers_take_media_from_memory_and_bad_ones_cost_only_themselves(
    open_tiny: Callable[..., Library], tmp_path: Path
) -> None:
    library = open_tiny(file_bytes=5000)
    bad = {
        "cut.png": png("blue")[:40], "empty.png": b"", "none.xyz": b"\x00\x01", "huge.png": bytes(5001),
    }  # fmt: skip
    handed = [Media("red.png", png("red"), id="red", keep=True), Media("note.txt", b"a blue house", id="note")]
    handed += [Media(name, data, id=f"bad {name}", keep=True) for name, data in bad.items()]
    report = library.ingest_media([*handed, Media("green.png", png("green"), id="green")])
    assert report.new == 3 and report.failed.total() == 4
    assert [(f.path.as_posix(), f.failure) for f in library.failures()] == [
        ("mem:/bad cut.png/cut.png", "corrupt"), ("mem:/bad empty.png/empty.png", "corrupt"),
        ("mem:/bad huge.png/huge.png", "limit"), ("mem:/bad none.xyz/none.xyz", "unsupported"),
    ]  # fmt: skip
    assert not any("incoming" in f.reason or str(tmp_path) in f.reason for f in library.failures())
    assert kept(library) == {place_of(png("red")): png("red")}
    assert library.retry().skipped == {"the original was not kept": 4}
    library.prune()
    assert len(library.failures()) == 4, "there is no file that could be gone"
    # Bad bytes for an id that holds good ones leave those; good ones take the failure away.
    library.ingest_media([Media("red.png", png("red")[:40], id="red"), Media("cut.png", png("blue"), id="bad cut.png")])
    assert library.original("mem:/red/red.png").read_bytes() == png("red")
    assert {f.path.as_posix() for f in library.failures()} >= {"mem:/red/red.png"} and len(library.failures()) == 4
    assert counts(library.ingest_media(Media("red.png", png("red"), id="red"))) == {"unchanged": 1}
    assert "mem:/red/red.png" not in {f.path.as_posix() for f in library.failures()}


@pytest.mark.slow
def test_what_needs_the_bytes_says_whether_they_were_kept(open_tiny: Callable[..., Library]) -> None:
    library = open_tiny()
    library.ingest_media([Media("red.png", png("red"), id="red", keep=True), Media("green.png", png("green"), id="g")])
    by_id = {hit.media_id: hit for hit in library.search("red", mode="vector")}
    assert library.explain("red", by_id["red"]).score == 1.0
    with pytest.raises(NotKept, match=r"the original of mem:/g/green\.png was not kept"):
        library.explain("red", by_id["g"])
    added = library.model.add("tests.model_spaces:twin")
    assert [(p.path.as_posix(), p.failure, p.reason) for p in added.problems] == [
        ("mem:/g/green.png", "not-kept", "the original was not kept: hand it over again with keep=True, or remove it")
    ]
    with pytest.raises(SpaceIncomplete) as refused:
        library.model.switch("twin")
    assert "hand over again, with keep=True, media that were not kept" in str(refused.value.hint)
    assert counts(library.ingest_media(Media("green.png", png("green"), id="g", keep=True))) == {"unchanged": 1}
    assert library.model.add("tests.model_spaces:twin").lacking == 0
    assert library.model.switch("twin")
    library.original("mem:/red/red.png").write_bytes(png("blue"))
    with pytest.raises(NotKept, match="missing or damaged"):
        library.explain("red", by_id["red"])


@pytest.mark.slow
def test_the_shell_reads_a_medium_from_standard_input(environment: dict[str, str], run: Run, tmp_path: Path) -> None:
    def piped(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "mmsearch", "ingest", "-", *arguments]
        shell = {**os.environ, **environment, "PYTHONPATH": str(CHECKOUT)}
        return subprocess.run(command, input=png("red"), env=shell, cwd=tmp_path, capture_output=True, check=False)

    done = piped("--name", "cat.png", "--id", "doc-17", "--keep")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, b"Took in 1 new file"), done.stderr
    shown = run("query", "red", "--paths")
    assert shown.stdout == b"mem:/doc-17/cat.png\n"
    assert run("remove", "mem:/doc-17").stdout == b"forgot 1 item\n"
    for wrong in ("-", "- x --name a", ". --name a", ". --keep", "- --name a --hidden", "- --name a --id "):
        assert run("ingest", *wrong.split(" ")).returncode == 2


@pytest.mark.slow
def test_the_chapter_s_example_prints_what_it_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    chapter = CHECKOUT / "mmsearch" / "resources" / "docs" / "media_in_memory.md"
    (example,) = re.findall(r"^```python\n(.*?)^```$", chapter.read_text("utf-8"), re.M | re.S)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.jpg").write_bytes(png("red"))
    exec(compile(example, "media_in_memory.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "2 new", "doc-17 mem:/doc-17/cat.jpg", "doc-18 mem:/doc-18/note.txt", "True", "1 removed",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_status_counts_the_bytes_that_are_kept(library: Library, run: Run) -> None:
    library.ingest_media(Media("red.img", RED, id="x"))
    assert library.status().original_bytes == 0
    assert "originals" not in run("status", "--library", library.path).stdout.decode()
    library.ingest_media([Media("red.img", RED, id="x", keep=True), Media("b.img", BLUE, id="y", keep=True)])
    assert library.status().original_bytes == len(RED) + len(BLUE)
    assert f", originals {len(RED) + len(BLUE)} B\n" in run("status", "--library", library.path).stdout.decode()
    library.remove("y")
    assert library.status().original_bytes == len(RED)


@pytest.mark.slow
def test_an_id_of_any_length_is_removed_by_itself(library: Library) -> None:
    ids = ["a" * 512, "a\0b", "~", "."]
    library.ingest_media([Media("n.img", RED, id=one) for one in ids])
    assert [library.remove(one) for one in ids] == [1, 1, 1, 1]
    assert items(library) == {}
