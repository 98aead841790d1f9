"""What a shell completes: asked as it asks, and, in the extras, by real shells with a TAB."""

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from mmsearch.cli import SECTIONS, cli
from mmsearch.cli.completion import BY_COMMAND, SHELLS, VARIABLE, script
from mmsearch.cli.help_examples import commands
from mmsearch.library import Library
from tests.conftest import CHECKOUT, Run
from tests.generated import picture, sound

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(library: Library, folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Complete:
    """What a shell offers for the last word of a line, over a library with tags."""
    picture(folder / "red.png", "red")
    picture(folder / "green.png", "green")
    library.ingest(folder)
    library.tag([folder / "red.png"], ["meadow", "mañana"])
    library.tag([folder / "green.png"], ["meadow"])
    (library.path / "training" / "stamps").mkdir(parents=True)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def asked(line: str) -> list[str]:
        *words, last = line.split(" ")
        found = ShellComplete(cli, {}, "mmsearch", VARIABLE).get_completions(words, last)
        return [f"{one.type}:{one.value}" if one.type != "plain" else str(one.value) for one in found]

    return asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("que", ["query"]),
        ("query --in ima", ["image"]),
        ("query --in image,te", ["image,text"]),
        ("query --in image,i", []),
        ("query bark", ["file:bark"]),
        ("query --library in", ["dir:in"]),
        ("ingest ", ["file:"]),
        ("ingest --space siglip2-b", ["siglip2-b-16"]),
        ("prepare clap-", ["clap-general", "clap-htsat"]),
        ("help filt", ["filters"]),
        ("tag red.png --remove me", ["meadow"]),
        ("tag red.png --add m", ["meadow", "mañana"]),
        ("label --with st", ["stamps"]),
        ("train apply s", ["stamps"]),
        ("model drop ", ["tiny"]),
        ("failures --retry time", ["timeout"]),
        ("index build --preset hnsw-", ["hnsw-sq8"]),
        ("completion ", [*SHELLS]),
        ("demo --device c", ["cpu", "cuda"]),
    ],
)
def test_a_word_is_completed(complete: Complete, line: str, offered: list[str]) -> None:
    assert sorted(complete(line)) == sorted(offered)


