"""The README and the shipped docs hold what the code has, and nothing else: names, options, examples, links."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import mmsearch
from mmsearch.cli import cli
from mmsearch.cli.help_examples import EXAMPLES, commands
from mmsearch.core.config import Settings
from mmsearch.resources import chapters as shipped
from tests.conftest import CHECKOUT
from tests.packaging import api_reference, docstrings, reference

FILES = [CHECKOUT / "README.md", *sorted(shipped.DOCS.glob("*.md"))]
GENERATED = ("shell.md", "api.md", "names.md", "api_http.md")
"""Made from the code, so what they name proves nothing about what is explained."""

WRITTEN = "\n".join(path.read_text("utf-8") for path in FILES if path.name not in GENERATED)
ALL = "\n".join(path.read_text("utf-8") for path in FILES)
COMMANDS = dict(commands(cli))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(reference.GENERATED))
def test_a_generated_chapter_is_what_the_code_says(name: str) -> None:
    written = (shipped.DOCS / name).read_text("utf-8")
    assert written == reference.GENERATED[name](), "write it anew: python -m tests.packaging.reference"


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_command_and_option_is_explained(path: str) -> None:
    command = COMMANDS[path]
    assert f"mmsearch {path}" in WRITTEN
    for option in (o for parameter in command.params for o in parameter.opts if o.startswith("--")):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", WRITTEN), f"mmsearch {path} {option}"


def test_every_setting_is_explained() -> None:
    for name in Settings.__dataclass_fields__:
        assert f"`{name}`" in WRITTEN, name


def test_every_public_name_and_method_is_in_the_docs() -> None:
    for name in mmsearch.__all__:
        assert f"mmsearch.{name}" in ALL, name
    names = [name for name, _ in api_reference.library_methods()]
    assert "library.train.projection" in names and "library.search" in names
    for name in names:
        assert f"### {name}\n" in ALL, name


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_help_ends_with_examples(path: str) -> None:
    examples = EXAMPLES[path]
    assert len(examples) in (2, 3)
    printed = reference.printed_help(path, COMMANDS[path]).splitlines()
    first = printed.index("  Examples:")
    assert [line.strip() for line in printed[first + 1 : first + 1 + len(examples)]] == list(examples)
    assert all(example.startswith(f"mmsearch {path}".rstrip()) for example in examples)


def test_the_list_of_commands_shows_each_line_whole() -> None:
    cut = [line for line in reference.shell().splitlines() if line.startswith("  ") and line.endswith("...")]
    assert not cut, "begin the help with a shorter sentence"


def test_every_example_is_of_a_command_that_exists() -> None:
    assert {*EXAMPLES} == {*COMMANDS}


def parses(line: str, folder: Path) -> None:
    """Parse a line as the shell and the command would. Raises: click.ClickException."""
    words = [word for word in shlex.split(line, comments=True) if "=" not in word or not word.isupper()]
    words = words[words.index("mmsearch") + 1 :]
    words = words[: next((n for n, word in enumerate(words) if word in ("|", ">", "&&")), len(words))]
    for word in words:
        if Path(word).suffix in (".tsv", ".txt") and not Path(word).is_absolute():
            (folder / word).parent.mkdir(parents=True, exist_ok=True)
            (folder / word).touch()
    command: click.Command | None = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        _, command, words = command.resolve_command(click.Context(command), words)
    assert command is not None
    # As the shell makes it: a command remembers the help options that it was first given.
    with click.Context(cli, **cli.context_settings) as parent:
        command.make_context(command.name, list(words), parent=parent)


def typed_lines() -> Iterator[tuple[str, str]]:
    """(chapter, line) of every command line in a block of code."""
    for path in FILES:
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S):
            if language in ("sh", "console", "bash"):
                lines = (
                    line.removeprefix("$ ") for line in block.splitlines() if language != "console" or line[:2] == "$ "
                )
                yield from ((path.name, line) for line in lines if re.match(r"(\w+=\S+ )*mmsearch ", line))


@pytest.mark.parametrize(("chapter", "line"), sorted(set(typed_lines())))
def test_every_command_line_in_the_docs_parses(
    chapter: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parses(line, tmp_path)


@pytest.mark.parametrize("line", [line for examples in EXAMPLES.values() for line in examples])
def test_every_example_of_a_help_parses(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parses(line, tmp_path)


@pytest.mark.parametrize(
    "line", ["mmsearch query --nothing", "mmsearch backup", "mmsearch nothing", "mmsearch query -k 0 a"]
)
def test_a_line_that_no_command_takes_does_not_parse(line: str, tmp_path: Path) -> None:
    with pytest.raises(click.ClickException):
        parses(line, tmp_path)


@pytest.mark.parametrize("path", [path for path in FILES if path.name not in GENERATED], ids=lambda path: path.name)
def test_python_in_the_docs_is_python(path: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S):
        ast.parse(block)


@pytest.mark.parametrize("path", [path for path in FILES if path.name not in GENERATED], ids=lambda path: path.name)
def test_blocks_of_code_fit_a_terminal_of_80_columns(path: Path) -> None:
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S):
        wide = [line for line in block.splitlines() if len(line.expandtabs(4)) > 78]
        assert language in ("console", "python") or not wide


def anchors(path: Path) -> set[str]:
    """What a link may name behind the #."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*FILES, CHECKOUT / "CONTRIBUTING.md", CHECKOUT / "indexes" / "README.md"], ids=str)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S)):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        file = (path.parent / target) if target else path
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def test_every_chapter_that_is_named_exists() -> None:
    named = set(re.findall(r"mmsearch help ([a-z_]+)", ALL))
    assert {"guide", "settings", "models"} <= named <= {*shipped.chapters(), shipped.CONTENTS}


def test_every_chapter_begins_with_a_title_and_a_line() -> None:
    for chapter in shipped.chapters().values():
        assert chapter.title and not chapter.title.startswith("#"), chapter.path.name
        assert 20 <= len(chapter.summary) <= 130, f"{chapter.path.name}: the first sentence is the topic's line"


def test_a_docstring_becomes_markdown() -> None:
    text = """What.

Args:
    k: How many.
        And more.
    a, b: Both.

Raises: InvalidInput for nothing.

>>> f(1)
2
"""
    assert docstrings.markdown(text) == (
        "What.\n\n**Args:**\n\n- `k`: How many.\n  And more.\n- `a`, `b`: Both.\n\n"
        "**Raises:** InvalidInput for nothing.\n\n```pycon\n>>> f(1)\n2\n```"
    )
