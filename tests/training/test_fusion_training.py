"""Fusions: exact where nothing is learned, and what each learns where only learning helps."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsearch.encoders.fusion import (
    STRATEGIES,
    FusionFacts,
    FusionItems,
    dump_fusion,
    fused_vectors,
    fusion_items,
    restore_fusion,
)
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.training.attack import Attack, attacked
from mmsearch.training.fusion_task import FusionQueries, FusionShape, FusionTask, hidden, ranks
from mmsearch.training.loop import EpochReport, fit_task
from mmsearch.training.serving.recipe import Recipe
from mmsearch.types import Vectors

pytestmark = pytest.mark.slow

KINDS = ("image", "audio")
LEARNED = [name for name in STRATEGIES if name not in ("sum", "mean")]
RECIPE = Recipe(epochs=6, batch=32, lr=3e-3, patience=6)


def random(count: int, dim: int = 8, seed: int = 0) -> Vectors:
    rows: Vectors = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def task(strategy: str, *, turned: bool = False, shuffle: bool = False, **chosen: object) -> FusionTask:
    """The picture says what is asked for, or what that is with its axes turned by one; the sound is noise."""
    count = 160
    pictures, sounds = random(count), random(count, seed=1)
    found = fusion_items([{"image": p[None], "audio": s[None]} for p, s in zip(pictures, sounds, strict=True)], KINDS)
    queries = np.ascontiguousarray(np.roll(pictures, 1, axis=1)) if turned else pictures
    queries = np.random.default_rng(2).permutation(queries) if shuffle else queries
    asked = FusionQueries(queries, np.arange(count), np.arange(count))
    rows = np.arange(count)
    shape = FusionShape(strategy, **chosen)  # type: ignore[arg-type]
    return FusionTask(shape, found, asked.only(rows < 120), asked.only(rows >= 120), "infonce", 0)


def test_the_sum_fusion_weighs_segments_and_the_mean_fusion_modalities() -> None:
    x, y = np.eye(8, dtype=np.float32)[:2]
    found = fusion_items([{"image": x[None], "audio": np.stack([y, y, y])}], KINDS)
    made = {
        name: fused_vectors(FusionTask(FusionShape(name), found, _one(x), _one(x), "infonce", 0).fusion, found)[0]
        for name in STRATEGIES
    }
    assert made["sum"][:2].tolist() == pytest.approx([1 / math.sqrt(10), 3 / math.sqrt(10)])
    for name in ("mean", *LEARNED):  # untrained, they are the mean
        assert made[name][:2].tolist() == pytest.approx([math.sqrt(0.5)] * 2, abs=1e-6), name


def _one(query: Vectors) -> FusionQueries:
    return FusionQueries(query[None], np.zeros(1, np.int64), np.zeros(1, np.int64))


@pytest.mark.parametrize("name", STRATEGIES)
def test_padding_for_missing_modalities_does_not_change_a_fused_vector(name: str) -> None:
    torch.manual_seed(0)
    fusion = STRATEGIES[name](8, 2)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    a, b = random(2)
    alone, padded = (
        fusion_items([{"image": a[None]}], KINDS),
        fusion_items([{"image": a[None]}, {"image": random(3, seed=5)}], KINDS),
    )
    both = fusion_items([{"image": a[None], "audio": b[None]}], KINDS)
    expected = fused_vectors(fusion, alone)[0]
    assert np.linalg.norm(expected) == pytest.approx(1, abs=1e-5)
    assert fused_vectors(fusion, padded)[0] == pytest.approx(expected, abs=1e-5)
    assert fused_vectors(fusion, both.without("audio"))[0] == pytest.approx(expected, abs=1e-5)
    assert not fused_vectors(fusion, alone.without("image")).any()


@pytest.mark.parametrize("name", LEARNED)
def test_training_raises_recall_if_there_is_something_to_learn(name: str) -> None:
    made = task(name)
    fitted = fit_task(made, RECIPE)
    assert fitted.best > 0 and fitted.measures["recall"] > fitted.history[0].measures["recall"] + 0.02
    if name == "weights":
        assert made.fusion.weights[0] > made.fusion.weights[1]  # type: ignore[index]


def test_shuffled_pairs_train_to_chance() -> None:
    longer = Recipe(epochs=30, batch=32, lr=1e-2, patience=30)
    made, shuffled = task("concat", turned=True), task("concat", turned=True, shuffle=True)
    fit_task(made, longer)
    fit_task(shuffled, longer)
    right = made.validate()["recall@1"]
    made.fusion = shuffled.fusion
    assert right > 0.4 and made.validate()["recall@1"] < 0.15  # chance: 1 of 40


@pytest.mark.parametrize("name", ["none", "fgm", "pgd"])
def test_a_killed_training_resumes_to_the_same_weights(tmp_path: Path, name: str) -> None:
    def kill(epoch: EpochReport) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    attack = Attack(name)
    whole, first, rest = (task("transformer", attack=attack) for _ in range(3))
    fit_task(whole, RECIPE)
    with pytest.raises(KeyboardInterrupt):
        fit_task(first, RECIPE, keep=tmp_path / "checkpoint.pt", on_epoch=kill)
    fit_task(rest, RECIPE, keep=tmp_path / "checkpoint.pt")
    expected, found = whole.fusion.state_dict(), rest.fusion.state_dict()
    assert all(torch.allclose(found[one], expected[one], atol=1e-6) for one in expected)


@pytest.mark.parametrize("name", ["fgm", "pgd"])
def test_an_attack_lowers_the_score_and_stays_inside_its_radius(name: str) -> None:
    vectors = torch.tensor([[1.0, 0.0, 0.0]])
    away = torch.tensor([0.0, 1.0, 0.0])
    found = attacked(
        lambda rows: (rows @ away).sum(), vectors, Attack(name, radius=0.5, steps=8), np.random.default_rng(0)
    )
    expected = torch.tensor([[1.0, 0.5, 0.0]]) / math.sqrt(1.25)
    assert torch.allclose(found, expected, atol=1e-3 if name == "fgm" else 0.15)
    assert (found @ away).item() > 0.3


def test_hiding_modalities_leaves_each_item_one() -> None:
    kinds = torch.tensor([[0, 1, 1], [0, -1, -1], [1, 0, -1]])
    found = hidden(kinds, 2, 1.0, np.random.default_rng(0))
    assert found[1].tolist() == [0, -1, -1]
    assert all(len(set(row) - {-1}) == 1 for row in found.tolist())
    assert (hidden(kinds, 2, 0.0, np.random.default_rng(0)) == kinds).all()


def test_ties_count_against_the_relevant_item() -> None:
    candidates = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert ranks(np.array([[1, 0], [0, 1]], np.float32), candidates, np.array([0, 2])).tolist() == [2, 1]
    related = np.array([[True, True, False], [False, False, True]])
    assert ranks(np.array([[1, 0], [0, 1]], np.float32), candidates, np.array([0, 2]), related).tolist() == [1, 1]


def test_items_without_vectors_or_with_nan_are_refused() -> None:
    with pytest.raises(InvalidInput, match="without vectors"):
        fusion_items([{"image": np.zeros((0, 8), np.float32)}], KINDS)
    with pytest.raises(InvalidInput, match="NaN"):
        fusion_items([{"image": np.full((1, 8), np.nan, np.float32)}], KINDS)


def test_an_unknown_strategy_or_attack_is_refused() -> None:
    with pytest.raises(InvalidInput, match="magic"):
        FusionShape("magic")
    with pytest.raises(InvalidInput, match="cw"):
        Attack("cw")
    assert isinstance(task("mean").items, FusionItems)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_fusion_is_stored_and_restored_bit_for_bit(name: str) -> None:
    found = fusion_items([{"image": random(1), "audio": random(2, seed=1)}], KINDS)
    torch.manual_seed(0)
    fusion = STRATEGIES[name](8, 2)
    facts = FusionFacts(name, 8, KINDS, "tiny", "f" * 64)
    again, said = restore_fusion(dump_fusion(fusion, facts))
    assert said == facts and dump_fusion(again, facts) == dump_fusion(fusion, facts)
    assert (fused_vectors(again, found) == fused_vectors(fusion, found)).all()
    with pytest.raises(WeightsError):
        restore_fusion(dump_fusion(fusion, facts)[:-20] if name in LEARNED else b"nonsense")
