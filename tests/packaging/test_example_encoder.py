"""The example of a third-party encoder: installed as a package of its own, found by its entry point, and used."""

import json
import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
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
@pytest.mark.extras
def test_an_installed_encoder_is_listed_fills_a_library_and_is_searched(shell: Shell, folder: Path) -> None:
    found = {model["name"]: model for model in json.loads(shell("models", "--json"))}
    assert (found["colours"]["modalities"], found["colours"]["dim"]) == (["text", "image"], 3)
    for colour in ("red", "green", "blue"):
        picture(folder / f"{colour}.png", colour)
    words(folder / "note.txt", "something green")
    shell("ingest", folder, "--library", "colours", "--space", "colours")
    printed = shell("query", "a blue thing", "--library", "colours", "--mode", "vector", "--json")
    hits = json.loads(printed)["hits"]
    pictures = [Path(hit["path"]).name for hit in hits if hit["modality"] == "image"]
    assert pictures[0] == "blue.png"
    printed = shell("query", "--image", folder / "green.png", "--library", "colours", "--in", "text", "--all")
    assert "note.txt" in printed
    assert json.loads(shell("status", "--library", "colours", "--json"))["space"] == "colours"


@pytest.fixture(scope="module")
def python(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment of the example's own, which sees what is installed here, and this checkout."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False)
    paths = sysconfig.get_paths(vars={"base": str(place), "platbase": str(place)})
    site_packages = Path(paths["purelib"])
    shutil.copytree(installed, site_packages, dirs_exist_ok=True)
    seen = [f"import site; site.addsitedir({folder!r})" for folder in site.getsitepackages()]
    (site_packages / "seen.pth").write_text("\n".join([*seen, str(CHECKOUT)]) + "\n")
    return Path(paths["scripts"]) / Path(sys.executable).name


@pytest.mark.slow
def test_the_example_runs_the_encoders_suite_in_its_own_environment(python: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "test_colours.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:asyncio",
        "-p",
        "no:cacheprovider",
        "test_colours.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) >= 2 * 14 and "failed" not in done.stdout


@pytest.mark.slow
def test_the_suite_finds_an_encoder_that_breaks_its_promise(python: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    (tmp_path / "test_broken.py").write_text(TESTS_BROKEN)
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:asyncio",
        "-p",
        "no:cacheprovider",
        "test_broken.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    failed = set(re.findall(r"FAILED .*::(test_\w+)", done.stdout))
    assert "test_vectors_are_unit_float32_rows" in failed, done.stdout


BROKEN = """
from dataclasses import replace

import mmsearch_colours


class Broken(mmsearch_colours.Colours):
    def encode(self, batch, *, query=False):
        return super().encode(batch, query=query) * 2


def space(device="auto", precision="auto"):
    made = mmsearch_colours.space()
    return replace(made, encoders={"text": Broken("text"), "image": Broken("image")})
"""

TESTS_BROKEN = """
from mmsearch.testing.encoders import EncoderCase, EncoderContract


class TestBroken(EncoderContract):
    cases = (EncoderCase("broken:space", "text"), EncoderCase("broken:space", "image"))
"""


def test_the_example_encoder_has_at_most_forty_lines() -> None:
    lines = (EXAMPLE / "mmsearch_colours.py").read_text("utf-8").splitlines()
    assert len(lines) <= 40
