"""What captions add to the classes' vector: the shipped weights, and the recipe that made them, on made-up data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mmsearch.encoders.starter import captions
from mmsearch.encoders.starter.image import CAPTIONS, LEARNED, StarterImage, scores
from mmsearch.encoders.starter.text import StarterText
from mmsearch.errors import InvalidInput
from mmsearch.training import starter
from mmsearch.training.cutouts import cutout
from mmsearch.training.loop import Epoch
from mmsearch.types import Segment, Vectors

GOLDEN = Path(__file__).parents[1] / "assets" / "starter" / "lite2.npz"


@pytest.fixture(scope="module")
def encoder() -> StarterImage:
    return StarterImage("cpu", "fp32")


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    with np.load(GOLDEN) as file:
        return np.asarray(file["elephant-and-keeper"])


def test_the_file_is_the_recorded_one_and_small() -> None:
    path = CAPTIONS.verified()
    assert path.stat().st_size <= 6_000_000


def test_the_learned_part_is_at_most_so_long() -> None:
    module = captions.load(CAPTIONS.verified())
    with torch.inference_mode():
        lengths = module(torch.rand(50, captions.FEATURES, generator=torch.Generator().manual_seed(0))).norm(dim=1)
    assert bool((lengths <= starter.KEPT * captions.MOST).all())
    assert bool((lengths > 0).all())


def test_packing_loses_next_to_nothing() -> None:
    module = captions.Captions().eval()
    features = torch.rand(20, captions.FEATURES, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(
            captions.unpacked(captions.packed(module.state_dict()))(features), module(features), atol=0.01, rtol=0
        )


def test_a_photo_s_vector(encoder: StarterImage, photo: NDArray[np.uint8]) -> None:
    vector = encoder.encode([encoder.prepare(Segment("image", photo))])[0]
    np.testing.assert_allclose(vector[:4], EXPECTED, atol=1e-3)


EXPECTED = [-0.0248, 0.1085, 0.0132, 0.0400]


def test_captions_know_what_no_class_is_named_for(encoder: StarterImage, photo: NDArray[np.uint8]) -> None:
    """ImageNet has no class for people; the keeper stands beside the elephant."""
    text = StarterText("cpu")
    asked = ["a man standing beside an elephant", "an elephant in the water with no one near"]
    words = text.encode([text.prepare(Segment("text", one)) for one in asked])
    prepared = encoder.prepare(Segment("image", photo))
    added = next(weight * vector for name, weight, vector in encoder.concepts(prepared) if name == LEARNED)
    first, second = words @ added
    assert first > second


def test_a_cut_out_stays_with_its_classes(encoder: StarterImage, photo: NDArray[np.uint8]) -> None:
    prepared = encoder.prepare(Segment("image", photo))
    cut = [cutout(np.asarray(prepared), np.random.default_rng(seed)) for seed in range(6)]
    seen = encoder.seen(encoder._loaded(), [prepared, *cut])
    with torch.inference_mode():
        lengths = captions.load(CAPTIONS.verified())(seen.features).norm(dim=1)
    assert float(lengths[0]) > 1
    assert float(lengths[1:].max()) < 0.1


def test_photos_are_told_from_others() -> None:
    draw = np.random.default_rng(0)
    photos, others = draw.random((300, 1280), np.float32), draw.random((40, 1280), np.float32)
    others[:, :640] *= 0.5
    weights, bias = starter.told_apart(photos, others)
    unseen = draw.random((20, 1280), np.float32)
    unlike = draw.random((20, 1280), np.float32) * np.repeat([0.5, 1], 640).astype(np.float32)
    with torch.inference_mode():
        real, made_up = (captions.normal(torch.from_numpy(rows)) @ weights + bias for rows in (unseen, unlike))
    assert float(real.min()) > 0 > float(made_up.max())


def made(count: int, seed: int = 0) -> tuple[starter.Photos, starter.Others]:
    """Photos whose captions follow from their features, and others; ConSE vectors that say nothing."""
    rng = np.random.default_rng(seed)
    features = rng.random((count, captions.FEATURES), np.float32)
    shown = (features - 0.5) @ np.random.default_rng(99).normal(size=(captions.FEATURES, captions.DIM))
    texts = shown[:, None] + rng.normal(size=(count, 5, captions.DIM))
    classes = rng.normal(size=(count, captions.DIM))
    others = rng.random((60, captions.FEATURES), np.float32) * np.r_[np.ones(640), np.zeros(640)].astype(np.float32)
    return starter.Photos(features, unit(classes), unit(texts)), starter.Others(others, unit(classes[:60]))


def unit(rows: NDArray[np.float64]) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "RECIPE", replace(starter.RECIPE, epochs=3, batch=64))


@pytest.mark.usefixtures("short")
def test_it_learns_and_from_shuffled_captions_it_does_not() -> None:
    given, others = made(400)
    unseen = made(100, 1)[0]
    learned = starter.recalls(captions.unpacked(starter.trained(given, others, 0)), unseen)
    assert learned["words-image R@10"] > 40
    assert learned["image-words R@10"] > 40
    mixed = starter.recalls(captions.unpacked(starter.trained(starter.shuffled(given, 0), others, 0)), unseen)
    assert mixed["words-image R@10"] < 20, "chance is 10 %"


@pytest.mark.usefixtures("short")
def test_killed_and_resumed_it_gives_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, others = made(100)
    whole = starter.trained(given, others, 3)
    told, kept = starter._told, tmp_path / "checkpoint"

    def killed(epoch: Epoch) -> None:
        told(epoch)
        if epoch.number == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(starter, "_told", killed)
        with pytest.raises(KeyboardInterrupt):
            starter.trained(given, others, 3, kept)
    resumed = starter.trained(given, others, 3, kept)
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, atol=1e-6, rtol=0)
    other = starter.trained(given, others, 4)
    assert not torch.equal(other["out"], whole["out"])


@pytest.mark.usefixtures("short")
def test_other_pictures_keep_their_place() -> None:
    given, others = made(200)
    learned = captions.unpacked(starter.trained(given, others, 0))
    with torch.inference_mode():
        classes = torch.from_numpy(others.classes)
        vectors = captions.joined(classes, learned(torch.from_numpy(others.features)))
        assert float((vectors * classes).sum(1).mean()) > 0.9


def test_only_the_photos_of_a_split_are_read(tmp_path: Path) -> None:
    rows = [
        f"{split}\t{name}\t{name} {n}"
        for split, name in (("train", "b"), ("dev", "c"), ("train", "a"))
        for n in range(5)
    ]
    (tmp_path / "captions.tsv").write_text(
        "\n".join(["split\tfilename\tcaption", *rows, "train\td\tonly one"]), "utf-8"
    )
    assert list(starter.read(tmp_path, "train")) == ["a", "b"]
    assert starter.read(tmp_path, "dev") == {"c": [f"c {n}" for n in range(5)]}
    with pytest.raises(InvalidInput, match="split test"):
        starter.read(tmp_path, "test")
    with pytest.raises(InvalidInput, match=r"captions\.tsv"):
        starter.read(tmp_path / "nowhere", "train")


def test_a_cut_out_stands_on_white() -> None:
    black = np.zeros((260, 260, 3), np.uint8)
    made = [cutout(black, np.random.default_rng(seed)) for seed in range(20)]
    for one in made:
        assert (one[0] == 255).all()
        assert (one[:, 0] == 255).all()
        assert (one[130, 130] == 0).all()
    again = cutout(black, np.random.default_rng(0))
    np.testing.assert_array_equal(made[0], again)


def test_the_parts_of_a_picture_are_scores_of_classes(encoder: StarterImage, photo: NDArray[np.uint8]) -> None:
    found = scores(encoder.seen(encoder._loaded(), [encoder.prepare(Segment("image", photo))]))
    assert found.shape == (1, 1000)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
