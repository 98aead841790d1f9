"""Warm processes as a shell starts and finds them: started after the answer, and never in the way of a right one."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mmsearch.warm import client
from mmsearch.warm.address import name_of
from mmsearch.warm.messages import STATUS, STOP, Request
from tests.conftest import CHECKOUT
from tests.module_library import ModuleLibrary
from tests.warm import lines
from tests.warm.lines import fill as fill

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extras,
    pytest.mark.skipif(sys.platform == "win32", reason="a warm process needs Unix sockets"),
]

DEADLINE_S = 60.0
Ended = tuple[int, bytes, bytes]


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


class Shell:
    """Runs `mmsearch` with an environment, and knows the warm process that answers it."""

    def __init__(self, place: Path, environment: dict[str, str]) -> None:
        self.place = place
        self.runtime = place / "run"
        self.runtime.mkdir(mode=0o700)
        self.environment = {
            **os.environ, **environment, "PYTHONPATH": str(CHECKOUT), "MMSEARCH_WARM": "on",
            "XDG_RUNTIME_DIR": str(self.runtime), "TERM": "xterm", "HF_HUB_OFFLINE": "1",
        }  # fmt: skip
        self.base = str(self.runtime / "mmsearch" / name_of(environment["MMSEARCH_LIBRARY"]))

    def __call__(self, *arguments: str | Path, **changes: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "mmsearch", *map(str, arguments)], cwd=self.place, check=False,
            env={**self.environment, **changes}, stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def run_from(self, folder: Path) -> None:
        """From now on run the copy of the program in a folder; a warm process's name tells which program it is of."""
        self.environment["PYTHONPATH"] = os.pathsep.join((str(folder), str(CHECKOUT)))
        ask = "import sys; from mmsearch.warm.address import name_of; print(name_of(sys.argv[1]))"
        command = [sys.executable, "-c", ask, self.environment["MMSEARCH_LIBRARY"]]
        named = subprocess.run(
            command, cwd=self.place, env=self.environment, capture_output=True, text=True, check=True
        )
        self.base = str(self.runtime / "mmsearch" / named.stdout.strip())

    def on_terminal(self, *arguments: str, **changes: str) -> tuple[int, bytes]:
        """The exit code, and all that came to a terminal."""
        controller, end = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "mmsearch", *arguments], cwd=self.place, stdin=end, stdout=end, stderr=end,
            env={**self.environment, **changes},
        )  # fmt: skip
        os.close(end)
        seen = b""
        with suppress(OSError):
            while data := os.read(controller, 65536):
                seen += data
        os.close(controller)
        return process.wait(), seen

    def asked(self, what: str) -> dict[str, object] | None:
        """What the warm process says; None if there is none."""
        try:
            answered = client.ask(self.base, Request([what]))
        except (OSError, ValueError):
            return None
        return None if answered is None else json.loads(b"".join(data for _, data in answered[1]) or b"{}")

    def warmed(self) -> dict[str, object]:
        """What a warm process says of itself, once there is one."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self.base}.lock")
        assert self("query", "red")[0] == 0
        return self.until_warm()

    def until_warm(self) -> dict[str, object]:
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            if (found := self.asked(STATUS)) is not None:
                return found
            threading.Event().wait(0.05)
        raise AssertionError("no warm process came")

    def answered(self) -> int:
        found = self.asked(STATUS)
        return -1 if found is None else int(str(found["answered"]))

    def stop(self) -> None:
        """End the warm process, and wait for it."""
        found = self.asked(STATUS)
        if found is not None:
            self.asked(STOP)
            _gone(int(str(found["pid"])))


def _gone(pid: int) -> None:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        try:
            # A zombie of whoever adopted it is gone, too.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"{pid} is still there")


@pytest.fixture
def shell(tmp_path: Path, environment: dict[str, str]) -> Iterator[Shell]:
    made = Shell(tmp_path, environment)
    yield made
    made.stop()


def test_fifty_command_lines_are_the_same_cold_and_warm(shell: Shell) -> None:
    shell.warmed()
    for number, line in enumerate(lines.command_lines(50, seed=7)):
        if number % 3:
            assert shell(*line) == shell(*line, MMSEARCH_WARM="off"), line
        else:
            warm, cold = shell.on_terminal(*line), shell.on_terminal(*line, MMSEARCH_WARM="off")
            assert _without_link_ids(*warm) == _without_link_ids(*cold), line
    assert shell.answered() >= 25, "the others are wrong, or tell the path of a file"


def _without_link_ids(code: int, printed: bytes) -> tuple[int, bytes]:
    """A link's id is drawn at random for each process, cold or warm."""
    return code, re.sub(rb"(?<=\x1b]8;id=)\d+", b"0", printed)


def test_the_first_query_leaves_a_process_behind_and_ends_do_not_linger(shell: Shell) -> None:
    cold = shell("query", "red")
    assert shell.until_warm()["answered"] == 0
    assert shell("query", "red") == cold and shell.answered() == 1
    assert shell("query", "red", "--no-warm") == cold and shell.answered() == 1
    status = shell("warm", "status", "--json")
    (told,) = json.loads(status[1])
    assert told["library"] == shell.environment["MMSEARCH_LIBRARY"] and told["pid"] != os.getpid()
    assert shell("warm", "stop") == (0, b"1 stopped\n", b"")
    _gone(told["pid"])
    assert not os.path.exists(f"{shell.base}.sock") and shell("warm", "status") == (0, b"", b"no warm process\n")


