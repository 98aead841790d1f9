"""Heads: worked out by hand where they can be, and what they learn of clusters and of noise."""

import math

import numpy as np
import pytest
import torch

from mmsearch.encoders.head import SCALE, Head, HeadFacts, Linear, centres, dump_head, restore_head
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.training import head_task
from mmsearch.training.head_task import HeadShape, LabelledVectors, between, confusion, macro_f1, temperature

AXES = np.eye(4, dtype=np.float32)


def clusters(each: int, classes: int = 3, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    named = np.repeat(np.arange(classes), each)
    rows = np.eye(8, dtype=np.float32)[named] + noise * draw.standard_normal((len(named), 8)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), named


def by_hand(least: float = -1.0, heat: float = 1.0) -> Head:
    """Two classes on the axes 0 and 1, whose logits are 2 and 0 on its own axis."""
    module = Linear(4, 2, 1, 0.0)
    with torch.no_grad():
        module.out.weight.copy_(torch.from_numpy(2 / SCALE * AXES[:2]))
    facts = HeadFacts("linear", 4, 1, ("cat", "dog in the rain"), "tiny", "f" * 64, heat, least)
    return Head(facts, module.eval(), AXES[:2])


def test_a_head_s_classes_confidence_and_nearness_equal_values_worked_out_by_hand() -> None:
    said = by_hand(least=0.5).judge(AXES[[1, 2]])
    assert said.best.tolist() == [1, 0] and said.second.tolist() == [0, 1]
    assert said.sure.tolist() == pytest.approx([math.exp(2) / (math.exp(2) + 1), 0.5])
    assert said.nearness.tolist() == [1, 0] and said.fits.tolist() == [True, False]
    assert by_hand(heat=2).judge(AXES[[1]]).sure[0] == pytest.approx(math.e / (math.e + 1))


def test_a_head_is_stored_and_restored_bit_for_bit() -> None:
    head = by_hand(0.25, 1.5)
    again = restore_head(dump_head(head))
    assert again.facts == head.facts and dump_head(again) == dump_head(head)
    assert (again.logits(AXES) == head.logits(AXES)).all()


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-40], lambda b: b.replace(b"-head-1", b"-head-9")])
def test_a_damaged_head_is_refused(damage: object) -> None:
    with pytest.raises(WeightsError):
        restore_head(damage(dump_head(by_hand())))  # type: ignore[operator]


def test_a_class_centre_is_its_unit_mean_and_zero_without_examples() -> None:
    found = centres(AXES[[0, 0, 1]], np.array([0, 0, 0]), 2)
    assert found[0].tolist() == pytest.approx([2 / math.sqrt(5), 1 / math.sqrt(5), 0, 0]) and not found[1].any()


def test_a_temperature_calibrates_overconfident_logits() -> None:
    # Right three times of four, by a lead of 6: the best a softmax can say is 3/4, a lead of log 3.
    logits = np.tile(np.array([[6.0, 0.0]], np.float32), (4, 1))
    assert temperature(logits, np.array([0, 0, 0, 1])) == pytest.approx(6 / math.log(3), rel=0.02)


def test_the_nearness_threshold_lies_between_known_and_unknown_examples() -> None:
    known, strange = np.array([0.5, 0.8, 0.9], np.float32), np.array([0.1, 0.4, 0.6], np.float32)
    assert between(known, strange) == pytest.approx(0.5)


