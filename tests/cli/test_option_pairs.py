"""Every pair of options of every command works together or is an error: none is ignored beside another."""

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner

import mmsearch.library
from mmsearch.cli import cli
from mmsearch.cli.conflicts import RULES, Exclusion, Need
from mmsearch.cli.help_examples import commands
from mmsearch.errors import MmsearchError
from tests.cli.recorded_library import recording

COMMANDS = {path: command for path, command in commands(cli) if not isinstance(command, click.Group)}

UNTESTED = {
    "prepare": "its only pair is --from with --yes, which answers a question that a copy does not ask",
    "help": "no options",
    "examples": "no options",
    "mcp": "it answers until its client goes; tests/integrations run it",
    "models": "--cost runs the models that are here (tests/models/test_recommend.py)",
    "serve": "it serves until it is ended; tests/serve run it",
    "watch": "it goes on until it is stopped",
    "worker": "it needs a library on a server (tests/catalog/test_postgres.py)",
    "move": "its only option is --json",
    "service install": "what it is given goes into a file, not to a library (tests/cli/test_service.py)",
    "service remove": "its only option names a file",
}

ELSEWHERE = {"--no-warm"}
"""What is about other processes than the one that answers."""

AGREEING = {"--yes", "--force"}
"""What agrees beforehand to a question that is not always asked; whatever else is said, it may change nothing."""

ON_A_TERMINAL = {"--preview"}
"""What shows on a terminal alone, by design: beside it nothing can be compared here."""

VALUES = {
    "--in": "image", "--kind": "copy", "--meta": "a=b", "--root": "a=b", "--k": "2,3", "--min-confidence": "0.045",
    "--retry": "corrupt", "--device": "cpu", "--precision": "fp32", "--threshold": "0.5",
    "--filter": "size > 1", "--save": "dogs=text=dog",
}  # fmt: skip
"""What an option is given, where not every value of its type will do."""

ARGUMENTS: dict[str, list[str]] = {
    "query": ["words"], "ingest": ["FOLDER"], "remove": ["FOLDER"], "roots": ["FOLDER"],
    "backup": ["new"], "restore": ["FILE"],
    "export": ["new"], "import": ["FOLDER"], "tag": ["FILE", "--add", "b"], "evaluate": ["FILE"],
    "train labels": ["FILE"], "train drop": ["name"], "model add": ["name"], "model switch": ["name"],
    "model drop": ["name"], "extract add": ["name"], "extract drop": ["name"], "transcript": ["FILE"],
    "token create": ["ann"], "token revoke": ["ann"],
    "connect": ["a", "b", "--name", "c"], "service install": ["FOLDER"], "watch": ["FOLDER"],
}  # fmt: skip
"""What a command is given besides the pair. FILE and FOLDER are there."""

ALTERNATIVES: dict[str, list[tuple[list[str], set[str]]]] = {
    "label": [(["--as", "a,b"], {"--as", "--with"})],
    "train projection": [(["FILE"], {"--resume", "--weak"})],
    "train adapter": [(["FILE"], {"--resume"})],
    "train fusion": [(["FILE"], {"--resume"})],
    "train apply": [(["name"], {"--base"})],
    "items": [],
}
"""Command -> what it is given unless one of some options is there."""

OTHERWISE: dict[tuple[str, str], list[str]] = {
    **{("ingest", option): ["-", "--name=a.txt"] for option in ("--id", "--keep")},
    ("ingest", "--name"): ["-"],
    ("query", "--yes"): ["words", "--update"],
}
"""(command, option) -> what the command is given in the place of its arguments where that option is there."""


class Outcome(NamedTuple):
    """All that can be seen of a command."""

    code: int
    printed: str
    said: str
    done: tuple[str, ...]


Runner = Callable[[click.Command, Sequence[str]], Outcome]


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runner:
    """Runs a command over a library that only writes down what it is asked."""
    calls: list[str] = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FILE").write_text("a word\n", "utf-8")

    def drawn(*_: object) -> dict[int, object]:
        calls.append("drawn")
        return {}

    monkeypatch.setattr(mmsearch.library, "open_library", recording(calls))
    monkeypatch.setattr(click, "launch", lambda path: calls.append(f"launch {path}"))
    monkeypatch.setattr(mmsearch, "connect", _connected(calls), raising=False)
    monkeypatch.setattr("mmsearch.core.manners.bound_process", lambda *_: None)
    monkeypatch.setattr("mmsearch.cli.preview.wanted", lambda: True)
    monkeypatch.setattr("mmsearch.cli.preview.drawn", drawn)
    monkeypatch.setattr(sys, "argv", ["mmsearch"])
    known: dict[tuple[str, ...], Outcome] = {}

    def run(command: click.Command, arguments: Sequence[str]) -> Outcome:
        key = tuple(arguments)
        if key not in known:
            calls.clear()
            # click keeps the names of --help from the first context that a command is in.
            names = ["-h", "--help"]
            done = CliRunner().invoke(command, arguments, input="words", help_option_names=names)
            code, said = done.exit_code, done.stderr
            if isinstance(done.exception, MmsearchError):
                code, said = done.exception.exit_code, f"{said}Error: {done.exception}"
            elif done.exception is not None and not isinstance(done.exception, SystemExit):
                raise done.exception
            known[key] = Outcome(code, done.stdout, said, tuple(calls))
        return known[key]

    return run