def test_without_a_library_nothing_is_offered_and_nothing_made(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ShellComplete(cli, {}, "mmsearch", VARIABLE).get_completions(["tag", "a", "--add"], "") == []
    assert not Path(environment["MMSEARCH_LIBRARY"]).exists()


def test_every_name_of_the_tables_is_a_parameter_or_a_command() -> None:
    known = {f"{path} {one.name}" for path, command in commands(cli) for one in command.params}
    assert set(BY_COMMAND) <= known
    sections = [name for names in SECTIONS.values() for name in names.split()]
    assert set(sections) <= set(cli.commands) and len(sections) == len(set(sections))
    with click.Context(cli, info_name="mmsearch", **cli.context_settings) as context:
        shown = cli.get_help(context)
    assert all(f"\n  {name} " in shown for name in cli.commands)
    assert [section for section in SECTIONS if f"\n{section}:\n" in shown] == [*SECTIONS]


def test_scripts_are_printed(run: Run) -> None:
    for shell in SHELLS:
        done = run("completion", shell)
        assert (done.returncode, done.stdout.decode()) == (0, script(shell, cli))
    assert run("completion", "tcsh").returncode == 2


LOADED = f"""
import os, sys
os.environ.update({{"{VARIABLE}": "bash_complete", "COMP_WORDS": "mmsearch tag a --add m", "COMP_CWORD": "4"}})
sys.argv = ["mmsearch"]
from mmsearch.cli import main
try:
    main()
finally:
    heavy = {{"torch", "faiss", "sqlalchemy", "rich", "PIL", "av"}} & set(sys.modules)
    print(sorted(heavy), file=sys.stderr)
"""


@pytest.mark.slow
def test_completing_a_name_loads_nothing_heavy(complete: Complete, environment: dict[str, str]) -> None:
    known = {**os.environ, **environment, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", LOADED], env=known, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("plain,meadow\nplain,mañana\n", "[]\n")


# Real shells.

STUB = """#!/bin/sh
if [ -n "${VARIABLE}" ]; then exec "{python}" -m mmsearch "$@"; fi
printf '%s\\n' "$@" > "$TOLD"
"""
"""Completes as mmsearch does; what it is called with goes into a file."""

START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
BEFORE = {"bash": "", "zsh": "autoload -Uz compinit; compinit -u -D; ", "fish": ""}
LOAD = {"bash": 'eval "$({0})"', "zsh": 'eval "$({0})"', "fish": "{0} | source"}

LINES = (
    ("mmsearch que", ["query"]),
    ("mmsearch query --in ima", ["query", "--in", "image"]),
    ("mmsearch query --in image,te", ["query", "--in", "image,text"]),
    ("mmsearch query lo", ["query", "low.wav"]),
    ("mmsearch ingest med", ["ingest", "media"]),
    ("mmsearch help gui", ["help", "guide"]),
    ("mmsearch tag x --remove mea", ["tag", "x", "--remove", "meadow"]),
    ("mmsearch prepare siglip2-b", ["prepare", "siglip2-b-16"]),
)
"""What is typed before TAB, and with what the command is called after it."""


@pytest.mark.extras
@pytest.mark.skipif(sys.platform == "win32", reason="a terminal is a POSIX one here")
@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_completes(
    complete: Complete, environment: dict[str, str], folder: Path, tmp_path: Path, shell: str
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    sound(tmp_path / "low.wav", "low")
    stub, told = tmp_path / "bin" / "mmsearch", tmp_path / "told"
    stub.parent.mkdir()
    stub.write_text(STUB.replace("{VARIABLE}", VARIABLE).replace("{python}", sys.executable), "utf-8")
    stub.chmod(0o755)
    scripted = tmp_path / "script"
    scripted.write_text(script(shell, cli), "utf-8")
    known = {
        **os.environ, **environment, "PYTHONPATH": str(CHECKOUT), "TERM": "dumb", "TOLD": str(told),
        "PATH": f"{stub.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path),
    }  # fmt: skip
    load = BEFORE[shell] + LOAD[shell].format(f"cat {scripted}")
    if shell == "fish":
        seen = [_fish(known, tmp_path, load, line) for line, _ in LINES]
        assert [word.rstrip("/") for word in seen] == [wanted[-1] for _, wanted in LINES]
        return
    typed = "".join(f"rm -f $TOLD\r{line}\t\rmv $TOLD {tmp_path}/told.{n}\r" for n, (line, _) in enumerate(LINES))
    _type(START[shell], known, tmp_path, f"{load}\r{typed}exit\r")
    for n, (line, wanted) in enumerate(LINES):
        called = (tmp_path / f"told.{n}").read_text("utf-8").splitlines()
        # zsh takes the slash of a completed folder away when the line ends.
        assert [word.rstrip("/") for word in called] == wanted, line


def _fish(known: dict[str, str], here: Path, load: str, line: str) -> str:
    """The word that fish itself says TAB would put there."""
    asked = [*START["fish"][:2], "-c", f"{load}; complete -C '{line}'"]
    done = subprocess.run(asked, env=known, cwd=here, capture_output=True, text=True, check=True)
    return done.stdout.strip().split("\t")[0]


def _type(command: list[str], known: dict[str, str], here: Path, keys: str) -> None:
    """Type into a shell on a terminal of its own, until it ends."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, env=known, cwd=here, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        waiting = keys.encode()
        try:
            while True:
                if waiting:
                    # A line at a time: a terminal takes only so much ahead.
                    line, end, waiting = waiting.partition(b"\r")
                    os.write(ours, line + end)
                if not os.read(ours, 65536):
                    break
        except OSError:  # Linux says EIO when the other end is closed
            pass
        finally:
            os.close(ours)
            process.wait()
