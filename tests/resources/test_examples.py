"""The examples: they are listed and copied, use what an app may rely on alone, and print what their pages show."""

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmsearch
from mmsearch.resources.chapters import chapter_text
from mmsearch.resources.examples import EXAMPLES, SAMPLES, copy_example
from tests.conftest import CHECKOUT, Run
from tests.packaging.test_readme import alike, blocks, steps
from tests.resources import notebooks

PROMISED = re.compile(r"mmsearch|mmsearch\.errors|mmsearch\.integrations\.[\w.]+")
"""Modules that the chapter `stability` lets an app import."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_examples_are_listed(run: Run) -> None:
    (block,) = blocks("console", chapter_text("examples"))
    ((command, expected),) = steps(block)
    done = run(*shlex.split(command)[1:])
    assert done.stdout.decode().splitlines() == expected and len(EXAMPLES) == len(expected)
    assert run("examples", "shoop").returncode == 2


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_copied_with_its_media_and_their_credits(run: Run, tmp_path: Path, name: str) -> None:
    done = run("examples", name)
    first = steps(blocks("console", chapter_text(f"example_{name}"))[0])[0]
    assert (f"mmsearch examples {name}", done.stdout.decode().splitlines()) == first
    assert any((tmp_path / name).glob(f"{name}.*"))
    media = [path for path in (tmp_path / name / "media").rglob("*") if path.suffix in (".jpg", ".ogg", ".mp4")]
    assert bool(media) == bool(EXAMPLES[name].media)
    assert not media or (tmp_path / name / "media" / "CREDITS.md").read_bytes() == (SAMPLES / "CREDITS.md").read_bytes()
    again = run("examples", name)
    assert again.returncode == 2 and b"it is there already" in again.stderr
    assert run("examples", name, "mine").returncode == 0 and (tmp_path / "mine").is_dir()


def test_every_medium_of_an_example_itself_has_its_credits() -> None:
    for example in EXAMPLES.values():
        media = [path for path in example.folder.rglob("*") if path.suffix in (".jpg", ".png", ".pptx", ".srt")]
        credits = (example.folder / "CREDITS.md").read_text("utf-8") if media else ""
        for path in media:
            row = next(line for line in credits.splitlines() if path.relative_to(example.folder).as_posix() in line)
            assert "CC0 1.0" in row or "CC0 1.0" in credits.split(row, 1)[1]


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "training"])
def test_an_example_is_short_and_imports_what_an_app_may(name: str) -> None:
    (program,) = EXAMPLES[name].folder.glob("*.py")
    ours = [module for module in imported(program) if module.split(".")[0] == "mmsearch"]
    assert ours and all(PROMISED.fullmatch(module) for module in ours)
    used = set(re.findall(r"\bmmsearch\.(\w+)", program.read_text("utf-8"))) - {"integrations", "mmsearch"}
    assert used - {"extras"} <= {*mmsearch.__all__, "errors", "library"}
    assert len(program.read_text("utf-8").splitlines()) <= 130


@pytest.fixture
def outside(tmp_path: Path) -> dict[str, str]:
    """The environment of a new user, whose `mmsearch` and `python` are this checkout's."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, command in (("mmsearch", f'"{sys.executable}" -m mmsearch'), ("python", f'"{sys.executable}"')):
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(CHECKOUT)}


@pytest.mark.parametrize("name", ["shop", "sounds", "assistant", "medical", "camera", "dashcam"])
@pytest.mark.skipif(os.name == "nt", reason="the pages show a POSIX shell")
@pytest.mark.slow
@pytest.mark.extras
def test_an_example_prints_what_its_page_shows(name: str, outside: dict[str, str], tmp_path: Path) -> None:
    for command, expected in steps(blocks("console", chapter_text(f"example_{name}"))[0]):
        done = subprocess.run(
            shlex.split(command), cwd=tmp_path, env=outside, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert alike(expected, done.stdout.splitlines()), done.stdout


@pytest.mark.slow
@pytest.mark.extras
def test_the_photo_app_answers_as_its_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastapi.testclient import TestClient

    copy_example("photos", tmp_path / "photos")
    monkeypatch.syspath_prepend(str(tmp_path / "photos"))
    photos = importlib.import_module("photos")
    sample = tmp_path / "photos" / "media" / "photos" / "dog-at-a-laptop.jpg"
    with TestClient(photos.app) as client:
        (shown,) = blocks("json", chapter_text("example_photos"))
        told = client.get("/search", params={"words": "a dog", "k": 2}).json()
        assert alike([str(json.loads(shown))], [str(told)]), told
        page = client.get("/", params={"words": "a dog"}).text
        (picture,) = re.findall(r"src=\"(/photos/\d+)\" title=\"dog-at-a-laptop", page)
        assert client.get(picture).content[8:12] == b"WEBP"
        like = client.post("/like", files={"photo": sample.read_bytes()}).text
        assert "dog-at-a-laptop.jpg, sure" in like
        refused = client.post("/like", files={"photo": b"no photo"})
        assert refused.status_code == 400 and set(refused.json()) == {"error", "hint"}
        assert client.get("/", params={"words": "<script>"}).text.count("<script>") == 0
    assert len((tmp_path / "photos" / "photos.py").read_text("utf-8").splitlines()) <= 85


@pytest.mark.slow
@pytest.mark.extras
def test_the_notebook_prints_what_is_kept_in_it_and_on_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example("training", tmp_path / "training")
    monkeypatch.chdir(tmp_path / "training")
    kept = json.loads((tmp_path / "training" / "training.ipynb").read_text("utf-8"))
    shown = "".join(map(notebooks.shown, notebooks.code_cells(kept)))
    assert shown == blocks("", chapter_text("example_training"))[0]
    printed = "".join(notebooks.run(tmp_path / "training" / "training.ipynb"))
    assert alike(shown.splitlines(), printed.splitlines()), printed
    shutil.rmtree(tmp_path / "training" / "library")
