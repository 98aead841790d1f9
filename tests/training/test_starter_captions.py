"""What captions add to the classes' vector: the shipped weights, and the recipe that made them, on made-up data."""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mmsearch.encoders.starter import captions
from mmsearch.encoders.starter.conse import combine, concepts
from mmsearch.encoders.starter.image import CAPTIONS, LEARNED, TOP, StarterImage, scores
from mmsearch.encoders.starter.text import StarterText
from mmsearch.errors import InvalidInput
from mmsearch.training.loop import EpochReport, fit_task
from mmsearch.training.starter import recipe, starter_data
from mmsearch.training.starter.cutouts import cutout
from mmsearch.training.starter.imagined import imagined
from mmsearch.training.starter.starter_data import EVERY, CaptionedPhotos, CaptionWords, OtherPictures, StarterData
from mmsearch.types import Segment, Vectors

pytestmark = [pytest.mark.slow, pytest.mark.extras]

GOLDEN = Path(__file__).parents[1] / "assets" / "starter" / "lite2.npz"


@pytest.fixture(scope="module")
def encoder() -> StarterImage:
    return StarterImage("cpu", "fp32")


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    with np.load(GOLDEN) as file:
        return np.asarray(file["elephant-and-keeper"])


def test_the_packaged_caption_weights_are_the_recorded_ones_and_small() -> None:
    path = CAPTIONS.verified()
    assert path.stat().st_size <= 6_000_000


def test_the_learned_vector_has_at_most_its_set_length() -> None:
    module = captions.load_captions(CAPTIONS.verified())
    with torch.inference_mode():
        lengths = module(torch.rand(50, captions.FEATURES, generator=torch.Generator().manual_seed(0))).norm(dim=1)
    assert bool((lengths <= recipe.LENGTH * captions.MOST + recipe.COMMON).all())
    assert bool((lengths > 0).all())


