"""What the README shows is what happens: its commands run in order and their outputs are compared."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmsearch.cli import cli
from mmsearch.core.config import Settings
from tests.conftest import CHECKOUT

README = (CHECKOUT / "README.md").read_text("utf-8")
TOLERANCE = 0.01
"""Scores may differ a little between processors."""


def blocks(language: str) -> list[str]:
    return [text for named, text in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S) if named == language]


def steps(block: str) -> list[tuple[str, list[str]]]:
    """(command, expected lines) pairs."""
    return [
        (lines[0].removeprefix("$ "), lines[1:])
        for lines in (s.splitlines() for s in re.split(r"^(?=\$ )", block, flags=re.M))
        if lines
    ]


def alike(expected: list[str], printed: list[str]) -> bool:
    """Line by line; "..." stands for any lines; numbers may differ by the tolerance."""
    if not expected:
        return not printed
    if expected[0] == "...":
        return any(alike(expected[1:], printed[n:]) for n in range(len(printed) + 1))
    return bool(printed) and same(expected[0], printed[0]) and alike(expected[1:], printed[1:])


def same(expected: str, printed: str) -> bool:
    number = r"\d+\.\d+"
    if re.split(number, " ".join(expected.split())) != re.split(number, " ".join(printed.split())):
        return False
    pairs = zip(re.findall(number, expected), re.findall(number, printed), strict=True)
    return all(abs(float(a) - float(b)) <= TOLERANCE for a, b in pairs)


def test_the_comparison_of_printed_lines_notices_differences() -> None:
    assert alike(["a 0.50", "...", "z"], ["a 0.505", "b", "z"]) and alike(["..."], [])
    assert not alike(["a 0.50"], ["a 0.52"]) and not alike(["a"], ["b"]) and not alike(["a"], ["a", "b"])


def test_the_readme_installs_with_two_commands() -> None:
    assert [block.strip() for block in blocks("")] == [
        "pip install . && mmsearch demo",
        "pip install '.[test]' && pytest",
    ]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    script = tmp_path_factory.mktemp("bin") / "mmsearch"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mmsearch "$@"\n')
    script.chmod(0o755)
    library = tmp_path_factory.mktemp("library") / "here"
    path = os.pathsep.join([str(script.parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "MMSEARCH_LIBRARY": str(library), "PYTHONPATH": str(CHECKOUT)}


SHOWN = [step for block in blocks("console") for step in steps(block)]


@pytest.fixture(scope="module")
def session(environment: dict[str, str]) -> "list[subprocess.CompletedProcess[bytes]]":
    """What the README's commands print, run one after the other."""
    return [
        subprocess.run(shlex.split(command), cwd=CHECKOUT, env=environment, capture_output=True, check=False)
        for command, _ in SHOWN
    ]


@pytest.mark.skipif(os.name == "nt", reason="the README shows a POSIX shell")
@pytest.mark.slow
def test_the_readme_s_shell_session_prints_what_it_shows(session: "list[subprocess.CompletedProcess[bytes]]") -> None:
    assert len(SHOWN) >= 8
    for (command, expected), done in zip(SHOWN, session, strict=True):
        printed = done.stdout.decode().splitlines()
        assert done.returncode == 0, done.stderr.decode()
        assert alike(expected, printed), f"$ {command}\n" + "\n".join(printed)


@pytest.mark.skipif(os.name == "nt", reason="a terminal is a POSIX one here")
@pytest.mark.usefixtures("session")
@pytest.mark.slow
def test_the_readme_s_picture_of_a_terminal_shows_what_is_printed(tmp_path: Path, environment: dict[str, str]) -> None:
    from rich.text import Text

    from tests.packaging import terminal

    assert f"]({terminal.PICTURE.relative_to(CHECKOUT).as_posix()})" in README
    assert terminal.SETUP in [command for command, _ in SHOWN], "the session's library is the picture's"
    shell = {**terminal.environment(tmp_path), "MMSEARCH_LIBRARY": environment["MMSEARCH_LIBRARY"]}
    printed = []
    for command in terminal.SHOWN:
        output = Text.from_ansi(terminal.on_terminal(command, shell)).plain
        printed += [f"$ {command}", *(line for line in output.splitlines() if line.strip())]
    drawn = terminal.lines(terminal.PICTURE.read_text("utf-8"))
    assert alike(drawn, printed), "draw it anew: python -m tests.packaging.terminal\n" + "\n".join(printed)


@pytest.mark.slow
def test_the_readme_s_python_example_prints_what_it_shows(environment: dict[str, str], tmp_path: Path) -> None:
    (example,) = blocks("python")
    code = example.replace('"my.library"', repr(str(tmp_path / "my.library")))
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "35 new, 0 failed"
    assert all("dog-barking" in line for line in lines[1:3]) and "dog-barking" in lines[4]


DOCS = "\n".join(
    [README, *(p.read_text("utf-8") for p in sorted((CHECKOUT / "mmsearch" / "resources" / "docs").glob("*.md")))]
)
"""The README and the shipped docs."""


def test_every_command_and_option_is_in_the_docs() -> None:
    for name, command in cli.commands.items():
        assert f"mmsearch {name}" in DOCS
        for option in (o for parameter in command.params for o in parameter.opts if o.startswith("--")):
            assert f"`{option}" in DOCS or f" {option} " in DOCS or f"{option}`" in DOCS, f"{name} {option}"


def test_every_setting_is_in_the_docs() -> None:
    for name in Settings.__dataclass_fields__:
        assert f"`{name}`" in DOCS
