"""Fixtures for everybody. No test touches the user's data: the default library lies in a temporary folder."""

import inspect
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

# Before torch, faiss and numpy are loaded: there is a process of tests for each core, and threads that spin beside it
# take four times the CPU of the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from click.testing import CliRunner

import mmsearch
from mmsearch.library import Library
from tests import tiny
from tests.module_library import ModuleLibrary
from tests.postgres_server import PostgresServer, libraries_there, start_server
from tests.temporary import remove_kept_folders

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = CHECKOUT.parent / "shared"

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
"""Runs `mmsearch` with these arguments over the tiny space."""

collect_ignore = ["assets"]
"""The example of a package has tests of its own, which run where it is installed."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `extras` or `browser` run where `-m` names the mark, or the command line their file."""
    named = {Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args}
    if "postgres" in config.option.markexpr:
        for item in items:
            # What looks into SQLite's files, or copies a library as a folder, says nothing of another engine.
            if not _looks_into_files(item) and "module_library" not in getattr(item, "fixturenames", ()):
                item.add_marker("postgres")
    unasked = [mark for mark in ("extras", "browser", "postgres") if mark not in config.option.markexpr]
    left_out = [item for item in items if any(map(item.get_closest_marker, unasked)) and item.path not in named]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


_OF_FILES = frozenset(
    (
        "test_backup", "test_damaged_values", "test_every_table_and_file", "test_forgetting", "test_migrations",
        "test_old_library", "test_own_metadata_migration", "test_restricted", "test_search_cost", "test_signs",
        "test_statement_cost", "test_triggers", "test_filters_exhaustive", "test_encryption", "test_prune",
    )
)  # fmt: skip
"""Modules about what only libraries of files have (backups, proofs, slices, encryption, SQLite's own plans), or whose
fixtures copy such files."""


def _looks_into_files(item: pytest.Item) -> bool:
    """Whether a test is marked so, or it or a function of its module that it calls names SQLite itself."""
    function = getattr(item, "function", None)
    called = [] if function is None else [function, *map(function.__globals__.get, function.__code__.co_names)]
    sources = [inspect.getsource(one) for one in called if inspect.isfunction(one)]
    named = item.path.stem in _OF_FILES or item.get_closest_marker("sqlite") is not None
    return named or any("sqlite" in source for source in sources)


@pytest.fixture(autouse=True)
def restored_log() -> Iterator[None]:
    """What a program of ours sets up for its messages ends with the test that runs it."""
    ours = logging.getLogger("mmsearch")
    level, handlers = ours.level, list(ours.handlers)
    yield
    ours.handlers[:] = handlers
    if ours.level != level:
        ours.setLevel(level)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skip is an error unless `skips.txt` has its reason: what is never run is not tested."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or os.environ.get("CI") != "true":
        return
    lines = Path(__file__).with_name("skips.txt").read_text("utf-8").splitlines()
    given = {report.longrepr[2].removeprefix("Skipped: ") for report in reporter.stats.get("skipped", ())}
    if unknown := sorted(given - {line for line in lines if not line.startswith("#")}):
        reporter.write_line(f"skipped for reasons that tests/skips.txt does not have: {unknown}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[Path]]:
    """Folders for one test each, by their numbers: pytest's own go through all there are to find the next one. Before
    the first test, and for what a module's tests share, there is one too."""
    place = tmp_path_factory.mktemp("homes")
    with pytest.MonkeyPatch.context() as patch:
        at_home(patch, place / "shared")
        without_extractors(patch)
        yield (place / str(number) for number in count())
    remove_kept_folders()


def at_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in ("data", "cache", "config"):
        (home / name).mkdir(parents=True)
        patch.setenv(f"XDG_{name.upper()}_HOME", str(home / name))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, homes: Iterator[Path]) -> None:
    for name in list(os.environ):
        if name.startswith("MMSEARCH_"):
            monkeypatch.delenv(name)
    at_home(monkeypatch, next(homes))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # No test leaves a process behind, or is answered by one of another test.
    monkeypatch.setenv("MMSEARCH_WARM", "off")
    without_extractors(monkeypatch)
    tiny.reset()


def without_extractors(patch: pytest.MonkeyPatch) -> None:
    """What an ingest does by itself where the extras are here: only tests of that pay for it."""
    patch.setenv("MMSEARCH_SPEECH", "off")
    patch.setenv("MMSEARCH_OCR", "off")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of PostgreSQL, for all tests of this process."""
    server = start_server()
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `-m postgres` every test has its libraries on a server, but those that are marked `sqlite`."""
    if request.node.get_closest_marker("postgres"):
        libraries_there(monkeypatch, request.getfixturevalue("postgres"))


@pytest.fixture
def shared() -> Path:
    """The real development data, which only a development machine has."""
    if not SHARED.is_dir():
        pytest.skip("the shared development data is not here")
    return SHARED


@pytest.fixture(scope="module")
def module_library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModuleLibrary:
    """The library that a module's `fill` makes, once for all of its tests."""
    return ModuleLibrary(tmp_path_factory.mktemp("kept"), request.module.fill)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for media, empty unless the module keeps some (`tests.module_library`)."""
    made = tmp_path / "media"
    made.mkdir(exist_ok=True)
    return made


@pytest.fixture
def open_tiny(tmp_path: Path) -> Iterator[Callable[..., Library]]:
    """Open (again) a library of the tiny space in a temporary folder; closed at the end of the test.

    The tests' own spaces are code, which no library may name: whoever opens one does.
    """
    opened: list[Library] = []

    def open_it(name: str = "library", **settings: Any) -> Library:
        # Pictures of one colour are near-duplicates here: only what is about that folds them.
        # One decode worker serves an ingest and queries; each more costs a test half a second.
        chosen: dict[str, Any] = {"space": "tests.tiny:space", "workers": 1, "dedup": False, **settings}
        opened.append(mmsearch.open(tmp_path / name, **chosen))
        for code in tiny.SPACES:
            opened[-1]._context.trust.name(code)
        return opened[-1]

    yield open_it
    for library in opened:
        library.close()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings of a shell: the tiny space, and a library in the temporary folder."""
    return {
        "MMSEARCH_SPACE": "tests.tiny:space",
        "MMSEARCH_DEDUP": "off",
        "MMSEARCH_WORKERS": "1",
        "MMSEARCH_NICE": "0",
        "MMSEARCH_LIBRARY": str(tmp_path / "library"),
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in this process: all of it, from the arguments to the exit code, but for starting Python anew."""
    from mmsearch.cli import main

    def run_it(*arguments: str | Path) -> "subprocess.CompletedProcess[bytes]":
        given = ["mmsearch", *map(str, arguments)]
        with monkeypatch.context() as patch, CliRunner(env=environment).isolation() as (out, err, _):
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", given)
            try:
                main()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
            sys.stdout.flush()
            return subprocess.CompletedProcess(given, code, out.getvalue(), err.getvalue())

    return run_it


@pytest.fixture
def process(environment: dict[str, str], tmp_path: Path) -> Run:
    """The command as a process of its own, which takes a second or more: each group of commands has a test of it."""

    def run_it(*arguments: str | Path) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "mmsearch", *map(str, arguments)]
        known = {**os.environ, **environment, "PYTHONPATH": str(CHECKOUT)}
        return subprocess.run(command, cwd=tmp_path, env=known, capture_output=True, check=False)

    return run_it


@pytest.fixture
def library(open_tiny: Callable[..., Library]) -> Library:
    return open_tiny()
