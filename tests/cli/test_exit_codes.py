"""How commands end: 1 says that a query found nothing likely, and nothing else does."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import mmsearch
import mmsearch.cli
import mmsearch.library
from mmsearch.cli.exit_codes import MEANINGS, NOTHING_FOUND, UNEXPECTED, of_usage
from mmsearch.errors import MmsearchError
from tests.cli.test_option_pairs import ARGUMENTS, UNTESTED
from tests.cli.test_option_pairs import COMMANDS as ALL
from tests.conftest import Run
from tests.generated import picture
from tests.module_library import ModuleLibrary

SHELL = Path(mmsearch.cli.__file__).parent
COMMANDS = {path: command for path, command in ALL.items() if path not in UNTESTED}
"""Without those that never end, or change more than a library."""


def fill(media: Path) -> None:
    picture(media / "red.png", "red")
    picture(media / "green.png", "green")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.mark.slow
def test_a_query_ends_with_1_where_nothing_is_at_least_likely(run: Run) -> None:
    for form in ([], ["--paths"], ["--json"], ["--jsonl"], ["--explain"]):
        assert run("query", "red", *form).returncode == 0
        nearest = run("query", "low", "--mode", "vector", *form)
        assert nearest.returncode == 1 and nearest.stdout
        assert run("query", "low", "--min-confidence", "1", *form).returncode == 1


@pytest.mark.slow
def test_the_answer_in_json_says_what_was_asked_and_how_sure_the_best_hit_is(run: Run, folder: Path) -> None:
    answer = json.loads(run("query", "red", "-", "0.5:green", "--in", "photos", "--json").stdout)
    assert list(answer) == ["query", "level", "confidence", "generation", "hits"]
    assert answer["query"] == [
        {"modality": "text", "value": "red", "weight": 1.0},
        {"modality": "text", "value": "green", "weight": -0.5},
    ]
    best, other = answer["hits"]
    assert (best["path"], best["level"], best["confidence"]) == (
        str(folder / "red.png"), answer["level"], answer["confidence"],
    )  # fmt: skip
    lines = run("query", "red", "-", "0.5:green", "--in", "photos", "--jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [best, other]
    run("remove", folder / "green.png")
    assert json.loads(run("query", "red", "--json").stdout)["generation"] > answer["generation"]
    empty = json.loads(run("query", "red", "--in", "audio", "--json").stdout)
    assert (empty["level"], empty["confidence"], empty["hits"]) == (None, None, [])


def errors(kind: type[MmsearchError] = MmsearchError) -> Iterator[type[MmsearchError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from errors(below)


def test_no_error_ends_with_1_and_each_has_a_line_in_the_table() -> None:
    assert {kind.__name__: kind.exit_code for kind in errors() if kind.exit_code not in MEANINGS.keys() - {0, 1}} == {}
    assert of_usage(click.ClickException("a")) == UNEXPECTED == 70 and of_usage(click.UsageError("a")) == 2


def test_only_the_query_command_can_end_with_1() -> None:
    users = {path.name for path in SHELL.glob("*.py") if "NOTHING_FOUND" in path.read_text("utf-8")}
    assert users == {"exit_codes.py", "query.py"}
    ends = [
        ast.unparse(call)
        for path in SHELL.glob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("SystemExit", "sys.exit", "exit", "os._exit")
    ]
    assert len(ends) > 8 and not [end for end in ends if any(character.isdigit() for character in end)], ends


def test_no_command_ends_with_1_where_there_is_no_library(run: Run, tmp_path: Path) -> None:
    (tmp_path / "FOLDER").mkdir(exist_ok=True)
    (tmp_path / "FILE").write_text("a\n", "utf-8")
    quick = {path for path in COMMANDS if path not in ("demo", "connect", "models", "doctor", "help", "ingest")}
    library = "--library", tmp_path / "none"
    takes = {path for path in quick if any("--library" in one.opts for one in COMMANDS[path].params)}
    codes = {path: run(*path.split(), *library, *ARGUMENTS.get(path, ())).returncode for path in sorted(takes)}
    assert NOTHING_FOUND not in codes.values() and codes["query"] == codes["status"] == 3, codes
    assert set(codes.values()) <= MEANINGS.keys()


@pytest.mark.slow
def test_what_nobody_expected_ends_with_70_and_says_what_to_report(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(mmsearch.library, "open_library", broken)
    for path in COMMANDS.keys() - {"models", "connect", "train apply", "warm stop", "warm status"}:
        if path.startswith("train") or path in ("label", "tag"):
            continue
        done = run(*path.split(), *ARGUMENTS.get(path, []))
        if done.returncode != 2:  # what it is given isn't there
            assert done.returncode == 70, (path, done)
            said = done.stderr.decode()
            assert "Traceback" in said and said.splitlines()[-2:] == [
                "Error: something unexpected: ZeroDivisionError", "Hint: please report what is printed above",
            ]  # fmt: skip
