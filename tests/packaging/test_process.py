"""What mmsearch does to the process that imports it: nothing unasked; and what its own commands log."""

import ast
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from mmsearch.context.spaces import Spaces
from mmsearch.core import config
from mmsearch.core.config import Settings, own_process, read_settings
from mmsearch.core.trust import Trust
from mmsearch.core.version import VERSION
from mmsearch.encoders import device
from mmsearch.errors import InvalidInput
from mmsearch.maintenance.prune import Pruned
from tests.conftest import CHECKOUT, Run
from tests.generated import picture

PROGRAM = """
import logging, sys
import mmsearch
from mmsearch.encoders import device
with mmsearch.open(sys.argv[1], space="tests.tiny:space", workers=1) as library:
    library.ingest(sys.argv[2])
    library.search("red")
root, ours = logging.getLogger(), logging.getLogger("mmsearch")
print(root.handlers, root.level, [type(one).__name__ for one in ours.handlers], ours.level, device._may_keep_memory)
"""


@pytest.mark.slow
def test_the_host_program_s_logging_and_allocator_are_left_alone(tmp_path: Path) -> None:
    picture(tmp_path / "media" / "a.png", "red")
    arguments = [sys.executable, "-c", PROGRAM, str(tmp_path / "library"), str(tmp_path / "media")]
    done = subprocess.run(arguments, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == "[] 30 ['NullHandler'] 0 False\n" and done.stderr == ""


@pytest.mark.parametrize(
    ("setting", "own", "keeps"),
    [("auto", False, False), ("auto", True, True), ("on", False, True), ("off", True, False)],
)
def test_keep_memory_applies_to_our_own_process_or_when_asked(
    monkeypatch: pytest.MonkeyPatch, setting: str, own: bool, keeps: bool
) -> None:
    monkeypatch.setattr(config, "_ours", False)
    monkeypatch.setattr(device, "_may_keep_memory", False)
    if own:
        own_process()
    name = "tests.tiny:space"
    Spaces(read_settings(keep_memory=setting), lambda record: b"", Trust(named={name})).loaded(name)
    assert device._may_keep_memory is keeps


def test_an_unknown_value_of_keep_memory_is_refused() -> None:
    with pytest.raises(InvalidInput, match="keep_memory"):
        read_settings(keep_memory="maybe")


def test_a_command_counts_as_our_own_process(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_ours", False)
    assert run("--version").returncode == 0
    assert Settings().keeps_memory


@pytest.mark.slow
def test_a_log_file_has_events_without_paths_and_queries(run: Run, folder: Path, tmp_path: Path) -> None:
    picture(folder / "secret.png", "red")
    root, ours = logging.getLogger().handlers[:], logging.getLogger("mmsearch").handlers[:]
    log = tmp_path / "log"
    assert run("--log-file", log, "ingest", folder).returncode == 0
    assert run("--log-file", log, "query", "secret words").returncode == 0
    assert run("--log-file", log, "ingest", tmp_path / "secret-folder").returncode == 2
    told = [line.partition(" INFO mmsearch.cli.log ")[2] for line in log.read_text().splitlines()]
    assert [one.removeprefix(f"mmsearch {VERSION}: ") for one in told] == [
        "ingest begins", "ingest ends", "query begins", "query ends", "ingest begins", "ingest ends with InvalidInput",
    ]  # fmt: skip
    assert "secret" not in log.read_text() and str(tmp_path) not in log.read_text()
    run("--log-file", log, "--log-level", "debug", "ingest", tmp_path / "secret-folder")
    assert f"no such file or folder: {tmp_path / 'secret-folder'}" in log.read_text()
    assert (logging.getLogger().handlers, logging.getLogger("mmsearch").handlers) == (root, ours), "all as before"
    done = run("--log-file", tmp_path, "status")
    assert done.returncode == 2 and b"is a directory" in done.stderr


def test_commands_print_logged_warnings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def warns(*_: object, **__: object) -> Pruned:
        logging.getLogger("mmsearch.encoders.lazy").warning("%s goes on on the CPU", "it")
        return Pruned(0, 0)

    monkeypatch.setattr("mmsearch.library.Library.prune", warns)
    assert b"Warning: it goes on on the CPU\n" in run("prune").stderr


TELLING = {"error", "path", "paths", "query", "folder", "file", "value", "text"}


@pytest.mark.slow
def test_no_log_message_above_debug_contains_a_path_a_query_or_an_error() -> None:
    found = []
    for path in (CHECKOUT / "mmsearch").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                f"_log.{level}" for level in ("info", "warning", "error", "exception", "critical")
            ):
                told = {ast.unparse(one) for one in node.args[1:]}
                found += [f"{path.name}:{node.lineno}"] if told & TELLING or node.keywords else []
    assert found == []


def test_nothing_configures_the_root_logger() -> None:
    source = [path.read_text("utf-8") for path in (CHECKOUT / "mmsearch").rglob("*.py")]
    assert not [1 for text in source if "basicConfig" in text or "getLogger()" in text]