def _connected(calls: list[str]) -> Callable[..., Any]:
    from mmsearch import ConnectionResult
    from tests.cli.recorded_library import fake

    def connect(*args: Any, on_epoch: Any, **options: Any) -> Any:
        calls.append(f"connect {args} {options} {on_epoch is None}")
        return fake(ConnectionResult)

    return connect


def options_of(command: click.Command) -> dict[str, list[str]]:
    """Option -> the words that give it on a command line."""
    return {
        max(one.opts, key=len): _given(one)
        for one in command.params
        if isinstance(one, click.Option) and one.opts[0] not in ("--help", *AGREEING, *ELSEWHERE)
    }


def _given(option: click.Option) -> list[str]:
    name = max(option.opts, key=len)
    if option.is_flag:
        return [name]
    if name in VALUES:
        return [f"{name}={VALUES[name]}"] if name.startswith("--") else [name, VALUES[name]]
    if isinstance(option.type, click.Choice):
        return [name, next(one for one in reversed(option.type.choices) if one != option.default)]
    if isinstance(option.type, click.Path):
        return [name, "FILE" if option.type.file_okay else "FOLDER"]
    if isinstance(option.type, click.types.FloatParamType):
        return [name, "0.25"]
    return [name, "3" if isinstance(option.type, click.types.IntParamType) else "word"]


def around(path: str, given: Sequence[str]) -> list[str]:
    """What a command is given besides these options."""
    words = list(ARGUMENTS.get(path, ()))
    for more, unless in ALTERNATIVES.get(path, ()):
        words += more if unless.isdisjoint(given) else []
    for option in given:
        words = OTHERWISE.get((path, option), words)
    needed = [
        rule.other for rule in RULES.get(path, ()) if isinstance(rule, Need) and set(rule.options.split()) & {*given}
    ]
    known = options_of(COMMANDS[path]) if path in COMMANDS else {}
    for other in dict.fromkeys(needed):
        words += known[other] if other not in given else []
    return words


def ignored(
    command: click.Command, run: Runner, given: Callable[[Sequence[str]], list[str]]
) -> Iterator[tuple[str, str, str]]:
    """Pairs of options of a command of which one is ignored beside the other, and which."""
    for one, other in itertools.combinations(options_of(command), 2):
        options = options_of(command)
        if {one, other} & ON_A_TERMINAL:
            continue
        if {one, other} == {"--all", "--min-confidence"}:  # what is unlikely, and more than a table shows of it
            options["--min-confidence"] = ["--min-confidence=0.025"]
        words = given((one, other))
        both = run(command, [*words, *options[one], *options[other]])
        if both.code == 2:
            if one not in both.said and other not in both.said:
                yield one, other, f"refused for another reason: {both.said}"
            continue
        if both == run(command, [*words, *options[other]]):
            yield one, other, one
        if both == run(command, [*words, *options[one]]):
            yield one, other, other


LONG = ("train adapter", "train fusion", "train labels")
"""With the options of `train projection`, for the most part."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.extras] * (path in LONG)) for path in sorted(COMMANDS.keys() - UNTESTED)],
)
def test_no_option_is_ignored_beside_another(path: str, outcome: Runner) -> None:
    command = COMMANDS[path]
    for option, words in options_of(command).items():
        alone = outcome(command, [*around(path, [option]), *words])
        assert alone.code in (0, 1), (option, alone.said)
    assert list(ignored(command, outcome, lambda pair: around(path, pair))) == []


@pytest.mark.parametrize("path", sorted(RULES.keys() - {""}))
def test_what_the_rules_exclude_is_refused_before_anything_is_done(path: str, outcome: Runner) -> None:
    command, options = COMMANDS[path], options_of(COMMANDS[path])
    pairs = [pair for rule in RULES[path] if isinstance(rule, Exclusion) for pair in rule.pairs()]
    for one, other in pairs:
        refused = outcome(command, [*around(path, [one, other]), *options[one], *options[other]])
        assert (refused.code, refused.printed, refused.done) == (2, "", ()), (one, other)
        assert f"{one} and " in refused.said and "don't go together: " in refused.said
    for rule in [rule for rule in RULES[path] if isinstance(rule, Need)]:
        for option in rule.options.split():
            refused = outcome(command, [*ARGUMENTS.get(path, ["FILE"] * path.startswith("train")), *options[option]])
            assert (refused.code, refused.done) == (2, ()) and f"{option} goes with {rule.other}" in refused.said


def test_an_ignored_option_would_be_noticed(outcome: Runner) -> None:
    @click.command()
    @click.option("--as-list", is_flag=True)
    @click.option("--numbered", is_flag=True)
    @click.option("--loud", is_flag=True)
    def show(as_list: bool, numbered: bool, loud: bool) -> None:
        click.echo("1 a" if numbered and not as_list else "a", err=loud)
        click.echo("list" if as_list else "table")

    assert list(ignored(show, outcome, lambda pair: [])) == [("--as-list", "--numbered", "--numbered")]


def test_every_command_is_walked_or_has_a_reason() -> None:
    assert UNTESTED.keys() <= COMMANDS.keys() and RULES.keys() - {""} <= COMMANDS.keys()
    named = {option for rules in RULES.values() for rule in rules for option in rule.options.split()}
    assert named <= {name for command in [cli, *COMMANDS.values()] for one in command.params for name in one.opts}