@pytest.mark.parametrize("change", ["user's file", "environment", "program", "killed", "stopped", "stale", "foreign"])
def test_whatever_befalls_it_the_answer_is_right(shell: Shell, tmp_path: Path, change: str) -> None:
    if change == "program":
        # A program of its own: the checkout's answers for the tests beside this one.
        shutil.copytree(CHECKOUT / "mmsearch", tmp_path / "program" / "mmsearch", symlinks=True)
        shell.run_from(tmp_path / "program")
    first = shell.warmed()
    pid, right = int(str(first["pid"])), shell("query", "red", MMSEARCH_WARM="off")
    changes: dict[str, str] = {}
    if change == "user's file":
        settings = Path(shell.environment["XDG_CONFIG_HOME"]) / "mmsearch" / "mmsearch.toml"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text("false_accepts = 0.5\n", "utf-8")
        right = shell("query", "red", MMSEARCH_WARM="off")
    elif change == "environment":
        changes = {"MMSEARCH_DEDUP": "on"}
    elif change == "program":
        module = tmp_path / "program" / "mmsearch" / "cli" / "surroundings.py"
        before = module.stat()
        os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    elif change == "killed":
        os.kill(pid, signal.SIGKILL)
        _gone(pid)
    elif change == "stopped":
        os.kill(pid, signal.SIGSTOP)
    elif change == "stale":
        os.kill(pid, signal.SIGKILL)
        _gone(pid)
        assert os.path.exists(f"{shell.base}.sock")
    else:
        (shell.runtime / "mmsearch").chmod(0o755)
    try:
        assert shell("query", "red", **changes) == right
    finally:
        if change == "foreign":
            (shell.runtime / "mmsearch").chmod(0o700)
        if change == "stopped":
            os.kill(pid, signal.SIGKILL)
    if change == "environment":
        assert shell.answered() == 0 and shell("query", "red") == right and shell.answered() == 1
    if change in ("user's file", "program"):
        _gone(pid)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_talked_to(shell: Shell) -> None:
    shell.warmed()
    right = shell("query", "red", MMSEARCH_WARM="off")
    os.chown(shell.runtime / "mmsearch", 65534, 65534)
    assert shell("query", "red") == right
    os.chown(shell.runtime / "mmsearch", 0, 0)
    assert shell.answered() == 0


def test_a_deleted_library_is_not_answered_for_and_ends_the_process(shell: Shell, tmp_path: Path) -> None:
    pid = int(str(shell.warmed()["pid"]))
    (tmp_path / "library").rename(tmp_path / "moved")
    code, out, err = shell("query", "red")
    assert (code, out) == (3, b"") and b"there is no library" in err
    _gone(pid)


def test_another_library_in_its_place_is_answered_for(shell: Shell, tmp_path: Path) -> None:
    shell.warmed()
    (tmp_path / "library").rename(tmp_path / "moved")
    assert shell("ingest", tmp_path / "media" / "green.png")[0] == 0
    assert shell("query", "red", "--paths")[1] == os.fsencode(tmp_path / "media" / "green.png") + b"\n"


def test_it_ends_with_its_folder_of_sockets(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = int(str(shell.warmed()["pid"]))
    os.unlink(f"{shell.base}.sock")
    _gone(pid)


@pytest.mark.parametrize("how", ["pipes", "CI", "off", "a picture", "--no-warm", "an error"])
def test_where_it_is_not_wanted_none_is_left_behind(shell: Shell, how: str) -> None:
    automatic = {"MMSEARCH_WARM": "auto"}
    if how == "CI":
        shell.on_terminal("query", "red", CI="true", **automatic)
    elif how == "off":
        shell("query", "red", MMSEARCH_WARM="off")
    elif how == "pipes":
        shell("query", "red", **automatic)
    else:
        line = {"a picture": "media/red.png", "--no-warm": "--no-warm", "an error": "--unknown"}[how]
        shell("query", line, *(["red"] if how == "--no-warm" else []))
    assert not os.path.exists(f"{shell.base}.lock") and shell.asked(STATUS) is None


def test_many_shells_at_once_get_right_answers_of_one_process(shell: Shell) -> None:
    right = shell("query", "red", MMSEARCH_WARM="off")
    shell.warmed()
    answers: list[Ended] = []
    threads = [threading.Thread(target=lambda: answers.append(shell("query", "red"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [right] * 8


def test_an_output_that_nobody_reads_ends_as_it_does_cold(shell: Shell) -> None:
    shell.warmed()
    for target in ("/dev/full", None):
        ended = []
        for warm in ("on", "off"):
            out: int | object
            if target is None:
                reader, out = os.pipe()
                os.close(reader)
            else:
                out = os.open(target, os.O_WRONLY)
            done = subprocess.run(
                [sys.executable, "-m", "mmsearch", "query", "red"], cwd=shell.place, stdout=out, check=False,
                stderr=subprocess.PIPE, env={**shell.environment, "MMSEARCH_WARM": warm},
            )  # fmt: skip
            os.close(out)
            ended.append((done.returncode, done.stderr))
        assert ended[0] == ended[1]
