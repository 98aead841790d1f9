"""A warm process in a thread of the test: it says what a command of its own says, or refuses."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import mmsearch
from mmsearch.cli.warm_server import WarmServer, answering
from mmsearch.warm import client
from mmsearch.warm.messages import Request, environment, system
from tests.conftest import Run
from tests.generated import picture, words
from tests.module_library import ModuleLibrary
from tests.warm import lines
from tests.warm.lines import fill as fill

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a warm process needs Unix sockets")

Answer = tuple[int, bytes, bytes]
"""Exit code, standard output and standard error."""


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.fixture
def base(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MMSEARCH_WARM", "on")
    (tmp_path / "r").mkdir(mode=0o700)
    return str(tmp_path / "r" / "w")


@pytest.fixture
def server(base: str, tmp_path: Path) -> Iterator[WarmServer]:
    with mmsearch.open(tmp_path / "library") as library:
        made = WarmServer(base, library)
        thread = threading.Thread(target=made.run)
        thread.start()
        yield made
        made.stop()
        thread.join()


def request(folder: Path, *arguments: str | Path) -> Request:
    made = Request(list(map(str, arguments)))
    made.system, made.environment = system(), environment()
    made.folder, made.library = str(folder), os.environ["MMSEARCH_LIBRARY"]
    return made


@pytest.fixture
def ask(server: WarmServer, base: str, tmp_path: Path) -> Callable[..., Answer | None]:
    def asked(*arguments: str | Path, **changes: object) -> Answer | None:
        made = request(tmp_path, *arguments)
        for name, value in changes.items():
            setattr(made, name, value)
        answered = client.ask(base, made)
        if answered is None:
            return None
        code, pieces = answered
        out, err = (b"".join(data for number, data in pieces if number == wanted) for wanted in (1, 2))
        return code, out, err

    return asked


def told(done: "CompletedProcess[bytes]") -> Answer:
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_fifty_command_lines_are_answered_with_the_same_bytes(ask: Callable[..., Answer | None], run: Run) -> None:
    refused = []
    for line in lines.command_lines(50, seed=18, files=0):
        own, warm = told(run(*line)), ask(*line)
        if warm is None:
            refused.append((line, own[0]))
        else:
            assert warm == own, line
    assert all(code for _, code in refused), "what has an answer is answered warm"
    assert 0 < len(refused) < 25


def test_new_and_changed_files_and_tags_are_found_at_once(
    ask: Callable[..., Answer | None], run: Run, tmp_path: Path
) -> None:
    def paths(word: str) -> list[str]:
        found = ask("query", word, "--mode", "keyword", "--paths")
        assert found is not None
        return [Path(line).name for line in found[1].decode().splitlines()]

    assert paths("quokka") == [] and "note on red.txt" in paths("sea")
    words(tmp_path / "media" / "new.txt", "a quokka")
    words(tmp_path / "media" / "note on red.txt", "another note now")
    assert run("ingest", tmp_path / "media").returncode == 0
    assert paths("quokka") == ["new.txt"] and "note on red.txt" not in paths("sea")
    assert run("tag", tmp_path / "media" / "red.png", "--add", "quokka").returncode == 0
    assert sorted(paths("quokka")) == ["new.txt", "red.png"]


def test_a_relative_path_is_the_shell_s(ask: Callable[..., Answer | None], tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    picture(elsewhere / "red.txt.png", "red")
    by_words = ask("query", "red.txt.png", "--scores")
    by_picture = ask("query", "red.txt.png", "--scores", folder=str(elsewhere))
    assert by_words is not None and by_picture is not None and by_words[1] != by_picture[1]
    assert ask("query", "--image", "red.txt.png", "--scores", folder=str(elsewhere)) == by_picture
    assert ask("query", "red.txt.png", "--json", folder=str(elsewhere)) is None, "it would tell another path"
    assert ask("query", "red", "./elsewhere") is None, "a folder would be taken in"
    shown = ask("query", "green", "-k", "1", folder=str(tmp_path / "media"))
    assert shown is not None and b"/" not in shown[1], "paths are told from where the shell stands"


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"environment": ["MMSEARCH_DEDUP=on"]},
        {"system": "0:0"},
        {"secret": "guessed"},
        {"library": "/another/library"},
        {"arguments": ["query", "red", "--library", "/another/library"]},
        {"arguments": ["query", "red", "--explain"]},
        {"arguments": ["query", "red", "--open"]},
        {"arguments": ["query", "red", "--device", "cpu"]},
        {"arguments": ["query", "/dev/stdin"]},
        {"arguments": ["query", "--image", "/proc/self/fd/0"]},
        {"arguments": ["query", "no/such.png"]},
        {"arguments": ["query", "--unknown"]},
        {"arguments": ["query"]},
        {"arguments": []},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_doubtful_is_left_to_a_command_of_its_own(
    ask: Callable[..., Answer | None], changes: dict[str, object]
) -> None:
    assert ask("query", "red", **changes) is None
    assert ask("query", "red") is not None, "and the next one is answered"


@pytest.mark.parametrize("change", ["settings", "library", "program", "user"])
def test_a_change_of_what_it_rests_on_ends_it(
    ask: Callable[..., Answer | None], base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    assert ask("query", "red") is not None
    library = tmp_path / "library"
    if change == "settings":
        (library / "mmsearch.toml").write_text("false_accepts = 0.5\n", "utf-8")
    elif change == "user":
        user = Path(os.environ["XDG_CONFIG_HOME"]) / "mmsearch" / "mmsearch.toml"
        user.parent.mkdir(parents=True, exist_ok=True)
        user.write_text("recall = 0.5\n", "utf-8")
    elif change == "library":
        library.rename(tmp_path / "moved")
    else:
        module = tmp_path / "module.py"
        module.write_text("")
        monkeypatch.setitem(sys.modules, "mmsearch.made_up", type(sys)("mmsearch.made_up"))
        monkeypatch.setattr(sys.modules["mmsearch.made_up"], "__file__", str(module), raising=False)
        assert ask("query", "red") is not None
        os.utime(module, (1, 1))
    assert ask("query", "red") is None
    with pytest.raises(OSError):
        while client.ask(base, request(tmp_path, "query", "red")) is None:
            pass
    assert not os.path.exists(f"{base}.sock")


def test_at_rest_it_holds_no_file_of_the_library(server: WarmServer, ask: Callable[..., Answer | None]) -> None:
    def held() -> list[str]:
        with contextlib.suppress(OSError):
            return [
                path
                for number in os.listdir("/proc/self/fd")
                if (path := _target(number)).startswith(str(server._library.path))
            ]
        return []

    assert ask("query", "red") is not None
    if sys.platform == "linux":
        assert held()
    server._library.rest()
    assert held() == []
    assert ask("query", "red") is not None, "and it opens them anew"


def _target(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return ""


def test_a_long_path_is_served_on_the_loopback_with_a_secret(
    tmp_path: Path, base: str, environment: dict[str, str], run: Run
) -> None:
    folder = tmp_path / ("d" * 100)
    folder.mkdir(mode=0o700)
    far = str(folder / "w")
    with mmsearch.open(tmp_path / "library") as library, answering(far, library):
        port = Path(f"{far}.port")
        assert port.stat().st_mode & 0o777 == 0o600 and not Path(f"{far}.sock").exists()
        answered = client.ask(far, request(tmp_path, "query", "red"))
        assert answered is not None and answered[1] == [(1, told(run("query", "red"))[1])]
        number, secret = port.read_text().split()
        port.write_text(f"{number} {secret[::-1]}")
        assert client.ask(far, request(tmp_path, "query", "red")) is None
        port.chmod(0o644)
        with pytest.raises(OSError):
            client.ask(far, request(tmp_path, "query", "red"))
    assert not port.exists()


def test_a_second_server_at_an_address_answers_nothing(tmp_path: Path, base: str, server: WarmServer) -> None:
    with mmsearch.open(tmp_path / "library") as library, answering(base + "2", library), answering(base + "2", library):
        assert client.ask(base + "2", request(tmp_path, "query", "red")) is not None
    assert client.ask(base, request(tmp_path, "query", "red")) is not None


def test_what_others_print_meanwhile_is_theirs(
    ask: Callable[..., Answer | None], capsys: pytest.CaptureFixture[str]
) -> None:
    stop = threading.Event()

    def chatter() -> None:
        while not stop.is_set():
            print("chatter", file=sys.stdout)

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        answers = [ask("query", "red", "--paths") for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    assert answers[0] is not None and all(one == answers[0] for one in answers) and b"chatter" not in answers[0][1]
    assert "chatter" in capsys.readouterr().out
