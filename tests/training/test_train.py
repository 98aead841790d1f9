"""mmsearch train: from pairs to a model; killed, cut off, full, wrong."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import mmsearch
from mmsearch.errors import InvalidInput, LibraryError, SpaceChanged
from mmsearch.library import Library
from mmsearch.training.loop import EpochReport
from tests import tiny
from tests.conftest import CHECKOUT, Run
from tests.module_library import ModuleLibrary

pytestmark = pytest.mark.slow

Open = Callable[..., Library]

COUNT = 24
SIDES = ("training", "validation", "test")


def colours() -> list[tuple[int, int, int]]:
    """Colours in directions far enough from each other to be no near-duplicates."""
    grid = [(r, g, b) for r in (0, 80, 255) for g in (0, 80, 255) for b in (0, 80, 255) if max(r, g, b) == 255]
    return [*grid, (255, 160, 40), (40, 255, 160), (160, 40, 255), (255, 40, 160), (40, 160, 255)][:COUNT]


def fill(folder: Path) -> None:
    for number, colour in enumerate(colours()):
        Image.new("RGB", (16, 16), colour).save(folder / f"{number:02d}.png")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.fixture
def pairs(folder: Path) -> Path:
    """A TSV that gives each picture of the library its own words."""
    lines = ["query\trelevant", *(f"word {number}\t{number:02d}.png" for number in range(COUNT))]
    table = folder / "pairs.tsv"
    table.write_text("\n".join(lines) + "\n", "utf-8")
    return table


def weights(library: Library, name: str) -> dict[str, np.ndarray]:
    return load_file(library.path / "training" / name / "projection.safetensors")


def test_training_writes_a_model_with_its_card(library: Library, pairs: Path) -> None:
    epochs: list[int] = []
    found = library.train.projection(
        pairs, "mine", epochs=3, modality=("image", "text"), on_epoch=lambda epoch: epochs.append(epoch.number)
    )
    assert epochs == [0, 1, 2, 3] and found.unused == ()
    card = json.loads((found.path / "model.json").read_text("utf-8"))
    assert card["fingerprint"] == tiny.space().fingerprint and card["recipe"]["seed"] == 0
    assert card["splits"]["training pairs"] + card["splits"]["validation pairs"] == len(colours())
    assert "library.train.projection" in (found.path / "README.md").read_text("utf-8")
    assert [(model.name, model.finished, model.active) for model in library.train.models()] == [("mine", True, False)]
    library.train.apply("mine")
    assert library.train.models()[0].active and library.search("word 3", k=1, mode="vector")
    with pytest.raises(InvalidInput, match="already"):
        library.train.projection(pairs, "mine")


def test_a_killed_training_resumes_to_the_same_weights(library: Library, pairs: Path) -> None:
    settings = {"epochs": 6, "modality": ("image", "text"), "patience": 6, "batch": 8}
    library.train.projection(pairs, "whole", **settings)  # type: ignore[arg-type]

    def kill(epoch: EpochReport) -> None:
        if epoch.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.train.projection(pairs, "killed", on_epoch=kill, **settings)  # type: ignore[arg-type]
    assert not library.train.models()[0].finished
    pairs.unlink()  # what it learns from was kept
    library.train.resume("killed")
    whole, killed = weights(library, "whole"), weights(library, "killed")
    assert all(np.abs(whole[name] - killed[name]).max() <= 1e-6 for name in whole)


def test_a_training_begun_in_another_space_is_not_resumed(library: Library, pairs: Path) -> None:
    def kill(epoch: EpochReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.train.projection(pairs, "mine", on_epoch=kill)
    path = library.path / "training/mine/plan.json"
    path.write_text(path.read_text("utf-8").replace(tiny.space().fingerprint, "0" * 64), "utf-8")
    with pytest.raises(SpaceChanged, match="another space"):
        library.train.resume("mine")


WRONG_PLANS = [
    [], 5, {}, {"recipe": []}, {"recipe": {"epochs": "many"}}, {"recipe": {"epochs": 1e400}}, {"recipe": {"loss": 5}},
    {"recipe": {"loss": "x"}}, {"recipe": {"depth": 1}}, {"shape": 5}, {"shape": {"modalities": "image"}},
    {"shape": {"modalities": [5]}}, {"shape": {"modalities": ["smell"]}}, {"shape": {}}, {"shape": {"hidden": None}},
    {"shape": {"rank": "x"}}, {"shape": {"rank": 8, "towers": 1}}, {"sources": [5]}, {"sources": [{"x": 1}]},
    {"splits": {"train": "x"}}, {"warnings": [1]}, {"fingerprint": 5}, {"name": None}, {"kind": "fusion"},
    {"kind": "fusion", "shape": {"strategy": "mean", "attack": 5}},
]  # fmt: skip
"""What a foreign library may say in the place of a plan, or of a plan's members."""


