"""What mmsearch leaves on a machine and whom it tells: every command once, in a home of its own, without network."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import mmsearch
from mmsearch.cli import cli
from mmsearch.core import config
from mmsearch.maintenance.locations import used_locations
from tests.cli.test_terminal import leaves
from tests.conftest import CHECKOUT, Run
from tests.packaging.every_command import commands

ELSEWHERE = {
    ("demo",): "it takes long; .ci/run runs it from the wheel, without network",
    ("watch",): "it goes on until it is stopped",
    ("mcp",): "it needs an extra, and answers until its client goes; tests/integrations run it",
    ("serve",): "it opens a socket, and serves until it is ended; tests/serve run it",
    ("worker",): "it needs a library on a server; tests/catalog/test_postgres.py runs it",
}
"""Commands that are not run here, and why."""

RESERVED = re.compile(r'(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|.*[<>:"|?*\\\x00-\x1f].*|.*[. ]')
"""Names that Windows keeps to itself, can't have, or changes."""


class World(NamedTuple):
    """Where everything ran."""

    home: Path
    temporary: Path
    work: Path
    told: list[tuple[list[str], int, str]]
    """Of each command its arguments, exit code and words."""
    log: str
    """Of the network's guard: "watched" for each process, and who wanted a socket."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    place = tmp_path_factory.mktemp("machine")
    home, temporary, work = (place / name for name in ("home", "temporary", "work"))
    for one in (home, temporary, work):
        one.mkdir()
    log = place / "offline.log"
    known = {
        "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(temporary), "OFFLINE_LOG": str(log),
        "PYTHONPATH": os.pathsep.join((str(CHECKOUT / "tests" / "offline"), str(CHECKOUT))),
        "MMSEARCH_SPACE": "tests.tiny:space", "MMSEARCH_WORKERS": "1", "MMSEARCH_LIBRARY": str(work / "library"),
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.packaging.every_command", str(work)]
    done = subprocess.run(command, cwd=work, env=known, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return World(home, temporary, work, list(map(json.loads, done.stdout.splitlines())), log.read_text("utf-8"))


def test_every_command_of_the_shell_is_run() -> None:
    run = {names for arguments in commands("model") for names in (arguments[:1], arguments[:2])}
    assert [names for names, _ in leaves(cli) if names not in run and names not in ELSEWHERE] == []


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a home and its folders are Linux's here")
def test_every_command_works_without_a_socket_in_its_process_and_its_workers(world: World) -> None:
    # A query that finds nothing likely ends with 1.
    fine = {("query", 1)}
    assert [
        (arguments, said) for arguments, code, said in world.told if code and (arguments[0], code) not in fine
    ] == []
    lines = world.log.splitlines()
    assert lines.count("watched") >= 2, "the process and a decode worker"
    assert [line for line in lines if line != "watched"] == []


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a home and its folders are Linux's here")
def test_doctor_paths_names_everything_that_was_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = (said for arguments, _, said in world.told if arguments == ["doctor", "--paths", "--json"])
    listed = {Path(place["path"]): place for place in json.loads(said)}
    made = [path for place in (world.home, world.temporary) for path in place.rglob("*") if path.is_file()]
    made += [path for path in (world.work / "library").rglob("*") if path.is_file()]
    assert len(made) > 10
    for path in made:
        known = [place for place in listed if path.is_relative_to(place) or path.match(str(place))]
        assert known, f"{path} is at no place of mmsearch doctor --paths"
    present = {place["name"] for place in listed.values() if place["bytes"]}
    # By then the library is encrypted: its lists are in memory.
    assert present >= {"program", "library", "catalog", "training", "data", "models", "settings", "cache"}
    assert "indexes" not in present
    assert listed[world.home / ".cache" / "mmsearch"]["bytes"] == sum(
        path.stat().st_size for path in made if path.is_relative_to(world.home / ".cache" / "mmsearch")
    )


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a home and its folders are Linux's here")
def test_no_file_has_a_name_that_another_system_cannot_have(world: World) -> None:
    made = [path for place in (world.home, world.work) for path in place.rglob("*")]
    assert [path for path in made if RESERVED.fullmatch(path.name)] == []


@pytest.mark.parametrize("name", ["CON", "nul.txt", "a:b", "trailing.", "trailing ", "a\\b", "com1.safetensors"])
def test_names_of_other_systems_are_told(name: str) -> None:
    assert RESERVED.fullmatch(name)


def test_locations_of_a_library_that_is_not_there_are_listed_without_a_size(tmp_path: Path) -> None:
    with mmsearch.open(tmp_path / "none") as library:
        found = {place.name: place for place in library.locations()}
    assert found["library"].path == tmp_path / "none" and found["library"].bytes is None
    assert found["models"].path == config.models_folder() and found["settings"].path == config.user_file().parent
    assert not (tmp_path / "none").exists(), "a look makes nothing"


def test_the_size_of_a_location_is_that_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "indexes" / "space").mkdir(parents=True)
    (tmp_path / "indexes" / "space" / "one").write_bytes(b"12345")
    (tmp_path / "catalog.sqlite").write_bytes(b"123")
    (tmp_path / "catalog.sqlite-wal").write_bytes(b"1")
    found = {place.name: place.bytes for place in used_locations(tmp_path)}
    assert (found["library"], found["catalog"], found["indexes"], found["training"]) == (9, 4, 5, None)


def test_doctor_paths_prints_a_place_a_line(run: Run, tmp_path: Path) -> None:
    rows = [line.split("\t") for line in run("doctor", "--paths").stdout.decode().splitlines()]
    assert ["library", "-", str(tmp_path / "library")] in [row[:3] for row in rows]
    assert all(len(row) == 4 for row in rows)


def test_our_own_processes_ask_libraries_to_tell_nobody(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setattr(config, "_ours", False)
    assert run("--version").returncode == 0
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "0")
    config.own_process()
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "0", "who says otherwise is listened to"