def test_confusion_and_macro_f1_equal_values_worked_out_by_hand() -> None:
    is_, said = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert confusion(is_, said, 3).tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert macro_f1(is_, said) == pytest.approx((2 / 3 + 4 / 5) / 2)  # F1 of class 0: P 1, R 1/2; of 1: P 2/3, R 1


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.slow
def test_a_head_learns_clusters_and_rejects_outliers(kind: str) -> None:
    vectors, named = clusters(12, noise=0.2)
    grouped = np.arange(len(named))
    held = head_task.split_classes(named, grouped, 0.25, 0)
    facts = HeadFacts(kind, 8, 16, ("a", "b", "c"), "tiny", "")
    head, fitted = head_task.train_head(HeadShape(kind, hidden=16), LabelledVectors(vectors, named, held), facts)
    assert fitted.measures["accuracy"] == 1 and fitted.best > 0
    fresh, truth = clusters(20, noise=0.2, seed=1)
    said = head.judge(fresh)
    assert np.mean(said.best == truth) > 0.9 and np.mean(said.fits) > 0.8
    assert not head.judge(np.eye(8, dtype=np.float32)[5:]).fits.any()
    again, _ = head_task.train_head(HeadShape(kind, hidden=16), LabelledVectors(vectors, named, held), facts)
    assert dump_head(again) == dump_head(head)


@pytest.mark.slow
def test_shuffled_labels_train_to_chance() -> None:
    vectors, named = clusters(40)
    shuffled = np.random.default_rng(0).permutation(named)
    facts = HeadFacts("linear", 8, 1, ("a", "b", "c"), "tiny", "")
    head, _ = head_task.train_head(
        HeadShape(),
        LabelledVectors(vectors, shuffled, head_task.split_classes(shuffled, np.arange(120), 0.25, 0)),
        facts,
    )
    fresh, truth = clusters(100, seed=1)
    assert abs(np.mean(head.judge(fresh).best == truth) - 1 / 3) < 0.2


@pytest.mark.slow
def test_examples_of_no_class_set_the_nearness_threshold() -> None:
    vectors, named = clusters(12, noise=0.1)
    stranger = np.array([[0.9, 0, 0, 0, 0, math.sqrt(1 - 0.81), 0, 0]], np.float32)
    found = LabelledVectors(np.concatenate([vectors, stranger]), np.append(named, -1), np.zeros(37, np.bool_))
    held = head_task.split_classes(found.labels, np.arange(37), 0.25, 0)
    assert held[-1]
    head, _ = head_task.train_head(
        HeadShape(),
        LabelledVectors(found.vectors, found.labels, held),
        HeadFacts("linear", 8, 1, ("a", "b", "c"), "", ""),
    )
    assert not head.judge(stranger).fits[0] and head.judge(vectors).fits.mean() > 0.9


@pytest.mark.slow
def test_one_example_of_each_class_is_enough_but_not_calibrated() -> None:
    vectors, named = clusters(1, noise=0.0)
    held = head_task.split_classes(named, np.arange(3), 0.2, 0)
    assert not held.any()
    head, _ = head_task.train_head(
        HeadShape(), LabelledVectors(vectors, named, held), HeadFacts("linear", 8, 1, ("a", "b", "c"), "", "")
    )
    assert head.judge(vectors).best.tolist() == [0, 1, 2]
    assert (head.facts.temperature, head.facts.least) == (1.0, -1.0)


def test_a_split_keeps_groups_together_and_trains_on_each_class() -> None:
    named = np.array([0] * 10 + [1] * 10 + [2] * 3)
    grouped = np.concatenate([np.repeat(np.arange(10), 2), [10, 11, 12]])  # three groups are few
    held = head_task.split_classes(named, grouped, 0.2, 4)
    assert [int(held[named == n].sum()) for n in range(3)] == [2, 2, 0]
    assert all(len(set(held[grouped == n].tolist())) == 1 for n in range(13))


def test_one_class_is_not_enough() -> None:
    found = LabelledVectors(AXES, np.zeros(4, np.int64), np.zeros(4, np.bool_))
    with pytest.raises(InvalidInput, match="at least two"):
        head_task.train_head(HeadShape(), found, HeadFacts("linear", 4, 1, ("a",), "", ""))


@pytest.mark.parametrize("wrong", [{"kind": "forest"}, {"hidden": 0}, {"dropout": 1.0}])
def test_a_senseless_head_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        HeadShape(**wrong)  # type: ignore[arg-type]