def test_a_plan_that_makes_no_sense_is_refused_in_our_words(library: Library, pairs: Path) -> None:
    def kill(epoch: EpochReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.train.projection(pairs, "mine", epochs=1, on_epoch=kill)
    path = library.path / "training/mine/plan.json"
    good = json.loads(path.read_text("utf-8"))
    for wrong in WRONG_PLANS:
        plan = {**good, **wrong} if wrong and isinstance(wrong, dict) else wrong
        path.write_text(json.dumps(plan), "utf-8")
        try:
            library.train.resume("mine")
        except (LibraryError, InvalidInput):
            continue
        pytest.fail(f"{wrong} was taken")
    path.write_text(json.dumps(good), "utf-8")
    assert library.train.resume("mine").epochs == 1


def test_resuming_an_unknown_training_is_refused(library: Library, pairs: Path) -> None:
    with pytest.raises(LibraryError, match="no training 'mine'"):
        library.train.resume("mine")


def test_missing_files_and_repeated_pairs_are_listed(library: Library, pairs: Path) -> None:
    Image.new("RGB", (8, 8)).save(pairs.parent / "later.png")
    with pairs.open("a", encoding="utf-8") as file:
        file.write("gone\tgone.png\nlater\tlater.png\nword 1\t01.png\nnothing\n")
    found = library.train.projection(pairs, epochs=1)
    lines = len(colours()) + 1
    assert [(one.line - lines, one.why.split(":")[0]) for one in sorted(found.unused, key=lambda one: one.line)] == [
        (1, "no such file"),
        (2, "not in the library"),
        (3, "duplicate of line 3"),
        (4, "too few columns"),
    ]


@pytest.mark.parametrize("lines", [["a\t00.png"], ["a\t00.png", "b\t00.png", "c\t00.png"]])
def test_one_pair_is_refused_as_too_few(library: Library, pairs: Path, lines: list[str]) -> None:
    pairs.write_text("\n".join(["query\trelevant", *lines]), "utf-8")
    with pytest.raises(InvalidInput, match="can't be split"):
        library.train.projection(pairs)
    assert not library.train.models()


def test_a_table_without_usable_pairs_is_refused_with_the_reasons(library: Library, pairs: Path) -> None:
    pairs.write_text("query\trelevant\na\tgone.png\n", "utf-8")
    with pytest.raises(InvalidInput, match=r"line 2: no such file: .*gone\.png"):
        library.train.projection(pairs)


def test_validation_pairs_are_not_trained_on(library: Library, pairs: Path) -> None:
    table = pairs.with_name("valid.tsv")
    table.write_text("query\trelevant\nanother word\t03.png\nmore\t04.png\n", "utf-8")
    found = library.train.projection(pairs, valid=table, epochs=1)
    assert [(one.line, "also validates" in one.why) for one in found.unused] == [(5, True), (6, True)]
    card = json.loads((found.path / "model.json").read_text("utf-8"))
    assert card["splits"]["validation pairs"] == 2 and card["splits"]["training pairs"] == len(colours()) - 2


def test_nan_vectors_are_refused_with_the_lines_that_lead_to_them(library: Library, pairs: Path) -> None:
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db, db:
        nan = np.full(tiny.DIM, np.nan, "<f4").tobytes()
        db.execute(
            "UPDATE embeddings SET vector = ? WHERE segment_id = (SELECT min(segment_id) FROM embeddings)", (nan,)
        )
    with pytest.raises(InvalidInput, match=r"1 lines of pairs\.tsv lead to vectors that are not numbers: 2"):
        library.train.projection(pairs)


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_keeps_the_last_checkpoint(library: Library, pairs: Path) -> None:
    def fill(epoch: EpochReport) -> None:
        if epoch.number == 2:
            limit.__enter__()

    limit = no_file_beyond(1000)
    settings = {"epochs": 4, "modality": ("image", "text"), "patience": 4}
    try:
        with pytest.raises(LibraryError, match="can't write"):
            library.train.projection(pairs, "full", on_epoch=fill, **settings)  # type: ignore[arg-type]
    finally:
        limit.__exit__(None, None, None)
    library.train.resume("full")
    library.train.projection(pairs, "whole", **settings)  # type: ignore[arg-type]
    full, whole = weights(library, "full"), weights(library, "whole")
    assert all((full[name] == whole[name]).all() for name in whole)


@pytest.mark.parametrize(
    "wrong",
    [{"loss": "hinge"}, {"optimizer": "lion"}, {"modality": ("smell",)}, {"warm": 1}, {"keep": -1.0}, {"epochs": 0}],
)
def test_senseless_settings_are_refused(library: Library, pairs: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        library.train.projection(pairs, **wrong)  # type: ignore[arg-type]
    assert not library.train.models()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65])