def test_packing_weights_changes_vectors_only_by_rounding() -> None:
    module = captions.Captions().eval()
    features = torch.rand(20, captions.FEATURES, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        again, wanted = captions.unpacked(captions.packed(module.state_dict()))(features), module(features)
    assert float(torch.cosine_similarity(again, wanted).min()) > 0.98


def test_four_bit_packing_restores_fifteen_levels_exactly() -> None:
    state = captions.Captions().state_dict()
    steps = torch.arange(captions.FEATURES, dtype=torch.float32) % 15 - 7
    state["gate.weight"] = steps * torch.arange(1.0, captions.MEMBERS + 1)[:, None]
    packed = captions.packed(state)
    assert packed["gate.weight"].dtype == torch.uint8
    assert packed["gate.weight"].shape == (captions.MEMBERS, captions.FEATURES // 2)
    assert torch.equal(captions.unpacked(packed).gate.weight, state["gate.weight"])


def test_a_photo_has_its_recorded_vector(encoder: StarterImage, photo: NDArray[np.uint8]) -> None:
    vector = encoder.encode([encoder.prepare(Segment("image", photo))])[0]
    np.testing.assert_allclose(vector[:4], EXPECTED, atol=1e-3)


EXPECTED = [-0.0646, 0.1451, -0.0051, 0.0651]


def test_the_caption_vector_distinguishes_people_that_no_class_names(
    encoder: StarterImage, photo: NDArray[np.uint8]
) -> None:
    """ImageNet has no class for people; the keeper stands beside the elephant."""
    text = StarterText("cpu")
    asked = ["a man standing beside an elephant", "an elephant in the water with no one near"]
    words = text.encode([text.prepare(Segment("text", one)) for one in asked])
    prepared = encoder.prepare(Segment("image", photo))
    added = next(weight * vector for name, weight, vector in encoder.concepts(prepared) if name == LEARNED)
    first, second = words @ added
    assert first > second


def test_a_cutout_gets_only_its_class_vector(encoder: StarterImage, photo: NDArray[np.uint8]) -> None:
    prepared = encoder.prepare(Segment("image", photo))
    cut = [cutout(np.asarray(prepared), np.random.default_rng(seed)) for seed in range(6)]
    seen = encoder.seen(encoder._loaded(), [prepared, *cut])
    with torch.inference_mode():
        lengths = captions.load_captions(CAPTIONS.verified())(seen.features).norm(dim=1)
    assert float(lengths[0]) > 0.3
    assert float(lengths[1:].max()) < 0.01


def test_photos_are_distinguished_from_other_pictures() -> None:
    draw = np.random.default_rng(0)
    dim = np.repeat(np.array([0.5, 1], np.float32), (320, 960))

    def some(count: int, shape: NDArray[np.float32] | float = 1.0) -> NDArray[np.float32]:
        return np.asarray(draw.random((count, 1280), np.float32) * shape, np.float32)

    cut, seen = (OtherPictures(some(40, one), made(1).photos.classes) for one in (dim, dim[::-1]))
    weights, bias = recipe.photo_gate((some(300), some(60)), cut, seen)
    unseen = some(20), some(20, dim), some(20, dim[::-1])
    with torch.inference_mode():
        odds = [captions.normal(torch.from_numpy(rows)) @ weights + bias for rows in unseen]
    assert float(odds[0].min()) > max(float(odds[1].max()), float(odds[2].max()))
    # Cut-outs count for more than imagined pictures.
    assert float(odds[1].mean()) < float(odds[2].mean()) < 0 < float(odds[0].mean())


def made(count: int, seed: int = 0) -> StarterData:
    """Photos whose captions follow from their features, and others; ConSE vectors that say nothing.

    Half of the photos are one word's, half another's; no caption is near to either.
    """
    rng = np.random.default_rng(seed)
    features = rng.random((count, captions.FEATURES), np.float32)
    said = rng.permutation(count)[:, None] % 2 == [0, 1]
    features[:, :100] += np.float32(0.3) * said[:, :1]
    drawn = np.random.default_rng(99)
    ways, words = (drawn.normal(size=(rows, captions.DIM)) for rows in (captions.FEATURES, 2))
    texts = ((features - 0.5) @ ways)[:, None] + rng.normal(size=(count, 5, captions.DIM))
    classes = unit(rng.normal(size=(count, captions.DIM)))
    half = np.r_[np.ones(640), np.zeros(640)].astype(np.float32)
    cutouts, imagined = (
        OtherPictures(rng.random((60, captions.FEATURES), np.float32) * kind, classes[np.arange(60) % count])
        for kind in (half, half[::-1])
    )
    return StarterData(
        CaptionedPhotos(features, classes, unit(texts)),
        CaptionWords(unit(words), said),
        cutouts,
        imagined,
        OtherPictures(features[1::EVERY], classes[1::EVERY]),
    )


def unit(rows: NDArray[np.float64]) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "RECIPE", replace(recipe.RECIPE, epochs=5, batch=64))
    monkeypatch.setattr(captions, "MEMBERS", 2)
    monkeypatch.setattr(captions, "HIDDEN", 400)


@pytest.mark.usefixtures("short")
def test_caption_training_learns_and_shuffled_captions_give_chance() -> None:
    given, unseen = made(400), made(100, 1).photos
    learned = recipe.recalls(captions.unpacked(recipe.trained(given, 0)), unseen)
    assert learned["words-image R@10"] > 35
    assert learned["image-words R@10"] > 35
    mixed = recipe.recalls(captions.unpacked(recipe.trained(starter_data.shuffled(given, 0), 0)), unseen)
    assert mixed["words-image R@10"] < 20, "chance is 10 %"


@pytest.mark.usefixtures("short")
def test_negative_captions_are_of_photos_outside_the_batch() -> None:
    given = made(12)
    task, rows = recipe.CaptionTask(given, 0), torch.tensor([3, 5, 9])
    wrong = task._wrong(rows, np.random.default_rng(0))
    owners = (wrong @ task.captions.flatten(0, 1).T).argmax(1) // 5
    counts = torch.bincount(owners, minlength=12)
    assert counts[rows].tolist() == [0, 0, 0]
    assert int((counts > 0).sum()) == 9
    assert len(wrong) == pytest.approx(recipe.WRONG * 9 / 12, rel=0.1)


@pytest.mark.usefixtures("short")
def test_the_common_caption_direction_is_added_by_the_photo_score() -> None:
    given = made(60)
    task = recipe.CaptionTask(given, 0)
    module, features = captions.unpacked(recipe.shipped_weights(task)), torch.from_numpy(given.photos.features)
    mean = given.words.vectors.mean(0)
    np.testing.assert_allclose(module.common, recipe.COMMON * mean / np.linalg.norm(mean), atol=1e-6)
    with torch.inference_mode():
        share = torch.sigmoid(captions.normal(features) @ module.photo - module.least)[:, None]
        wanted = share * (module.members(features).mean(1) + module.common)
        torch.testing.assert_close(module(features), wanted)


def test_the_learned_vector_lowers_no_word_score_by_much(encoder: StarterImage, photo: NDArray[np.uint8]) -> None:
    """0.97 of how near its classes are to the mean of single words; 0.83 where that mean isn't added."""
    prepared = encoder.prepare(Segment("image", photo))
    seen = encoder.seen(encoder._loaded(), [prepared])
    words = captions.load_captions(CAPTIONS.verified()).common.numpy()
    classes = combine(scores(seen), concepts("imagenet"), TOP)[0]
    assert encoder.encode([prepared])[0] @ words > 0.93 * (classes @ words) > 0


@pytest.mark.usefixtures("short")
def test_negative_captions_change_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    task = recipe.CaptionTask(made(60), 0)
    task.module.eval()
    found = []
    for wrong in (0, 200):
        monkeypatch.setattr(recipe, "WRONG", wrong)
        # No words, whose draws would differ.
        task.mentions = np.zeros_like(task.mentions)
        rows = torch.arange(20)
        features, classes = (array[rows] for array in task.photos)
        loss = task.caption_loss(features, classes, task.captions[rows, 0], rows, np.random.default_rng(0))
        found.append(float(loss.detach()))
    assert found[1] > found[0] + 0.3


@pytest.mark.usefixtures("short")
def test_a_killed_caption_training_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = made(100)
    whole = recipe.trained(given, 3)
    told, kept = recipe._log_epoch, tmp_path / "checkpoint"

    def killed(epoch: EpochReport) -> None:
        told(epoch)
        if epoch.number == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "_log_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            recipe.trained(given, 3, kept)
    resumed = recipe.trained(given, 3, kept)
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, atol=1e-6, rtol=0)
    other = recipe.trained(given, 4)
    assert not torch.equal(other["out"], whole["out"])


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("kind", "weight"), [("cutouts", "STAY"), ("imagined", "IMAGINED")])
def test_pictures_that_are_no_photos_keep_their_vectors(
    kind: str, weight: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = made(200)
    others: OtherPictures = getattr(given, kind)
    moved = []
    for value in (0.0, 8.0):
        monkeypatch.setattr(recipe, weight, value)
        task = recipe.CaptionTask(given, 0)
        fit_task(task, recipe.RECIPE)
        with torch.inference_mode():
            classes = torch.from_numpy(others.classes)
            vectors = captions.joined(classes, task.module.members(torch.from_numpy(others.features)).mean(1))
            moved.append(1 - float((vectors * classes).sum(1).mean()))
    assert moved[1] < moved[0] / 2


def test_only_the_photos_of_a_split_are_read(tmp_path: Path) -> None:
    rows = [
        f"{split}\t{name}\t{name} {n}"
        for split, name in (("train", "b"), ("dev", "c"), ("train", "a"))
        for n in range(5)
    ]
    (tmp_path / "captions.tsv").write_text(
        "\n".join(["split\tfilename\tcaption", *rows, "train\td\tonly one"]), "utf-8"
    )
    assert list(starter_data.read_captions(tmp_path, "train")) == ["a", "b"]
    assert starter_data.read_captions(tmp_path, "dev") == {"c": [f"c {n}" for n in range(5)]}
    with pytest.raises(InvalidInput, match="split test"):
        starter_data.read_captions(tmp_path, "test")
    with pytest.raises(InvalidInput, match=r"captions\.tsv"):
        starter_data.read_captions(tmp_path / "nowhere", "train")


@pytest.mark.usefixtures("short")
def test_single_words_are_learned_too(monkeypatch: pytest.MonkeyPatch) -> None:
    given, unseen = made(300), made(100, 1)
    found = []
    for weight in (0.0, recipe.WORDS):
        monkeypatch.setattr(recipe, "WORDS", weight)
        module = captions.unpacked(recipe.trained(given, 0))
        with torch.inference_mode():
            added = module(torch.from_numpy(unseen.photos.features)).numpy()
        grid = added @ given.words.vectors.T
        found.append(float((grid[:, 0] > grid[:, 1])[unseen.words.mentions[:, 0]].mean()))
    assert found[1] > found[0] + 0.1


def test_trained_words_are_those_that_distinguish_photos() -> None:
    known = starter_data.caption_words(
        {str(number): [caption] for number, caption in enumerate(["a dog near snow"] * 3 + ["the sea"] * 4)}
    )
    text = StarterText("cpu", "fp32")
    expected = text.encode([text.prepare(Segment("text", one)) for one in ("dog", "snow")], query=True)
    np.testing.assert_allclose(known.vectors, expected, atol=1e-6)
    assert known.mentions.tolist() == [[True, True]] * 3 + [[False, False]] * 4


def test_imagined_features_show_a_random_class_by_its_margin() -> None:
    draw = np.random.default_rng(0)
    classifier = torch.nn.Linear(1280, 50)
    torch.nn.init.normal_(classifier.weight, 0, 0.1, generator=torch.Generator().manual_seed(0))
    features = draw.random((40, 1280), np.float32)
    made = imagined(features, classifier, np.random.default_rng(3))
    again = np.random.default_rng(3)
    classes, margins = again.integers(0, 50, 40), again.uniform(1, 4, 40)
    with torch.inference_mode():
        logits = classifier(torch.from_numpy(made)).numpy()
    own = logits[np.arange(40), classes]
    logits[np.arange(40), classes] = -np.inf
    assert (own - logits.max(1) >= margins - 1e-4).all()
    assert (made >= 0).all()
    moved = np.linalg.norm(made - features, axis=1)
    assert (moved < np.linalg.norm(features, axis=1)).all(), "it is still that photo"
    np.testing.assert_array_equal(made, imagined(features, classifier, np.random.default_rng(3)))


def test_composed_pictures_have_the_classes_they_show() -> None:
    """Where a class is seen clearly, its own vector is the nearest of all."""
    features = np.random.default_rng(0).random((20, 1280), np.float32)
    made = starter_data.with_objects(features)
    assert made.features.shape == (20 * starter_data.ROUNDS, 1280)
    np.testing.assert_allclose(np.linalg.norm(made.classes, axis=1), 1, atol=1e-5)
    drawn = [np.random.default_rng(turn).integers(0, 1000, 20) for turn in range(starter_data.ROUNDS)]
    near = (made.classes @ concepts("imagenet").T).argsort(axis=1)[:, -10:]
    assert np.mean([wanted in some for wanted, some in zip(np.concatenate(drawn), near, strict=True)]) > 0.5


def test_a_cut_out_stands_on_white() -> None:
    black = np.zeros((260, 260, 3), np.uint8)
    made = [cutout(black, np.random.default_rng(seed)) for seed in range(20)]
    for one in made:
        assert (one[0] == 255).all()
        assert (one[:, 0] == 255).all()
        assert (one[130, 130] == 0).all()
    again = cutout(black, np.random.default_rng(0))
    np.testing.assert_array_equal(made[0], again)


def test_the_class_scores_of_a_picture_sum_to_one(encoder: StarterImage, photo: NDArray[np.uint8]) -> None:
    found = scores(encoder.seen(encoder._loaded(), [encoder.prepare(Segment("image", photo))]))
    assert found.shape == (1, 1000)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


def test_the_recipe_is_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["starter", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("mmsearch.training.starter", run_name="__main__")
    assert "usage: python -m mmsearch.training.starter [-h] --data DATA --out OUT" in capsys.readouterr().out
