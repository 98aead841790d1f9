"""The robustness benchmark counts what it says it counts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsearch.encoders.starter import captions
from mmsearch.encoders.starter.captions import DIM, FEATURES, MOST, unpacked
from mmsearch.training.attack import NO_ATTACK, Attack
from mmsearch.training.starter import recipe
from mmsearch.training.starter.starter_data import EVERY, CaptionedPhotos, CaptionWords, OtherPictures, StarterData
from tests.benchmarks.corrupted import Pictures
from tests.benchmarks.measured import Row, Table
from tests.benchmarks.robust_photos import Asked, Copies, HardenedTask, hits, learned
from tests.benchmarks.robust_sounds import beside
from tests.benchmarks.robustness import replaced

pytestmark = pytest.mark.slow


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def test_a_corrupted_photo_is_ranked_against_the_clean_others() -> None:
    count = 12
    clean = np.eye(count, dtype=np.float32)
    nothing = np.zeros((count, 1), np.float32)
    changed = clean[:3].copy()
    # The second photo became something no words ask for, so ten others, which score as little, come first.
    changed[1] = -clean[1]
    asked = Asked(
        Pictures(nothing, clean), {}, np.arange(3), ("a", "b", "c"), np.arange(3), size=1
    )  # fmt: skip
    assert hits(clean[:3], asked, Pictures(nothing[:3], changed), None).tolist() == [100, 0, 100]


def test_a_table_has_the_loss_of_each_corruption_and_the_gain_of_each_variant() -> None:
    clean = {"first": np.full((2, 4), 50.0), "base": np.full((2, 4), 80.0), "other": np.full((2, 4), 79.0)}
    hurt = {
        "first": np.full((2, 4), 20.0),
        "base": np.array([[40.0] * 4, [42.0] * 4]),
        "other": np.full((2, 4), 60.0),
    }
    lines = list(Table("words", Row("as it was", clean), (Row("noise", hurt),), 2, 1).lines())
    assert lines[0] == "| words | first | base | 95 % of its drop | other | minus base, 95 % |"
    assert lines[2] == "| as it was | 50.0 | 80.0 |  | 79.0 | -1.0 [-1.0, -1.0] |"
    assert (
        lines[3]
        == "| noise | 20.0 (-30.0) | 41.0 ± 1.4 (-39.0) | [-39.0, -39.0] | 60.0 (-19.0) | +19.0 [+19.0, +19.0] |"
    )


def test_a_report_section_replaces_its_older_version() -> None:
    made = "## Robustness\n\nnew\n"
    assert replaced("# Title\n\ntext\n", made) == "# Title\n\ntext\n\n## Robustness\n\nnew\n"
    old = "# Title\n\n## Robustness\n\nold\n\n## Next\n\nmore\n"
    assert replaced(old, made) == "# Title\n\n## Robustness\n\nnew\n\n## Next\n\nmore\n"
    assert replaced(replaced(old, made), made) == replaced(old, made)


def test_a_clip_is_mixed_with_another_class_of_its_own_fold() -> None:
    classes, folds = np.array([0, 0, 1, 1, 2, 2]), np.array([1, 2, 1, 2, 1, 2])
    found = beside(classes, folds)
    assert (folds[found] == folds).all()
    assert (classes[found] != classes).all()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captions, "MEMBERS", 2)
    monkeypatch.setattr(captions, "HIDDEN", 64)


@pytest.fixture(scope="module")
def given() -> StarterData:
    draw = np.random.default_rng(0)
    features = draw.random((8, FEATURES), np.float32)
    classes, texts, words = (unit(draw.standard_normal(shape)) for shape in ((8, DIM), (8, 5, DIM), (3, DIM)))
    others = OtherPictures(features, classes)
    copies = OtherPictures(features[1::EVERY], classes[1::EVERY])
    known = CaptionWords(words, draw.random((8, 3)) < 0.5)
    return StarterData(CaptionedPhotos(features, classes, texts), known, others, others, copies)


def loss(task: recipe.CaptionTask, seed: int = 0) -> float:
    return float(task.loss(torch.arange(8), np.random.default_rng(seed)).detach())


def test_without_augmentation_and_attack_the_starter_trains_unchanged(given: StarterData) -> None:
    plain, same = recipe.CaptionTask(given, 0), HardenedTask(given, 0, None, NO_ATTACK)
    for task in (plain, same):
        task.module.eval()
    assert loss(same) == pytest.approx(loss(plain), abs=1e-3)


def test_a_robust_training_ends_with_the_starter_s_weights_and_is_stored(given: StarterData, tmp_path: Path) -> None:
    apart = replace(given.cutouts, features=given.cutouts.features * np.linspace(0, 1, FEATURES, dtype=np.float32))
    given = replace(given, cutouts=apart, imagined=apart)
    kept = tmp_path / "captions.safetensors"
    made = learned(recipe.CaptionTask(given, 0), 0, kept).state_dict()
    shipped = unpacked(recipe.trained(given, 0)).state_dict()
    assert float(made["most"]) == pytest.approx(MOST * recipe.LENGTH)
    assert float(made["photo"].abs().max()) > 0
    assert all(torch.allclose(made[name], shipped[name], atol=1e-6) for name in shipped)
    stored = kept.stat().st_mtime_ns
    learned(recipe.CaptionTask(given, 1), 1, kept)
    assert kept.stat().st_mtime_ns == stored


def test_augmentation_and_attacks_change_the_training_input(given: StarterData) -> None:
    photos = given.photos
    pictures = Pictures(photos.features[::2][::-1].copy(), photos.classes[::2][::-1].copy())
    plain = HardenedTask(given, 0, None, NO_ATTACK)
    attacked = HardenedTask(given, 0, None, Attack("fgm", 0.3))
    augmented = HardenedTask(given, 0, Copies(pictures, photos.captions[:4, 0]), NO_ATTACK)
    for task in (plain, attacked, augmented):
        task.module.eval()
    assert loss(attacked) > loss(plain) + 0.01
    # Which copies are taken is drawn; without any the losses are the same.
    assert max(abs(loss(augmented, seed) - loss(plain, seed)) for seed in range(5)) > 0.01
