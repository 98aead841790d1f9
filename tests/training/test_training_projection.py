"""Projections: the identity until trained, a rotation learned from pairs, chance learned from shuffled ones."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mmsearch.encoders import projected
from mmsearch.encoders.projection import Projection, dump_projection, projection_facts, restore_projection
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.training.examples import PairExamples, _foreign
from mmsearch.training.loop import fit_task
from mmsearch.training.projection import ProjectionShape, ProjectionTask
from mmsearch.training.serving.recipe import Recipe
from tests import tiny

DIM, ITEMS = 16, 240
SHAPE = ProjectionShape(("image",), hidden=64, dropout=0.0, keep=0.0)
RECIPE = Recipe(epochs=60, batch=64, lr=3e-3, patience=60)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def rotated(answers: NDArray[np.int64]) -> PairExamples:
    """Words find the item that their vector is the rotation of; the last 80 pairs validate."""
    draw = np.random.default_rng(0)
    items = unit(draw.normal(size=(ITEMS, DIM)))
    rotation = np.linalg.qr(draw.normal(size=(DIM, DIM)))[0]
    every = np.arange(ITEMS)
    return PairExamples(
        queries=unit(items @ rotation), query_kinds=np.zeros(ITEMS, np.int64),
        segments=items, segment_kinds=np.ones(ITEMS, np.int64), owners=every,
        pairs=np.stack([every, answers], axis=1), groups=every, held=every >= ITEMS - 80,
    )  # fmt: skip


def trained(examples: PairExamples) -> ProjectionTask:
    task = ProjectionTask(SHAPE, examples, {}, "infonce", 0, torch.device("cpu"))
    fit_task(task, RECIPE)
    return task


@pytest.mark.slow
def test_a_projection_learns_the_rotation_common_to_all_pairs() -> None:
    task = trained(rotated(np.arange(ITEMS)))
    untrained = ProjectionTask(SHAPE, task.examples, {}, "infonce", 0, torch.device("cpu"))
    assert untrained.validate()["recall@10"] < 0.15 < 0.6 < task.validate()["recall@10"]


@pytest.mark.parametrize("loss", ["mse", "cross-entropy"])
def test_a_projection_learns_by_every_loss_and_tells_that_of_validation(loss: str) -> None:
    examples, test = rotated(np.arange(ITEMS)).without_test(0.2, 0)
    trained_on = set(map(tuple, examples.pairs.tolist()))
    assert len(test) + len(trained_on) == ITEMS and not trained_on & set(map(tuple, test.tolist()))
    assert examples.held.sum() == 80, "those that validate stay"
    task = ProjectionTask(replace(SHAPE, augment=0.1), examples, {}, loss, 0, torch.device("cpu"))
    before = task.test(test)
    history = fit_task(task, replace(RECIPE, epochs=8)).history
    assert history[-1].validation_loss < history[0].validation_loss
    assert list(before) == ["recall", "recall@1", "recall@5", "recall@10"]
    assert task.test(test)["recall@10"] > before["recall@10"]
    assert task.test(np.empty((0, 2), np.int64)) == {}


@pytest.mark.slow
def test_shuffled_pairs_train_to_chance() -> None:
    shuffled = np.random.default_rng(1).permutation(ITEMS)
    task = trained(rotated(shuffled))
    true = rotated(np.arange(ITEMS))
    task.examples = PairExamples(**{**true.arrays(), "pairs": true.pairs})
    # Chance is 10 of 240, 0.04; 80 queries have a standard error of 0.02.
    assert task.validate()["recall@10"] < 0.12


@pytest.mark.parametrize("adversarial", ["fgm", "pgd"])
@pytest.mark.slow
def test_an_attack_raises_the_training_loss(adversarial: str) -> None:
    found = rotated(np.arange(ITEMS))
    losses = []
    for shape in (SHAPE, replace(SHAPE, adversarial=adversarial, radius=0.2), replace(SHAPE, adversarial=adversarial)):
        task = ProjectionTask(shape, found, {}, "infonce", 0, torch.device("cpu"))
        loss = task.loss(torch.arange(40), np.random.default_rng(0))
        loss.backward()  # type: ignore[no-untyped-call]
        assert all(torch.isfinite(one.grad).all() for one in task.projection.parameters() if one.grad is not None)
        losses.append(float(loss.detach()))
    assert losses[0] + 0.1 < losses[1] < losses[2] - 0.1


def test_an_unknown_attack_is_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown attack 'bim'"):
        ProjectionShape(("image",), adversarial="bim")


@pytest.mark.slow
def test_the_keep_term_holds_other_vectors_in_place() -> None:
    examples = rotated(np.arange(ITEMS))
    others = unit(np.random.default_rng(2).normal(size=(500, DIM)))
    moved = []
    for keep in (0.0, 20.0):
        shape = ProjectionShape(("image",), hidden=64, dropout=0.0, keep=keep)
        task = ProjectionTask(shape, examples, {"image": others}, "infonce", 0, torch.device("cpu"))
        fit_task(task, Recipe(epochs=10, batch=64, lr=3e-3))
        with torch.inference_mode():
            moved.append(1 - float((task.projection(torch.from_numpy(others), "image").numpy() * others).sum(1).mean()))
    assert moved[1] < moved[0] / 2


def test_an_item_is_scored_by_its_best_segment() -> None:
    east, north = np.eye(2, dtype=np.float32)
    examples = PairExamples(
        queries=np.stack([north]), query_kinds=np.zeros(1, np.int64),
        segments=np.stack([east, north, east]), segment_kinds=np.ones(3, np.int64), owners=np.array([0, 0, 1]),
        pairs=np.array([[0, 0], [0, 1]]), groups=np.array([0, 1]), held=np.array([True, False]),
    )  # fmt: skip
    task = ProjectionTask(SHAPE, examples, {}, "infonce", 0, torch.device("cpu"))
    assert task.validate() == {"recall": 1.0, "recall@1": 1.0, "recall@5": 1.0, "recall@10": 1.0}


def test_an_untrained_projection_is_the_identity_and_is_restored_from_its_file() -> None:
    torch.manual_seed(0)
    made = Projection(DIM, 4, ("image",))
    vectors = torch.from_numpy(unit(np.random.default_rng(0).normal(size=(5, DIM))))
    assert torch.allclose(made(vectors, "image"), vectors, atol=1e-6)
    torch.nn.init.normal_(made.maps["image"].up.weight)  # type: ignore[union-attr, arg-type]
    content = dump_projection(made, {"base": "starter", "fingerprint": "0a"})
    assert content == dump_projection(made, {"base": "starter", "fingerprint": "0a"})
    assert projection_facts(content)["fingerprint"] == "0a"
    with torch.inference_mode():
        assert torch.equal(restore_projection(content)(vectors, "image"), made.eval()(vectors, "image"))
        assert torch.equal(restore_projection(content)(vectors, "audio"), vectors)


@pytest.mark.parametrize(
    "damage",
    [lambda c: c[: len(c) // 2], lambda c: b"", lambda c: b"x" * 99, lambda c: c.replace(b"tion-1", b"tion-9")],
)
def test_a_damaged_projection_file_is_refused(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(WeightsError):
        restore_projection(damage(dump_projection(Projection(DIM, 4, ("image",)), {})))


def test_a_projected_space_s_fingerprint_covers_base_and_projection() -> None:
    contents = [dump_projection(Projection(tiny.DIM, hidden, ("image",)), {}) for hidden in (4, 5)]
    spaces = [projected.projected_space(tiny.space(), "tiny+x", projected.Projector(content)) for content in contents]
    prints = {space.fingerprint for space in (*spaces, tiny.space(), tiny.other_weights())}
    assert len(prints) == 4
    assert spaces[0].encoders["text"].spec == tiny.space().encoders["text"].spec


def test_a_projection_for_a_modality_the_space_lacks_is_refused() -> None:
    content = dump_projection(Projection(tiny.DIM, 4, ("smell",)), {})
    with pytest.raises(WeightsError, match="smell"):
        projected.projected_space(tiny.space(), "tiny+x", projected.Projector(content))


@pytest.mark.parametrize(("text", "foreign"), [("a dog", False), ("собака", True), ("犬 dog", False), ("12!", False)])
def test_a_text_in_another_script_than_latin_is_recognised(text: str, foreign: bool) -> None:
    assert _foreign(text) is foreign
