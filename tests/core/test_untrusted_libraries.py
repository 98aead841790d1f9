"""What strangers made is opened, and nothing in it runs or is followed: see `tests.untrusted`."""

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mmsearch.core import config
from tests import untrusted
from tests.conftest import CHECKOUT, Run
from tests.generated import words


@pytest.mark.slow
def test_no_command_runs_code_named_by_an_untrusted_library(run: Run, folder: Path, tmp_path: Path) -> None:
    words(folder / "a.txt", "a red thing")
    assert run("ingest", folder).returncode == 0
    ran = tmp_path / "ran"
    with closing(sqlite3.connect(tmp_path / "library" / "catalog.sqlite")) as db, db:
        db.execute("UPDATE spaces SET target = 'cProfile:run'")
    (tmp_path / "library" / "mmsearch.toml").write_text(f"device = \"__import__('os').system('id > {ran}')\"\n")
    for command in (
        ("query", "red"),
        ("ingest", folder),
        ("export", tmp_path / "out"),
        ("duplicates",),
        ("index", "status"),
    ):
        done = run(*command)
        said = done.stderr.decode()
        assert done.returncode == 3 and "'cProfile:run'" in said and "Traceback" not in said, said
        assert "Hint: only if you know that code" in said
    assert not ran.exists()
    told = run("config", "--json")
    assert told.returncode == 0 and json.loads(told.stdout)["settings"]["device"] == {
        "value": "auto",
        "from": "default",
    }


@pytest.mark.parametrize(
    "text", ["commit_s = inf", "recall = 1e400", "x = " + "[" * 5000, "x = " + "[\n" * 5000, "\0", "x"]
)
def test_every_command_refuses_senseless_settings_with_a_hint(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "mmsearch.toml").write_text(text)
    for command in (("query", "red"), ("status",), ("config",)):
        done = run(*command)
        said = done.stderr.decode()
        assert done.returncode == 2 and "mmsearch.toml" in said and "Hint: " in said and "Traceback" not in said, said


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All cases, in a process that is watched from its first moment on, as are its workers."""
    place = tmp_path_factory.mktemp("strangers")
    (place / "canaries").mkdir()
    for number in range(60):
        (place / "canaries" / f"canary{number:02d}.py").write_text(untrusted.PAYLOAD)
    (place / "canaries" / "canary_named.py").write_text("from tests.tiny import space\n")
    (place / "canary-folder").mkdir()
    (place / "canary-folder" / "open_clip_config.json").write_text("{}")
    (place / "canary-file").write_text("a secret")
    homes = {f"XDG_{name}_HOME": str(place / "homes" / name) for name in ("DATA", "CACHE", "CONFIG")}
    paths = os.pathsep.join(map(str, (CHECKOUT / "tests" / "audited", CHECKOUT, place / "canaries")))
    environment = {**os.environ, **homes, "PYTHONPATH": paths, "AUDIT_LOG": str(place / "audit.log")}
    for name in [name for name in environment if name.startswith(("MMSEARCH_", "HF_"))]:
        del environment[name]
    command = [sys.executable, "-m", "tests.untrusted", str(place)]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "place": place}


@pytest.mark.slow
def test_untrusted_libraries_run_no_code_and_open_no_foreign_path(seen: dict[str, Any]) -> None:
    lines = seen["before"].splitlines()
    assert [line for line in lines if not line.endswith(" watched")] == []
    assert len(lines) >= 2, "this process, and the worker of the library that all are copies of"


@pytest.mark.slow
def test_the_audit_hook_notices_code_in_a_decode_worker_too(seen: dict[str, Any]) -> None:
    later = seen["after"].removeprefix(seen["before"]).splitlines()
    processes = {line.split()[0] for line in later if "canary_named" in line}
    assert len(processes) == 2, later
    assert seen["told"][-1] == ["proof", "ingest", "ok 2"]


@pytest.mark.slow
def test_every_kind_of_untrusted_library_is_covered(seen: dict[str, Any]) -> None:
    kinds = Counter({name for name, _, _ in map(tuple, seen["told"])})
    counted = Counter(name.partition(":")[0] for name in kinds)
    assert counted["library"] >= 30 and counted["backup"] >= 20 and counted["toml"] >= 30


def outcomes(seen: dict[str, Any], kind: str) -> dict[str, set[str]]:
    """Case -> the classes of error that came of it, or "ok"."""
    found: dict[str, set[str]] = {}
    for name, _, said in seen["told"]:
        if name.startswith(f"{kind}: "):
            found.setdefault(name.partition(": ")[2], set()).add(said.split()[0].rstrip(":"))
    return found


OTHERWISE: dict[str, set[str]] = {
    "target ": {"CatalogDamaged"},
    "target connected:../canaryNN": {"InvalidInput"},
    "target connected:nobody": {"WeightsError"},
    "target hf-hub:../../canaryNN": {"InvalidInput"},
    "target open_clip:../canaryNN": {"WeightsError"},
    "timm by an address": {"WeightsError"},
    "code in a config": {"WeightsError"},
    "a deep config": {"WeightsError"},
    "a deep config of open_clip": {"WeightsError"},
    "an adapter of code": {"WeightsError"},
    "connected to itself": {"WeightsError"},
    "space in its settings": {"LibraryNotFound", "LibraryEmpty", "Untrusted"},
    "index in its settings": {"UnknownName"},
    "a trigger": {"CatalogDamaged"},
    "cut short": {"CatalogDamaged"},
    "no catalog": {"InvalidInput"},
}
"""What comes of a case that is not refused for what it names."""


@pytest.mark.parametrize("kind", ["library", "backup"])
@pytest.mark.slow
def test_libraries_that_name_code_or_foreign_paths_are_refused(seen: dict[str, Any], kind: str) -> None:
    for name, found in outcomes(seen, kind).items():
        assert found == OTHERWISE.get(name, {"Untrusted"}), name


@pytest.mark.slow
def test_an_untrusted_settings_file_is_refused_or_ignored(seen: dict[str, Any]) -> None:
    for name, found in outcomes(seen, "toml").items():
        machine = name.split()[0] in config.MACHINE
        refused = {"Untrusted"} if "space" in name and "''" not in name else {"UnknownName", "InvalidInput"}
        assert found == {"ok"} if machine else len(found) == 1 and found <= refused, (name, found)


@pytest.mark.slow
def test_every_refusal_of_an_untrusted_library_has_a_hint(seen: dict[str, Any]) -> None:
    for name, _, said in seen["told"]:
        assert said.startswith("ok ") or not said.endswith("-> None"), (name, said)