def test_senseless_model_names_are_refused(library: Library, pairs: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="can't be a model's name"):
        library.train.projection(pairs, name)


def test_the_train_commands_train_apply_list_and_drop(run: Run, library: Library, pairs: Path) -> None:
    trained = run("train", "projection", pairs, "--name", "mine", "--epochs", "2", "--seed", "1", "--json")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["name"] == "mine"
    assert b"mine" in run("train", "list").stdout
    assert run("train", "apply", "mine").stdout == b"searches use the space tiny+mine now\n"
    assert run("train", "apply", "--base").stdout == b"searches use the space tiny now\n"
    assert run("train", "drop", "mine").returncode == 0
    assert run("train", "apply", "mine").returncode == 2
    assert run("train", "projection").returncode == 2


def test_a_share_of_the_pairs_tests_and_evaluate_says_what_was_trained_on(
    run: Run, library: Library, pairs: Path
) -> None:
    options = ("--loss", "mse", "--test", "0.25", "--augment", "0.05", "--epochs", "2")
    trained = run("train", "projection", pairs, *options)
    assert trained.returncode == 0, trained.stderr
    assert "test recall@10\t" in trained.stdout.decode() and "validation loss " in trained.stderr.decode()
    card = json.loads((library.path / "training" / "mine" / "model.json").read_text("utf-8"))
    assert card["splits"]["test pairs"] == 5 and sum(card["splits"][f"{side} pairs"] for side in SIDES) == COUNT
    assert card["notes"][-1].startswith("on the test pairs: recall ") and "validation loss" in card["history"][0]
    assert run("evaluate", pairs).stderr == b"", "the model is not in use"
    run("train", "apply", "mine")
    assert "the model 'mine' was trained on pairs.tsv" in run("evaluate", pairs).stderr.decode()
    other = pairs.with_name("other.tsv")
    other.write_text("query\trelevant\nword 1\t01.png\n", "utf-8")
    assert run("evaluate", other).stderr == b""
    assert run("train", "projection", pairs, "--name", "a", "--test", "1").returncode == 2


def test_the_train_command_takes_the_radius_of_an_attack(run: Run, library: Library, pairs: Path) -> None:
    options = ("--adversarial", "fgm", "--radius", "0.1", "--epochs", "1")
    trained = run("train", "projection", pairs, *options)
    assert trained.returncode == 0, trained.stderr
    plan = json.loads((library.path / "training" / "mine" / "plan.json").read_text("utf-8"))
    assert plan["shape"]["radius"] == 0.1
    assert run("train", "projection", pairs, "--name", "none", "--adversarial", "fgm", "--radius", "0").returncode == 2


def test_the_train_command_warns_of_captions_in_another_script(folder: Path, tmp_path: Path) -> None:
    """Over starter-open, whose text encoder knows English alone; most captions here are Russian, Greek and Chinese."""
    lines = ["query\trelevant", "a plain colour\t00.png"]
    for number, colour in enumerate(colours()):
        Image.new("RGB", (16, 16), colour).save(folder / f"{number:02d}.png")
        lines.append(f"{('цвет', 'χρώμα', '颜色')[number % 3]} {number}\t{number:02d}.png")
    pairs = folder / "pairs.tsv"
    pairs.write_text("\n".join(lines) + "\n", "utf-8")
    asked = ("--library", str(tmp_path / "starter"), "--device", "cpu")
    with mmsearch.open(tmp_path / "starter", space="starter-open", device="cpu", workers=1) as library:
        library.ingest(folder)
    command = [sys.executable, "-m", "mmsearch", "train", "projection", str(pairs), *asked, "--epochs", "1"]
    trained = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=False)
    assert trained.returncode == 0, trained.stderr
    said = trained.stderr.decode()
    assert f"note: {COUNT} queries are in another script than the Latin one (first: line 3)" in said
    assert "knows English" in said


def test_the_training_curves_are_drawn(library: Library, pairs: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(InvalidInput, match="can't draw"):
        library.train.projection(pairs, plot=tmp_path / "curves.txt")
    library.train.projection(pairs, epochs=2, plot=tmp_path / "curves.svg")
    assert "<svg" in (tmp_path / "curves.svg").read_text("utf-8")
