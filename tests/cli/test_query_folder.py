"""`mmsearch query WORDS FOLDER`: nothing to set up, nothing long unasked, and only what lies in the folder."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from mmsearch.cli import cli, query_folder
from mmsearch.cli.query_folder import absolute
from mmsearch.cli.query_words import split_folder
from tests import tiny
from tests.conftest import Run
from tests.generated import picture, words


def paths(run: Run, *arguments: str | Path) -> list[str]:
    done = run("query", *arguments, "--paths", "-k", "100")
    assert done.returncode in (0, 1), done.stderr.decode()
    return sorted(Path(line).name for line in done.stdout.decode().splitlines())


@pytest.fixture
def pictures(folder: Path) -> Path:
    """Two folders whose names mean something in a glob, and a file beside them."""
    for name in ("a[1]*", "a1x"):
        (folder / name).mkdir()
    picture(folder / "a[1]*" / "red.png", "red")
    picture(folder / "a[1]*" / "green.png", "green")
    picture(folder / "a1x" / "also red.png", "red", mark=1)
    words(folder / "note.txt", "a red house")
    return folder


@pytest.mark.slow
def test_a_folder_that_was_never_taken_in_is_and_only_it_is_searched(run: Run, pictures: Path, tmp_path: Path) -> None:
    first = run("query", "red", pictures / "a[1]*")
    assert first.returncode == 0
    said = first.stderr.decode().splitlines()
    assert (
        said[0] == f"media/a[1]* becomes a folder of the library {tmp_path / 'library'}: 2 pictures, about 10 seconds"
    )
    assert [line.split("\t")[4] for line in first.stdout.decode().splitlines()] == [
        "media/a[1]*/red.png", "media/a[1]*/green.png",
    ]  # fmt: skip
    tiny.reset()
    again = run("query", "red", pictures / "a[1]*")
    assert (again.stdout, again.stderr, tiny.ENCODED.total()) == (first.stdout, b"", 0)
    assert paths(run, "red", pictures) == ["also red.png", "green.png", "note.txt", "red.png"]
    assert paths(run, "red", pictures / "a1x") == ["also red.png"]
    assert paths(run, "red", pictures / "a[1]*", "--filter", "name = red.png or name = note.txt") == ["red.png"]
    assert paths(run, "red", "--in-folder", pictures / "a1x", "--in", "notes") == []


def test_the_last_word_is_a_folder_if_it_is_written_as_one(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for written in ("media/", "./media", str(pictures), f"{pictures}/", "~/media", "media/../media"):
        words, folder = split_folder(["red", written], None)
        assert words == ["red"] and absolute(folder) == pictures, written
    assert split_folder(["red", "."], None) == (["red"], Path("."))
    for word in ("media", "black/white", "./media/a1x/also red.png", "/nowhere/dog.jpg", "", "-", "a\0/b"):
        assert split_folder(["red", word], None) == (["red", word], None), word
    assert split_folder(["red"], pictures) == (["red"], pictures)


@pytest.mark.slow
def test_what_is_new_is_taken_in_first_where_that_is_asked_for(run: Run, pictures: Path) -> None:
    run("ingest", pictures)
    picture(pictures / "a1x" / "new.png", "red", mark=2)
    (pictures / "note.txt").unlink()
    assert paths(run, "red", pictures) == ["also red.png", "green.png", "note.txt", "red.png"]
    done = run("query", "red", "--update", "--paths")
    assert sorted(Path(line).name for line in done.stdout.decode().splitlines()) == [
        "also red.png", "green.png", "new.png", "red.png",
    ]  # fmt: skip
    assert done.stderr.decode().startswith("New in the folders of the library ")
    (pictures / "private").mkdir()
    picture(pictures / "private" / "secret.png", "red", mark=3)
    assert run("roots", pictures, "--exclude", "private/").returncode == 0
    assert run("query", "red", "--update").stderr == b"", "nothing is new but what is left out for good"
    assert "secret.png" not in paths(run, "red", pictures)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["red", "/nowhere/at/all"], "no such folder: /nowhere/at/all"),
        (["{}", "red"], "is a folder in the middle of the words"),
        (["red", "{}", "--in-folder", "{}"], "two folders to search in"),
        (["{}"], "the query is empty"),
        (["red", "--yes"], "--yes goes with a folder or with --update"),
    ],
)
def test_a_folder_that_makes_no_sense_is_an_error(run: Run, pictures: Path, asked: list[str], message: str) -> None:
    done = run("query", *(word.format(pictures) for word in asked))
    assert done.returncode == 2 and message in done.stderr.decode()
    assert not (pictures.parent / "library").exists()


@pytest.mark.slow
def test_long_work_is_refused_where_nobody_can_be_asked_and_done_with_yes(run: Run, folder: Path) -> None:
    _long(folder)
    refused = run("query", "red", folder, "--in", "photos")
    assert refused.returncode == 2 and not (folder.parent / "library").exists()
    assert "1 picture, 1 video, about 3 minutes" in refused.stderr.decode()
    assert "--yes" in refused.stderr.decode()
    done = run("query", "red", folder, "--yes", "--paths")
    assert done.stdout.decode().splitlines() == [str(folder / "red.png")]
    assert "1 file can't be read; why: mmsearch failures" in done.stderr.decode()


def _long(folder: Path) -> None:
    picture(folder / "red.png", "red")
    with open(folder / "long.mp4", "wb") as file:
        file.truncate(300_000_000)


def test_long_work_is_asked_about_on_a_terminal(
    folder: Path, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _long(folder)
    monkeypatch.setattr(query_folder, "sys", _AtATerminal)
    done = CliRunner(env=environment).invoke(cli, ["query", "red", str(folder)], input="n\n")
    assert (done.exit_code, done.stdout, (tmp_path / "library").exists()) == (130, "", False)
    assert "about 3 minutes" in done.stderr and "Take it in now? [Y/n]: " in done.stderr


class _AtATerminal:
    """The module `sys` where somebody can be asked."""

    class stdin:
        isatty = staticmethod(lambda: True)
