"""What is forgotten is in none of the library's bytes any more, and a root that is away forgets nothing."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from mmsearch.catalog.stems import TOKENS, stems
from mmsearch.core.byte_search import search_folder
from mmsearch.errors import LibraryError
from mmsearch.ingest.media import Media
from mmsearch.library import Library
from mmsearch.maintenance import doctor
from mmsearch.maintenance.forgetting import ForgettingProof
from mmsearch.media.events import DecodeEvent, DecodeJob, FileDone, FileFailed, PreparedSegment
from mmsearch.types import Span
from tests.conftest import CHECKOUT, Run
from tests.generated import words

PLANTED = 200


class Reader:
    """Reads notes, and pictures that are named after their colour, in this process; stands where decode workers do."""

    def run(self, jobs: Iterable[DecodeJob]) -> Generator[DecodeEvent, None, None]:
        for job in jobs:
            data, colour = job.path.read_bytes(), job.path.stem
            if data.startswith(b"\0"):
                yield FileFailed(job, "corrupt", "cut", None, 0.0, 0.0)
                continue
            kind = "image" if colour in COLOURS else "text"
            prepared = np.frombuffer(data, np.uint8).copy() if kind == "text" else np.array(COLOURS[colour], np.float32)
            yield PreparedSegment(job, 0, kind, Span(text=data.decode() if kind == "text" else None), prepared)
            yield FileDone(job, kind, {}, 0.0, 0.0)

    def close(self) -> None:
        pass


COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}


@pytest.fixture
def library(open_tiny: Callable[..., Library]) -> Library:
    made = open_tiny()
    made._context.decoding = Reader  # type: ignore[method-assign,assignment]
    return made


def picture(path: Path, colour: str) -> Path:
    return words(path, colour)


def planted(count: int = PLANTED) -> list[str]:
    """Words that nothing else holds, and whose stems begin with their first seven letters."""
    letters = random.Random(7)
    return ["".join(letters.choice(part) for part in ("bdfgk", "aou", "lmnr", "aou", "tvzp") * 2) for _ in range(count)]


def fill(folder: Path, hidden: list[str]) -> None:
    """Notes to keep, and notes below `private` with the words in their names, folders and texts."""
    for n in range(20):
        words(folder / f"note {n}.txt", f"a red house number {n} by the quiet sea")
    some = iter(hidden)
    for n in range(10):
        name, place = next(some), next(some)
        told = " ".join(next(some).title() for _ in range(len(hidden) // 10 - 2))
        words(folder / "private" / place / f"{name}.txt", f"a blue garden {told} {n}")


def left(library: Library, hidden: list[str]) -> list[str]:
    """Those of the words whose stem any file of the library has, in any case; it is closed for that."""
    library.close()
    held = b"".join(path.read_bytes() for path in library.path.rglob("*") if path.is_file()).lower()
    return [word for word in hidden if word[:7].encode() in held]


def test_no_planted_word_is_left_after_remove(library: Library, folder: Path) -> None:
    hidden = planted()
    fill(folder, hidden)
    library.ingest(folder)
    assert left(library, hidden) == hidden
    library.tag(folder / "private", ["gibberish"])
    library.set_meta(folder / "private", {"note": "gobbledygook"})
    proofs: list[ForgettingProof] = []
    assert library.remove(folder / "private", on_proof=proofs.append) == 10
    assert left(library, [*hidden, "gibberish", "gobbledygook", "private"]) == []
    (proof,) = proofs
    assert proof.traces == () and proof.paths == 11
    assert proof.words >= PLANTED and proof.files > 2 and proof.bytes > 10_000
    assert library.search("number 7", mode="keyword")[0].path.name == "note 7.txt"
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_no_planted_word_is_left_after_prune_and_of_a_changed_file(library: Library, folder: Path) -> None:
    hidden = planted(100)
    fill(folder, hidden)
    changed = words(folder / "changed.txt", "the wobbegong sleeps")
    library.ingest(folder)
    words(changed, "something quite different now")
    library.ingest(folder)
    assert left(library, ["wobbegong"]) == []
    assert left(library, hidden) == hidden
    for path in (folder / "private").rglob("*.txt"):
        path.unlink()
    assert library.prune().items == 10
    assert left(library, [*hidden, "private"]) == []


def test_no_vector_of_what_is_removed_is_left(library: Library, folder: Path) -> None:
    words(folder / "stays.txt", "an octopus")
    words(folder / "goes.txt", "a wobbegong")  # no word of an axis: its vector is its own
    library.ingest(folder)
    library.close()
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        found = "SELECT vector FROM embeddings JOIN segments ON segments.id = segment_id WHERE text LIKE ? || '%'"
        goes, stays = (db.execute(found, [text]).fetchone()[0] for text in ("a wobbegong", "an octopus"))

    def holders(vector: bytes) -> set[str]:
        library.close()
        files = [path for path in library.path.rglob("*") if path.is_file()]
        return {path.name for path in files if vector in path.read_bytes()}

    assert holders(goes) == holders(stays) == {"catalog.sqlite", "text-text"}
    library.remove(folder / "goes.txt")
    assert (holders(goes), holders(stays)) == (set(), {"catalog.sqlite", "text-text"})


def test_a_file_that_cannot_be_read_any_more_leaves_no_word(library: Library, folder: Path) -> None:
    kept, broken = picture(folder / "red.png", "red"), words(folder / "note.txt", "the wobbegong sleeps")
    library.ingest(folder)
    broken.write_bytes(b"\0" * 100)
    library.ingest(folder)
    assert left(library, ["wobbegong"]) == []
    assert [item.path for item in library.items()] == [kept]


@pytest.mark.slow
@pytest.mark.extras
@pytest.mark.parametrize("how", ["remove", "prune", "ingest"])
def test_no_planted_word_is_left_after_a_kill_and_reopening(library: Library, folder: Path, how: str) -> None:
    """Killed as soon as the items are gone, before anything is wiped."""
    hidden = planted(60)
    fill(folder, hidden)
    library.ingest(folder)
    library.close()
    for path in (folder / "private").rglob("*.txt"):
        words(path, "changed") if how == "ingest" else path.unlink() if how == "prune" else None
    act = {
        "remove": "library.remove(PLACE + '/private')",
        "prune": "library.prune()",
        "ingest": "library.ingest(PLACE)",
    }
    script = f"""
