"""The example of a third-party encoder: installed as a package of its own, found by its entry point, and used."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.generated import picture, words

EXAMPLE = CHECKOUT / "tests" / "assets" / "example_encoder"

Shell = Callable[..., str]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example in it, as pip installs it; without any network."""
    if find_spec("pip") is None:
        pytest.skip("there is no pip in this environment")
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(target)]
    command = [sys.executable, "-m", "pip", "install", *options, str(EXAMPLE)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return target


@pytest.fixture
def shell(installed: Path, tmp_path: Path) -> Shell:
    """`mmsearch` where the example is installed; returns what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(CHECKOUT)])}

    def run_it(*arguments: str | Path) -> str:
        command = [sys.executable, "-m", "mmsearch", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    return run_it


@pytest.mark.slow
def test_an_installed_encoder_is_listed_fills_a_library_and_is_searched(shell: Shell, folder: Path) -> None:
    found = {model["name"]: model for model in json.loads(shell("models", "--json"))}
    assert (found["colours"]["modalities"], found["colours"]["dim"]) == (["text", "image"], 3)
    for colour in ("red", "green", "blue"):
        picture(folder / f"{colour}.png", colour)
    words(folder / "note.txt", "something green")
    shell("ingest", folder, "--library", "colours", "--space", "colours")
    printed = shell("query", "a blue thing", "--library", "colours", "--mode", "vector", "--all", "--json")
    hits = json.loads(printed)
    hits = hits["hits"] if isinstance(hits, dict) else hits
    pictures = [Path(hit["path"]).name for hit in hits if hit["modality"] == "image"]
    assert pictures[0] == "blue.png"
    printed = shell("query", "--image", folder / "green.png", "--library", "colours", "--in", "text", "--all")
    assert "note.txt" in printed
    assert json.loads(shell("status", "--library", "colours", "--json"))["space"] == "colours"


def test_the_example_encoder_has_at_most_forty_lines() -> None:
    lines = (EXAMPLE / "mmsearch_colours.py").read_text("utf-8").splitlines()
    assert len(lines) <= 40
