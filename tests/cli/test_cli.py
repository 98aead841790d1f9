"""The command line as a shell runs it: what it prints, where, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmsearch.ingest import IngestReport
from mmsearch.library import Library
from tests.conftest import CHECKOUT, Run
from tests.generated import picture, sound, words


@pytest.fixture
def filled(run: Run, folder: Path) -> Run:
    picture(folder / "red.png", "red")
    picture(folder / "green.png", "green", side=33)
    sound(folder / "low.wav", "low")
    words(folder / "note.txt", "a blue house by the sea")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run("ingest", folder).returncode == 0
    return run


@pytest.mark.slow
def test_ingest_prints_a_summary_as_text_and_json(run: Run, folder: Path) -> None:
    picture(folder / "red.png", "red")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = run("ingest", folder, "-v")
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "Took in 1 new file"
    assert lines[1] == "1 file could not be read. See why: mmsearch failures"
    assert lines[2] == "Library: library"
    assert lines[3].startswith("new 1, changed 0, moved 0, copied 0, restored 0, unchanged 0, ")
    assert lines[4] == "failed (corrupt): 1"
    assert lines[5].startswith("2 files, 1 segment embedded in ")
    assert done.stderr.decode() == "loading the model\n"
    assert (run("ingest", folder, "-q").stdout, run("ingest", folder, "-q").stderr) == (b"", b"")
    report = json.loads(run("ingest", folder, "--json").stdout)
    assert (report["unchanged"], report["failed_before"], report["files"]) == (1, 1, 2)


@pytest.mark.slow
def test_query_prints_a_table_paths_or_json(filled: Run, folder: Path) -> None:
    asked = "query", "red", "--in", "image", "--all"
    rows = [line.split("\t") for line in filled(*asked).stdout.decode().splitlines()]
    assert rows[0] == ["1", "sure", "1.00", "image", "media/red.png", ""]
    assert [row[:1] + row[3:] for row in rows[1:]] == [["2", "image", "media/green.png", ""]]
    rows = [line.split("\t") for line in filled(*asked, "--scores").stdout.decode().splitlines()]
    assert [row[:1] + row[3:] for row in rows] == [
        ["1", "1.000", "1.00", "image", "media/red.png", ""],
        ["2", "0.000", "-", "image", "media/green.png", ""],
    ]
    assert filled("query", "blue", "--in", "text").stdout.decode().rstrip("\n").split("\t")[4:] == [
        "media/note.txt",
        "a blue house by the sea",
    ]
    found = filled("query", folder / "red.png", "-k", "1", "--paths", "-0", "--in", "image").stdout
    assert found == os.fsencode(folder / "red.png") + b"\0"
    hit = json.loads(filled("query", "low", "--in", "audio", "--json").stdout)["hits"][0]
    assert (hit["path"], hit["start"], hit["end"]) == (str(folder / "low.wav"), 0.0, 2.5)


@pytest.mark.slow
def test_a_query_may_mix_files_and_words(filled: Run, folder: Path) -> None:
    picture(folder.parent / "red", "red")
    assert b"red.png" in filled("query", "red", "-k", "1", "--in", "image", "--paths").stdout
    mixed = json.loads(filled("query", "green", "--image", folder / "red.png", "--in", "image", "--json").stdout)[
        "hits"
    ]
    assert [round(hit["cosine"], 2) for hit in mixed] == [0.71, 0.71]
    signed = json.loads(filled("query", "4:green", "-", "3:red", "--in", "image", "--json").stdout)["hits"]
    assert [round(hit["cosine"], 2) for hit in signed] == [0.8, -0.6]
    with_file = json.loads(
        filled("query", "green", "+", "0.5:" + str(folder / "red.png"), "--in", "image", "--json").stdout
    )["hits"]
    assert [round(hit["cosine"], 2) for hit in with_file] == [0.89, 0.45]
    forced = json.loads(filled("query", "--text", "red", "--in", "image", "--json").stdout)["hits"]
    assert round(forced[0]["cosine"], 3) == 1.0


@pytest.mark.slow
def test_names_are_escaped_for_people_and_raw_bytes_for_scripts(process: Run, folder: Path) -> None:
    name = os.fsdecode(b"bell\x07\x1b[31m\xff.png")
    picture(folder / name, "red")
    process("ingest", folder)
    shown = process("query", "red").stdout
    assert b"\x07" not in shown and b"\x1b" not in shown
    assert process("query", "red", "--paths").stdout == os.fsencode(folder / name) + b"\n"


@pytest.mark.slow
def test_status_failures_remove_and_prune_agree_on_what_is_there(filled: Run, process: Run, folder: Path) -> None:
    status = process("status").stdout.decode()
    assert "image    2 items, 2 segments, 2 vectors" in status and "failures corrupt 1" in status
    assert filled("failures").stdout.decode().split("\t")[:3] == ["corrupt", "1", "media/broken.png"]
    assert b"1 file could not be read" in filled("failures", "--retry").stdout
    assert json.loads(filled("failures", "--json").stdout)[0]["attempts"] == 2
    picture(folder / "broken.png", "blue")
    assert b"Took in 1 new file" in filled("failures", "--retry", "corrupt").stdout
    (folder / "green.png").unlink()
    filled("ingest", folder)
    assert filled("prune").stdout == b"forgot 1 missing item, freed 0 B\n"
    assert process("remove", folder / "red.png").stdout == b"forgot 1 item\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["query", "red"], 3, "there is no library at"),
        (["status"], 3, "there is no library at"),
        (["ingest", "nowhere"], 2, "no such file or folder"),
        (["ingest", ""], 2, "the path is empty; the current folder is '.'"),
        (["remove", ""], 2, "the path is empty"),
        (["tag", "", "--add", "a"], 2, "the path is empty"),
        (["status", "--library", ""], 2, "the path is empty"),
        (["ingest"], 2, "Missing argument"),
        (["query"], 2, "the query is empty"),
        (["query", "nowhere/dog.jpg"], 2, "no such file: nowhere/dog.jpg"),
        (["query", "https://example.org/dog.jpg"], 2, "is an address"),
        (["query", "x", "-k", "0"], 2, "Invalid value for '-k'"),
        (["dance"], 2, "No such command 'dance'"),
        (["--library", "lib", "status"], 2, "--library goes after the command, as in: mmsearch query --library ..."),
        (["--retry", "failures"], 2, "--retry goes after the command, as in: mmsearch failures --retry ..."),
        (["--nonsense", "status"], 2, "No such option '--nonsense'"),
    ],
)
def test_an_error_is_printed_and_sets_the_exit_code(run: Run, arguments: list[str], code: int, message: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert message in done.stderr.decode() and b"Traceback" not in done.stderr


def test_a_minus_before_a_word_of_a_phrase_takes_it_away(filled: Run) -> None:
    def answer(*words: str) -> bytes:
        return filled("query", *words, "--in", "image", "--jsonl").stdout

    assert answer("green -red") == answer("green", "-", "red") != answer("green red")
    assert answer("green well-red -4") == answer("--text", "green well-red -4")
    assert answer('green -"red"') == answer("green -red"), "a quoted phrase, too"
    first = filled("query", "--in", "image", "--jsonl", "--", "-red", "green").stdout
    assert first == answer("green -red"), "at the beginning, too"


@pytest.mark.slow
def test_a_query_file_that_cannot_be_read_is_an_error_with_a_hint(filled: Run, folder: Path) -> None:
    done = filled("query", folder / "broken.png")
    assert (done.returncode, done.stdout) == (7, b"")
    assert "can't read the query broken.png: " in done.stderr.decode() and "Hint: " in done.stderr.decode()
    (folder / "noise.bin").write_bytes(bytes(range(256)))
    done = filled("query", folder / "noise.bin")
    assert done.returncode == 7
    assert "is a file that cannot be a query" in done.stderr.decode() and "--text" in done.stderr.decode()


@pytest.mark.slow
def test_an_unknown_setting_is_named(process: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "mmsearch.toml").write_text("pixel = 3\n")
    done = process("ingest", folder)
    assert done.returncode == 2 and "unknown setting 'pixel'" in done.stderr.decode()


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name == "nt", reason="needs POSIX signals")
@pytest.mark.slow
def test_ctrl_c_finishes_the_files_in_hand(run: Run, folder: Path, tmp_path: Path) -> None:
    for n in range(600):
        words(folder / f"{n:04d}.txt", f"number {n}")
    environment = {
        **os.environ, "MMSEARCH_SPACE": "tests.tiny:space", "MMSEARCH_COMMIT_SEGMENTS": "8",
        "MMSEARCH_LIBRARY": str(tmp_path / "library"), "PYTHONPATH": str(CHECKOUT),
    }  # fmt: skip
    command = [sys.executable, "-m", "mmsearch", "ingest", str(folder)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (tmp_path / "library" / "catalog.sqlite-wal").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130 and b"Traceback" not in error, error.decode()
    rest = json.loads(run("ingest", folder, "--json").stdout)
    assert rest["new"] + rest["unchanged"] == 600 and not rest["interrupted"]


@pytest.mark.slow
def test_ctrl_c_ends_a_retry_after_the_files_in_hand(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        words(folder / f"{n}.txt", "")
    run("ingest", folder)
    for n in range(3):
        words(folder / f"{n}.txt", f"red {n}")
    retry, before = Library.retry, signal.getsignal(signal.SIGINT)

    def interrupted(*given: Any, **options: Any) -> IngestReport:
        signal.raise_signal(signal.SIGINT)
        return retry(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Library, "retry", interrupted)
        done = run("failures", "--retry")
    assert done.returncode == 130 and b"Stopping after the files in hand" in done.stderr
    assert signal.getsignal(signal.SIGINT) == before
    assert b"Took in 3 new files" in run("failures", "--retry").stdout


def test_every_command_has_help_and_the_version_is_printed(run: Run, process: Run) -> None:
    assert process("--version").stdout.startswith(b"mmsearch ")
    for command in ("ingest", "query", "status", "failures", "remove", "prune", "evaluate", "demo"):
        assert run(command, "--help").returncode == 0
