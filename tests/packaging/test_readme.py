"""What the README and the guide show is what happens: their commands run in order, and their outputs are compared."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmsearch.resources.chapters import chapter_text
from tests.conftest import CHECKOUT

README = (CHECKOUT / "README.md").read_text("utf-8")
GUIDE = chapter_text("guide")
TOLERANCE = 0.01
"""Scores may differ a little between processors."""


def blocks(language: str, text: str = README) -> list[str]:
    return [block for named, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S) if named == language]


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


def test_the_readme_is_read_in_two_minutes() -> None:
    assert len(README.splitlines()) <= 150


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


SHOWN = [step for text in (README, GUIDE) for block in blocks("console", text) for step in steps(block)]


@pytest.fixture(scope="module")
def session(environment: dict[str, str]) -> "list[subprocess.CompletedProcess[bytes]]":
    """What the commands of the README, then those of the guide, print."""
    return [
        subprocess.run(shlex.split(command), cwd=CHECKOUT, env=environment, capture_output=True, check=False)
        for command, _ in SHOWN
    ]


@pytest.mark.skipif(os.name == "nt", reason="the README shows a POSIX shell")
@pytest.mark.slow
def test_the_shell_sessions_print_what_they_show(session: "list[subprocess.CompletedProcess[bytes]]") -> None:
    assert len(SHOWN) >= 8
    for (command, expected), done in zip(SHOWN, session, strict=True):
        printed = done.stdout.decode().splitlines()
        nothing = command.startswith("mmsearch query") and not re.search("\t(sure|likely)\t", done.stdout.decode())
        assert done.returncode == int(nothing), done.stderr.decode()
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
def test_the_python_example_prints_what_it_shows(environment: dict[str, str], tmp_path: Path) -> None:
    (example,) = {*blocks("python"), *blocks("python", GUIDE)}
    code = example.replace('"my.library"', repr(str(tmp_path / "my.library")))
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "35 new, 0 failed"
    assert all("dog-barking" in line for line in lines[1:3]) and "dog-barking" in lines[4]
