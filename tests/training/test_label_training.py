"""Heads through a library of the tiny space: from a table of names to tags."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmsearch.encoders.head import restore_head
from mmsearch.errors import InvalidInput, SpaceChanged, WeightsError
from mmsearch.library import Library
from tests.conftest import Run
from tests.generated import picture, sound, words
from tests.module_library import ModuleLibrary

pytestmark = pytest.mark.slow

NAMES = {"red": "stop sign", "green": "lawn", "blue": "sea or sky"}


def fill(folder: Path) -> None:
    for colour in NAMES:
        for mark in range(4):
            picture(folder / f"{colour}{mark}.png", colour, mark=mark)
    sound(folder / "low.wav", "low")
    words(folder / "green.txt", "a green day")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.fixture
def filled(library: Library) -> Library:
    return library


def table(folder: Path, *more: str, each: int = 2) -> Path:
    rows = [f"{colour}{mark}.png\t{name}" for colour, name in NAMES.items() for mark in range(each)]
    path = folder / "labels.tsv"
    path.write_text("\n".join(["path\tlabel", *rows, *more]) + "\n", "utf-8")
    return path


def given(library: Library, **options: Any) -> dict[str, str | None]:
    return {one.path.name: one.label for one in library.label(model="names", **options)}


def test_a_trained_head_labels_the_library(filled: Library, folder: Path) -> None:
    learned = filled.train.labels(table(folder))
    assert learned.classes == ("lawn", "sea or sky", "stop sign") and not learned.unused
    assert learned.path == filled.path / "training" / "names"
    found = given(filled, filter="not name contains labels")
    assert {name: found[name] for name in ("red3.png", "green3.png", "blue2.png")} == {
        "red3.png": "stop sign", "green3.png": "lawn", "blue2.png": "sea or sky",
    }  # fmt: skip
    assert found["low.wav"] is None and found["green.txt"] == "lawn"
    assert set(given(filled, modalities=("audio",))) == {"low.wav"}
    assert set(given(filled, filter="name = red3.png")) == {"red3.png"}
    assert given(filled, filter="name = nothing.png") == {}


def test_saved_labels_of_a_head_are_tags_and_replaced_by_the_next(filled: Library, folder: Path) -> None:
    filled.train.labels(table(folder))
    filled.label(model="names", modalities=("image",), save=True)
    tagged = [hit.path.name for hit in filled.search("anything", filter='tag = "stop sign"', mode="vector")]
    assert sorted(tagged) == [f"red{n}.png" for n in range(4)]
    filled.label(model="names", modalities=("image",), save=True, min_confidence=1)
    assert not filled.search("anything", filter='tag = "stop sign"', mode="vector")


def test_a_head_s_card_and_header_describe_it(filled: Library, folder: Path) -> None:
    learned = filled.train.labels(table(folder), "mine", command="mmsearch train labels labels.tsv")
    card = json.loads((learned.path / "model.json").read_text())
    head = restore_head((learned.path / "head.safetensors").read_bytes())
    assert (card["kind"], card["command"]) == ("labels", "mmsearch train labels labels.tsv")
    assert card["fingerprint"] == head.facts.fingerprint and head.facts.classes == learned.classes
    assert [(m.name, m.kind, m.finished) for m in filled.train.models()] == [("mine", "labels", True)]
    filled.train.drop("mine")
    assert filled.train.models() == []


def test_the_same_table_gives_the_same_bytes(filled: Library, folder: Path) -> None:
    one, two = (filled.train.labels(table(folder), name) for name in ("one", "two"))
    assert (one.path / "head.safetensors").read_bytes() == (two.path / "head.safetensors").read_bytes()


def test_unusable_lines_are_listed_with_their_reason(filled: Library, folder: Path) -> None:
    picture(folder / "new.png", "red", mark=9)
    lines = ["gone.png\tlawn", "new.png\tlawn", "red0.png\tlawn", "red1.png\tStop  SIGN", "", "alone", "low.wav\t"]
    learned = filled.train.labels(table(folder, *lines))
    said = {one.line: one.why.split(":")[0] for one in learned.unused}
    assert said == {
        8: "no such file", 9: "not in the library", 10: "the same file as on line 2, where it is 'stop sign'",
        11: "the same file as on line 3", 12: "empty line", 13: "no path and label",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path\tlabel", "red0.png\tstop"], "1 names"),
        (["path\tlabel"], "0 names"),
        (["path\tlabel", "gone.png\ta", "away.png\tb"], "line 2: no such file"),
        (["file\tname", "red0.png\tstop"], "header path<TAB>label"),
        ([], "header path<TAB>label"),
    ],
)
def test_too_few_labels_or_classes_are_refused(filled: Library, folder: Path, lines: list[str], message: str) -> None:
    path = folder / "labels.tsv"
    path.write_text("\n".join(lines))
    with pytest.raises(InvalidInput, match=message):
        filled.train.labels(path)
    assert filled.train.models() == []


def test_unknown_taken_and_conflicting_head_names_are_refused(filled: Library, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="no classifier 'names'") as refused:
        filled.label(model="names")
    assert "none yet" in str(refused.value.hint)
    filled.train.labels(table(folder))
    with pytest.raises(InvalidInput, match="already"):
        filled.train.labels(table(folder))
    with pytest.raises(InvalidInput, match="not both"):
        filled.label(["a", "b"], model="names")
    with pytest.raises(InvalidInput, match="can't be a model's name"):
        filled.label(model="../names")


def test_a_head_of_another_space_is_refused(filled: Library, folder: Path, open_tiny: Callable[..., Library]) -> None:
    learned = filled.train.labels(table(folder))
    other = open_tiny("other", space="tests.tiny:other_weights")
    other.ingest(folder)
    (other.path / "training" / "names").mkdir(parents=True)
    kept = other.path / "training" / "names" / "head.safetensors"
    kept.write_bytes((learned.path / "head.safetensors").read_bytes())
    with pytest.raises(SpaceChanged, match="was trained on vectors of"):
        other.label(model="names")
    kept.write_bytes(b"nonsense")
    with pytest.raises(WeightsError):
        other.label(model="names")


def test_the_train_labels_and_label_commands_use_a_head(run: Run, folder: Path) -> None:
    done = run("train", "labels", table(folder, "gone.png\tlawn"), "--seed", "3", "--head", "mlp")
    assert done.returncode == 0, done.stderr
    assert b"3 names" in done.stdout and b"no such file" in done.stdout and b"mmsearch train" not in done.stderr
    named = run("label", "--with", "names", "--filter", "name = blue3.png", "--json")
    assert [one["label"] for one in json.loads(named.stdout)] == ["sea or sky"]
    listed = run("train", "list")
    assert listed.stdout == b"names\tlabels\t\t-\n", "nothing was held out to measure"
    for wrong in ([], ["--as", "a,b", "--with", "names"]):
        assert run("label", *wrong).returncode == 2


def test_figures_of_training_examples_are_not_told(run: Run, filled: Library, folder: Path) -> None:
    known: list[dict[str, float]] = []
    learned = filled.train.labels(table(folder), "few", epochs=20, on_epoch=lambda epoch: known.append(epoch.measures))
    assert learned.after == {} and len(known) == 21 and not any(known)
    done = run("train", "labels", table(folder), "--name", "few2", "--epochs", "20")
    assert done.stdout.decode().splitlines()[:3] == ["fit\t-", "accuracy\t-", "macro-F1\t-"]
    epochs = [line.split()[1] for line in done.stderr.decode().splitlines() if line.startswith("epoch")]
    assert epochs == ["0", "10", "20"] and "accuracy" not in done.stderr.decode()
    assert run("train", "list").stdout.decode().splitlines()[0].split("\t")[3] == "-"


def test_a_confusion_matrix_is_drawn(filled: Library, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for n in range(24):
        words(folder / f"note{n}.txt", f"matter number {n}")  # no word of the space: a vector like no other
    filled.ingest(folder)
    lines = [f"note{n}.txt\t{('lawn', 'stop sign')[n % 2]}" for n in range(24)]
    learned = filled.train.labels(table(folder, *lines), confusion=tmp_path / "confusion.svg")
    assert sum(map(sum, learned.confusion)) >= 2
    assert (tmp_path / "confusion.svg").read_text().startswith("<?xml")
    with pytest.raises(InvalidInput, match="no example was held out"):
        filled.train.labels(table(folder), "few", confusion=tmp_path / "few.svg")