import os, signal, mmsearch
from mmsearch.catalog import Catalog
PLACE = {os.fspath(folder)!r}
Catalog.wipe = lambda self, largest=None: os.kill(os.getpid(), signal.SIGKILL)
library = mmsearch.open({os.fspath(library.path)!r}, space="tests.tiny:space", workers=1)
{act[how]}
"""
    known = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", script], env=known, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    names = [word for n in range(10) for word in hidden[6 * n : 6 * n + 2]]
    gone = hidden if how != "ingest" else [word for word in hidden if word not in names]
    assert left(library, gone) != []
    assert library.search("red")
    assert left(library, gone) == []


def test_a_reader_of_an_old_state_puts_the_wiping_off(library: Library, folder: Path, quick: None) -> None:
    fill(folder, planted(40))
    library.ingest(folder)
    catalog = library._context.catalog()
    with catalog.reading() as snapshot:
        snapshot.exec_driver_sql("SELECT count(*) FROM items").scalar()
        library.remove(folder / "private")
        assert catalog.marked
    done = library.prune()
    assert (done.items, done.wiped, catalog.marked) == (0, True, False)
    assert left(library, planted(40)) == []


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmsearch.catalog.database.READER_S", 0.01)


@pytest.mark.slow
def test_the_command_says_what_is_left_and_where(library: Library, folder: Path, run: Run) -> None:
    fill(folder, planted(40))
    library.ingest(folder)
    library.backup(folder.parent / "kept.backup")
    library.close()
    (library.path / "catalog.sqlite.0004.bak").write_bytes(b"..." + planted(40)[3].title().encode() + b"...")
    done = run("remove", folder / "private", "--prove")
    assert done.returncode == 3
    assert b"something is left" in done.stdout
    assert f"catalog.sqlite.0004.bak: {planted(40)[3].title()}".encode() in done.stdout
    assert b"may still hold it: the backup " + os.fsencode(folder.parent / "kept.backup") in done.stderr
    assert b"still hold what was forgotten" in done.stderr
    earlier = os.fsencode(library.path / "catalog.sqlite.0004.bak")
    assert b"may still hold it: the earlier catalog " + earlier in done.stderr
    assert [copy.kind for copy in library.copies()] == ["backup", "earlier catalog"]
    (library.path / "catalog.sqlite.0004.bak").unlink()
    (folder.parent / "kept.backup").unlink()
    (folder / "note 3.txt").unlink()
    done = run("prune", "--prove")
    assert done.returncode == 0 and b"nothing is left" in done.stdout and done.stderr == b""
    assert library.copies() == []


def test_a_word_that_a_remaining_item_holds_is_no_trace(library: Library, folder: Path) -> None:
    words(folder / "one.txt", "generation wobbegong")
    words(folder / "two.txt", "a wobbegong again")
    library.ingest(folder)
    proofs: list[ForgettingProof] = []
    library.remove(folder / "one.txt", on_proof=proofs.append)
    assert proofs[0].traces == ()
    assert proofs[0].words >= 1, "generation is looked for; index files have it in their footers"


def test_bytes_are_found_wherever_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmsearch.core.byte_search.CHUNK", 64)
    data = bytearray(random.Random(1).randbytes(1000))
    data[60:70], data[-6:] = b"wobbegongs", b"ending"
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a").write_bytes(data)
    (tmp_path / "b").write_bytes("ein Glühwürmchen".encode())
    texts = ["wobbegongs", "wobbegong!", "ending", "Glühwürmchen", "wobbegongs-or-not"]
    assert search_folder(tmp_path, texts) == ({"b": ["Glühwürmchen"], "inner/a": ["ending", "wobbegongs"]}, 2, 1018)
    assert search_folder(tmp_path, []) == ({}, 2, 1018)


def test_words_are_stemmed_as_in_the_tables_of_words(library: Library, folder: Path) -> None:
    picture(folder / "red.png", "red")
    library.ingest(folder)
    with library._context.catalog().reading() as snapshot:
        made = snapshot.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'passage_words'").scalar()
    assert f"tokenize = '{TOKENS}'" in str(made)
    assert stems(["Running", "Café", "--"]) == {"Running": frozenset({"run"}), "Café": frozenset({"cafe"})}


# Prune looks at the disk


@pytest.mark.parametrize("state", ["emptied", "not there"])
def test_a_root_that_is_away_forgets_nothing(library: Library, folder: Path, state: str, run: Run) -> None:
    stays = words(folder.parent / "other" / "note.txt", "red")
    gone, lost = picture(folder / "red.png", "red"), words(folder / "broken.png", "\0")
    library.ingest(folder, stays.parent)
    gone.unlink()
    lost.unlink()
    if state == "not there":
        folder.rmdir()
    library.ingest(folder)
    (away,) = [root for root in library.roots() if root.path == folder]
    assert (away.items, away.missing, away.there) == (0, 1, state == "emptied")
    done = library.prune()
    assert (done.items, done.away) == (0, ((folder, 1),))
    assert [item.path for item in library.items(missing=True)] == [gone, stays]
    assert len(library.failures()) == 1
    said = run("prune").stderr.decode()
    assert f"{folder} is empty or not there (unmounted disk?): 1 item of it kept" in said
    assert library.remove(folder) == 1


def test_a_file_ingested_by_itself_is_pruned_where_others_are_beside_its_place(library: Library, folder: Path) -> None:
    alone, beside = picture(folder / "red.png", "red"), picture(folder / "blue.png", "blue")
    library.ingest(alone)
    alone.unlink()
    assert library.prune().items == 1
    assert library.roots() == []
    library.ingest(beside)
    beside.unlink()
    assert library.prune().away == ((beside, 1),)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every folder")
def test_what_nobody_may_look_at_is_not_gone(library: Library, folder: Path) -> None:
    picture(folder / "closed" / "blue.png", "blue")
    picture(folder / "red.png", "red")
    library.ingest(folder)
    (folder / "closed").chmod(0)
    try:
        assert library.prune().items == 0
    finally:
        (folder / "closed").chmod(0o700)


def test_a_hit_whose_file_is_gone_says_so_and_cannot_be_opened(library: Library, folder: Path, run: Run) -> None:
    red = picture(folder / "red.png", "red")
    library.ingest(folder)
    assert [hit.missing for hit in library.search("red")] == [False]
    red.unlink()
    assert [hit.missing for hit in library.search("red")] == [True]
    assert b'"missing": true' in run("query", "red", "--json").stdout
    done = run("query", "red", "--open")
    assert (done.returncode, b"(file is not there)" in done.stdout) == (7, True)
    assert b"is not there any more" in done.stderr and b"mmsearch prune" in done.stderr


# Excludes that are kept with a root


@pytest.fixture
def mixed(folder: Path) -> Iterator[Path]:
    picture(folder / "red.png", "red")
    picture(folder / "private" / "blue.png", "blue")
    words(folder / "draft.txt", "green")
    yield folder


def names(library: Library) -> list[str]:
    return sorted(item.path.name for item in library.items())


@pytest.mark.slow
def test_kept_excludes_count_for_every_ingest_at_or_below_their_root(library: Library, mixed: Path) -> None:
    assert library.set_excludes(mixed, ["private/", "*.txt"]) == ("private/", "*.txt")
    assert library.ingest(mixed, dry_run=True).new == 1
    library.ingest(mixed)
    library.ingest(mixed / "private")
    library.ingest(mixed / "private" / "blue.png")
    library.ingest(mixed / "draft.txt")
    assert names(library) == ["red.png"]
    (root,) = library.roots()
    assert (root.path, root.exclude, root.items, root.missing) == (mixed, ("private/", "*.txt"), 1, 0)
    assert root.there
    assert root.scanned is not None
    library.set_excludes(mixed, ["private/"])
    library.ingest(mixed)
    assert names(library) == ["draft.txt", "red.png"]


def test_a_failure_that_is_excluded_now_is_not_tried_again(library: Library, mixed: Path) -> None:
    broken = words(mixed / "private" / "broken.txt", "\0")
    library.ingest(mixed)
    library.set_excludes(mixed, ["private/"])
    words(broken, "mended")
    assert library.retry().skipped == {"excluded": 1}
    assert "broken.txt" not in names(library)


@pytest.mark.slow
def test_a_path_is_kept_as_it_is_below_its_root(
    library: Library, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(mixed / "private"), "media/private/", "./draft.txt"]
    assert library.set_excludes(mixed, given) == ("/private", "/private/", "/draft.txt")
    monkeypatch.chdir("/")
    assert library.ingest(mixed).new == 1


def test_what_is_excluded_later_is_told_and_forgotten_if_asked(library: Library, mixed: Path, run: Run) -> None:
    words(mixed / "broken.png", "\0")
    assert library.ingest(mixed).left_out == 0
    (mixed / ".mmsearchignore").write_text("private/\nbroken.png\n")
    library.set_excludes(mixed, ["*.txt"])
    report = library.ingest(mixed)
    assert report.left_out == 2
    assert "mmsearch prune --excluded" in report.warnings[-1]
    assert names(library) == ["blue.png", "draft.txt", "red.png"], "nothing is forgotten unasked"
    assert library.prune().items == 0
    done = run("prune", "--excluded", "--prove")
    assert done.stdout.startswith(b"forgot 0 missing items and 2 excluded ones, freed "), done
    assert names(library) == ["red.png"] and library.failures() == []


def test_excludes_of_a_prune_count_below_the_named_folders(library: Library, mixed: Path) -> None:
    other = words(mixed.parent / "other" / "note.txt", "red")
    library.ingest(mixed, other.parent)
    done = library.prune(mixed, exclude=["*.txt"])
    assert (done.items, done.excluded) == (1, 1)
    assert names(library) == ["blue.png", "note.txt", "red.png"]


def test_the_roots_command_lists_and_keeps(library: Library, mixed: Path, run: Run) -> None:
    assert run("roots", mixed, "--exclude", "private/").returncode == 0
    library.ingest(mixed)
    said = run("roots", mixed, "--exclude", "*.txt")
    assert said.stdout.split(b"\t")[1] == b"private/ *.txt" and b"mmsearch prune --excluded" in said.stderr
    assert run("roots", mixed, "--include", "private/").stdout.split(b"\t")[1] == b"*.txt"
    assert run("roots", mixed, "--include", "private/").returncode == 2
    assert run("roots", "--exclude", "*.txt").returncode == 2
    assert b'"exclude": [\n      "*.txt"' in run("roots", "--json").stdout


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="no pseudo-terminal on this platform")
@pytest.mark.parametrize(("answer", "left"), [(b"y\n", ["red.png"]), (b"\n", ["blue.png", "draft.txt", "red.png"])])
def test_ingest_asks_on_a_terminal_whether_to_forget_what_is_left_out_now(
    library: Library, mixed: Path, environment: dict[str, str], answer: bytes, left: list[str]
) -> None:
    library.ingest(mixed)
    library.set_excludes(mixed, ["*.txt"])
    library.close()
    controller, end = os.openpty()
    command = [sys.executable, "-m", "mmsearch", "ingest", os.fspath(mixed), "--exclude", "private/"]
    known = {**os.environ, **environment, "PYTHONPATH": str(CHECKOUT), "TERM": "dumb"}
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=known) as child:
        os.close(end)
        os.write(controller, answer)
        seen = b""
        with suppress(OSError):
            while data := os.read(controller, 65536):
                seen += data
    os.close(controller)
    assert (child.returncode, b"Forget the 2 files that are left out now" in seen) == (0, True), seen
    assert names(library) == left


# Originals


def test_originals_of_a_lost_catalog_are_not_pruned(library: Library, folder: Path, tmp_path: Path) -> None:
    library.ingest_media(Media("handed.txt", b"a green valley", id="x", keep=True))
    library.backup(tmp_path / "kept.backup")
    library.close()
    for path in library.path.glob("catalog.sqlite*"):
        path.unlink()
    picture(folder / "red.png", "red")
    library.ingest(folder)
    kept = [path for path in (library.path / "originals").rglob("*") if path.is_file()]
    for act in (library.prune, lambda: library.ingest_media(Media("other.txt", b"a red house", id="y", keep=True))):
        with pytest.raises(LibraryError, match="are of another library than the catalog beside them"):
            act()
    found = doctor._originals(library._context)
    assert found is not None and found.state == "error"
    assert [path for path in (library.path / "originals").rglob("*") if path.is_file()] == kept
    library.restore(tmp_path / "kept.backup", overwrite=True)
    assert library.prune().items == 0
    assert library.original("mem:/x/handed.txt").read_bytes() == b"a green valley"


def test_originals_of_an_earlier_release_become_those_of_the_catalog_that_needs_them(library: Library) -> None:
    library.ingest_media(Media("handed.txt", b"a green valley", id="x", keep=True))
    mark = library.path / "originals" / "library.id"
    mark.unlink()
    library.prune()
    assert mark.is_file() and library.original("mem:/x/handed.txt").read_bytes() == b"a green valley"
    library.remove("x")
    assert not (library.path / "originals").exists()
