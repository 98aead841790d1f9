"""Heads that name bundles by one vector of their files, through a library of the tiny space."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmsearch.encoders.head import restore_head
from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from mmsearch.training.serving.folder import ModelFolder
from tests.conftest import Run
from tests.generated import picture, sound, words
from tests.tiny import axis

pytestmark = pytest.mark.slow

COLOURS = ("red", "green", "blue")


def fill(folder: Path) -> None:
    """Pictures with sounds: the picture says nothing of the name, which is the sound's, low or high."""
    for colour in COLOURS:
        for mark in range(4):
            picture(folder / f"{colour}{mark}.png", colour, mark=mark)
            sound(folder / f"{colour}{mark}.wav", ("low", "high")[mark % 2])
    picture(folder / "alone.png", "red", mark=9)
    sound(folder / "lone.wav", "high", seconds=7)


@pytest.fixture
def filled(library: Library, folder: Path) -> Library:
    fill(folder)
    library.ingest(folder)
    return library


def table(folder: Path, *more: str) -> Path:
    """The first two pictures of each colour, named by what their sounds say."""
    rows = [f"{colour}{mark}.png\t{('deep', 'shrill')[mark]}" for colour in COLOURS for mark in range(2)]
    path = folder.parent / "labels.tsv"
    lines = [f"media/{row}" for row in (*rows, *more)]
    path.write_text("\n".join(["path\tlabel", *lines]) + "\n", "utf-8")
    return path


def given(library: Library, **options: Any) -> dict[str, str | None]:
    return {one.path.name: one.label for one in library.label(model="names", **options)}


def stored(library: Library) -> dict[str, np.ndarray]:
    return ModelFolder.of(library.path, "names").data()


def test_a_file_group_is_labelled_by_all_of_its_files(filled: Library, folder: Path) -> None:
    learned = filled.train.labels(table(folder), fusion="mean")
    assert not learned.unused
    wanted = {f"{colour}{mark}": ("deep", "shrill")[mark % 2] for colour in COLOURS for mark in range(4)}
    found = given(filled, filter="name glob '*[0-3].*'")
    assert found == {f"{name}{kind}": said for name, said in wanted.items() for kind in (".png", ".wav")}
    # Which files are asked for is one thing, what a bundle is made of another.
    assert given(filled, modalities=("image",), filter="name = blue3.png") == {"blue3.png": "shrill"}
    (alone,) = filled.label(model="names", filter="name = lone.wav")
    assert (alone.label or alone.runner_up) == "shrill"


def test_without_a_fusion_a_file_is_labelled_by_itself(filled: Library, folder: Path) -> None:
    filled.train.labels(table(folder))
    assert all(one.confidence < 0.9 for one in filled.label(model="names", modalities=("image",)))
    assert all(np.allclose(row[3:], 0) for row in stored(filled)["vectors"])


def test_a_group_s_vector_is_the_mean_of_its_modalities(filled: Library, folder: Path) -> None:
    filled.train.labels(table(folder, "alone.png\tdeep"), fusion="mean")
    data = stored(filled)
    assert data["vectors"].shape == (7, 8)
    rows = {tuple(np.round(row, 4)) for row in data["vectors"]}
    together = (axis("red") + axis("high")) / np.sqrt(2)
    assert any(np.allclose(row, together, atol=0.05) for row in rows)
    assert any(np.allclose(row, axis("red"), atol=0.05) for row in rows)


def test_a_head_contains_its_trained_fusion(filled: Library, folder: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.tsv"
    lines = [f"{tone}\t{folder}/{c}{m}.png" for c in COLOURS for m, tone in enumerate(("low", "high", "low", "high"))]
    pairs.write_text("\n".join(["query\trelevant", *lines]) + "\n")
    fusion = filled.train.fusion(pairs, "ours", strategy="concat", epochs=3, batch=4)
    learned = filled.train.labels(table(folder), fusion="learned:ours")
    head = restore_head((learned.path / "head.safetensors").read_bytes())
    assert head.fusion == (fusion.path / "fusion.safetensors").read_bytes()
    assert json.loads((learned.path / "model.json").read_text())["settings"]["fusion"] == "learned:ours"
    before = given(filled)
    filled.train.drop("ours")
    assert given(filled) == before and before["blue3.png"] == "shrill"


def test_a_file_group_is_one_training_example(filled: Library, folder: Path) -> None:
    words(folder / "red0.txt", "a note")
    filled.ingest(folder)
    learned = filled.train.labels(table(folder, "red0.wav\tdeep", "red0.txt\tshrill", "gone.png\tdeep"), fusion="mean")
    said = {one.line: one.why.split(":")[0] for one in learned.unused}
    assert said == {
        8: "the same bundle as on line 2", 9: "the same bundle as on line 2, where it is 'deep'", 10: "no such file",
    }  # fmt: skip


def test_a_file_of_two_groups_gets_the_tag_of_higher_confidence(filled: Library, folder: Path) -> None:
    """The same picture beside a low and a high sound: each path has its own name, the picture itself the surer one."""
    there = folder / "there"
    there.mkdir()
    for name, tone in (("one", "low"), ("two", "high")):
        (there / f"{name}.png").write_bytes((folder / "blue0.png").read_bytes())
        sound(there / f"{name}.wav", tone, seconds=3)
    filled.ingest(folder)
    filled.train.labels(table(folder), fusion="mean")
    labelled = filled.label(model="names", filter="path contains there", save=True)
    assert {one.path.name: one.label for one in labelled} == {
        "one.png": "deep", "one.wav": "deep", "two.png": "shrill", "two.wav": "shrill",
    }  # fmt: skip
    pictures, sounds = ([one for one in labelled if one.modality == kind] for kind in ("image", "audio"))
    kept = [*sounds, max(pictures, key=lambda one: one.confidence)]
    with closing(sqlite3.connect(filled.path / "catalog.sqlite")) as db:
        tags = db.execute("SELECT tag, confidence FROM tags").fetchall()
    assert sorted((tag, round(sure, 6)) for tag, sure in tags) == sorted(
        (str(one.label), round(one.confidence, 6)) for one in kept
    )


def test_unknown_fusions_are_refused(filled: Library, folder: Path) -> None:
    for fusion, message in (("weighted", "unknown fusion"), ("learned:gone", "no trained fusion 'gone'")):
        with pytest.raises(InvalidInput, match=message):
            filled.train.labels(table(folder), fusion=fusion)
    assert filled.train.models() == []


def test_the_commands_train_and_label_by_file_groups(run: Run, folder: Path) -> None:
    fill(folder)
    run("ingest", folder)
    done = run("train", "labels", table(folder), "--fusion", "mean")
    assert done.returncode == 0 and b"2 names" in done.stdout, done.stderr
    named = run("label", "--with", "names", "--filter", "name = blue3.png", "--json")
    assert [one["label"] for one in json.loads(named.stdout)] == ["shrill"]
    assert run("train", "labels", table(folder), "--name", "b", "--fusion", "best").returncode == 2
