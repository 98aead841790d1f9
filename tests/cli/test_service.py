"""Services of the system: what their files say, and where they are."""

import os
import plistlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmsearch.core.service_files import service_files, service_of
from mmsearch.errors import InvalidInput
from tests.conftest import Run

linux = pytest.mark.skipif(sys.platform != "linux", reason="a unit of systemd")
ODD = 'a "b" $HOME %h \\ ü'


def executed(unit: str) -> list[str]:
    """What systemd makes of ExecStart, by man 5 systemd.service: quotes, escapes, then $$ and %%."""
    (line,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line.removeprefix("ExecStart="))]


@linux
def test_a_unit_watches_folders_by_their_whole_paths(run: Run, tmp_path: Path, folder: Path) -> None:
    odd = folder / ODD
    odd.mkdir()
    done = run("service", "install", folder, odd, "--name", "mine")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    path = Path(lines[0].removeprefix("written: "))
    assert path.name == "mmsearch-mine.service" and path.match(str(service_files()))
    assert lines[2:] == ["  systemctl --user daemon-reload", "  systemctl --user enable --now mmsearch-mine.service"]
    unit = path.read_text("utf-8")
    expected = [sys.executable, "-m", "mmsearch", "watch", "--library", str(tmp_path / "library"), "--"]
    assert executed(unit) == [*expected, str(folder), str(odd)]
    assert 'Environment="MMSEARCH_SPACE=tests.tiny:space"' in unit and "MMSEARCH_WARM" not in unit
    assert _complaints(path, tmp_path) == ""
    done = run("service", "remove", "--name", "mine")
    assert done.returncode == 0 and f"deleted: {path}".encode() in done.stdout and not path.exists()
    again = run("service", "remove", "--name", "mine")
    assert again.returncode == 2 and b"there is no service 'mine'" in again.stderr


def _complaints(unit: Path, runtime: Path) -> str:
    """What systemd says against a unit; nothing where it isn't installed."""
    command = ["systemd-analyze", "--user", "verify", str(unit)]
    known = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    try:
        return subprocess.run(command, env=known, capture_output=True, text=True, check=False).stderr
    except FileNotFoundError:
        return ""


def test_an_agent_of_launchd_runs_the_same_command() -> None:
    made = service_of("watch", "darwin")
    agent = plistlib.loads(made.content(["watch", "--", ODD]))
    assert agent["Label"] == "mmsearch.watch" and made.path.name == "mmsearch.watch.plist"
    assert agent["ProgramArguments"] == [sys.executable, "-m", "mmsearch", "watch", "--", ODD]
    assert agent["RunAtLoad"] is True and agent["KeepAlive"] == {"SuccessfulExit": False}
    assert made.stop == ("launchctl bootout gui/$(id -u)/mmsearch.watch",)


def test_a_unit_s_control_characters_are_escapes() -> None:
    unit = service_of("watch", "linux").content(["watch", "line\nend"]).decode()
    assert '"line\\x0aend"' in unit


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "x" * 60])
def test_a_senseless_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="can't be a service's name"):
        service_of(name, "linux")


def test_other_systems_are_told_what_to_do_instead() -> None:
    with pytest.raises(InvalidInput, match="neither systemd nor launchd") as told:
        service_of("watch", "win32")
    assert told.value.hint is not None and "mmsearch watch FOLDER" in told.value.hint


@linux
def test_only_folders_that_are_there_are_installed(run: Run, tmp_path: Path) -> None:
    done = run("service", "install", tmp_path / "none")
    assert done.returncode == 2 and b"is no folder" in done.stderr


@linux
def test_a_service_that_serves_watches_what_the_library_knows(run: Run, tmp_path: Path, folder: Path) -> None:
    done = run("service", "install", "--serve", "--token-file", "token")
    assert done.returncode == 0, done.stderr
    unit = Path(done.stdout.decode().splitlines()[0].removeprefix("written: ")).read_text("utf-8")
    library, token = str(tmp_path / "library"), str(tmp_path / "token")
    expected = [sys.executable, "-m", "mmsearch", "serve", "--watch", "--library", library, "--token-file", token]
    assert executed(unit) == expected
    refused = run("service", "install", "--serve", folder)
    assert refused.returncode == 2 and b"mmsearch ingest FOLDER" in refused.stderr
    assert run("service", "install").returncode == run("service", "install", "--serve").returncode == 2
