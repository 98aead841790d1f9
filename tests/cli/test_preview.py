"""`query --preview`: thumbnails below the hits of a terminal, and nothing anywhere else."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.text import Text

from tests.conftest import CHECKOUT, Run
from tests.generated import picture, sound, words

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a terminal is a POSIX one here")


@pytest.fixture
def filled(run: Run, folder: Path) -> Run:
    picture(folder / "red.png", "red", side=300)
    sound(folder / "low.wav", "low")
    words(folder / "note.txt", "a red house")
    assert run("ingest", folder).returncode == 0
    return run


def on_terminal(environment: dict[str, str], here: Path, *arguments: str, **more: str) -> str:
    """What the command prints on a terminal that answers nothing."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    known = {
        **os.environ, **environment, "PYTHONPATH": str(CHECKOUT), "TERM": "xterm-256color", "COLORTERM": "truecolor",
        "COLUMNS": "80", **more,
    }  # fmt: skip
    command = [sys.executable, "-m", "mmsearch", *arguments]
    with subprocess.Popen(
        command, cwd=here, env=known, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 65536):
                seen += piece
        except OSError:  # Linux says EIO when the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0, seen
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.slow
def test_a_terminal_gets_pictures_in_half_blocks_and_sounds_as_a_line(
    filled: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("textual_image")
    asked = ("query", "red", "--in", "image", "--preview")
    seen = on_terminal(environment, tmp_path, *asked)
    assert "▀" in seen and "38;2;255;0;0" in seen
    lines = Text.from_ansi(seen).plain.splitlines()
    drawn = [line for line in lines if "▀" in line]
    assert 1 < len(drawn) <= 10 and max(len(line) for line in drawn) <= 3 + 24
    assert lines.index(drawn[0]) == 1 + next(n for n, line in enumerate(lines) if "media/red.png" in line)
    without = on_terminal(environment, tmp_path, *asked[:-1])
    for off in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "▀" not in on_terminal(environment, tmp_path, *asked, **off)
    assert "▀" not in without


def test_a_pipe_gets_no_pictures(filled: Run) -> None:
    pytest.importorskip("textual_image")
    asked = ("query", "red", "--in", "image")
    assert filled(*asked, "--preview").stdout == filled(*asked).stdout


def test_without_the_package_there_is_a_hint(filled: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual_image", None)
    done = filled("query", "red", "--preview")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == "Error: --preview needs textual-image\nHint: pip install 'mmsearch[preview]'\n"


@pytest.mark.slow
@pytest.mark.parametrize("other", ["--paths", "--jsonl", "--json"])
def test_a_preview_goes_with_a_table_alone(filled: Run, other: str) -> None:
    assert filled("query", "red", "--preview", other).returncode == 2
