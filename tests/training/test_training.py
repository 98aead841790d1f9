"""The foundations of training: losses worked out by hand, splits, and a loop that can be killed and go on."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmsearch.errors import InvalidInput, LibraryError
from mmsearch.training import splits
from mmsearch.training.loop import EpochReport, FitResult, fit_task
from mmsearch.training.losses import LOSSES, CrossEntropy, InfoNCE, MeanSquaredError, Sigmoid
from mmsearch.training.optimisers import OPTIMISERS, SCHEDULES, schedule
from mmsearch.training.serving import checkpoint
from mmsearch.training.serving.recipe import Recipe

ALONE = torch.eye(3, dtype=torch.bool)


def test_infonce_of_orthogonal_pairs_equals_the_value_worked_out_by_hand() -> None:
    loss = InfoNCE(temperature=0.5)
    right = torch.eye(3)
    assert loss(right, right, ALONE).item() == pytest.approx(math.log(math.exp(2) + 2) - 2, abs=1e-6)


def test_infonce_counts_extra_negatives_for_queries() -> None:
    right, wrong = torch.eye(3), torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])
    by_item = math.log(math.exp(2) + 2) - 2
    by_query = [math.log(math.exp(2) + 2 + math.exp(2 * a) + math.exp(2 * b)) - 2 for a, b in wrong.T.tolist()]
    found = InfoNCE(temperature=0.5)(right, right, ALONE, wrong)
    assert found.item() == pytest.approx((by_item + sum(by_query) / 3) / 2, abs=1e-6)


def test_infonce_without_negatives_is_zero() -> None:
    everything = torch.ones(3, 3, dtype=torch.bool)
    assert InfoNCE()(torch.eye(3), torch.eye(3).roll(1, 0), everything).item() == 0


def test_the_sigmoid_loss_of_orthogonal_pairs_equals_the_value_worked_out_by_hand() -> None:
    loss = Sigmoid(temperature=0.5, bias=-1.0)
    expected = math.log(1 + math.exp(-1)) + 2 * math.log(1 + math.exp(-1))
    assert loss(torch.eye(3), torch.eye(3), ALONE).item() == pytest.approx(expected, abs=1e-6)


def test_cross_entropy_asks_for_the_item_of_a_query_only() -> None:
    queries, items = torch.eye(2), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    none = torch.eye(2, dtype=torch.bool)
    first, second = math.log(1 + math.exp((0.6 - 1) / 0.5)), math.log(1 + math.exp(-0.8 / 0.5))
    assert CrossEntropy(temperature=0.5)(queries, items, none).item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_the_mean_squared_error_is_the_mean_squared_distance() -> None:
    items = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    found = MeanSquaredError()(torch.eye(2), items, torch.eye(2, dtype=torch.bool))
    assert found.item() == pytest.approx((0 + 4) / 2, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES.keys() - {"mse"})
def test_related_pairs_are_no_negatives(name: str) -> None:
    loss = LOSSES[name]()
    queries = items = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    related = ALONE.clone()
    related[0, 1] = related[1, 0] = True
    assert loss(queries, items, related).item() < loss(queries, items, ALONE).item()


def test_examples_tied_in_any_way_are_one_group() -> None:
    vectors = np.array([[1, 0], [0, 1], [0, 1], [-1, 0], [np.nan, np.nan]], np.float32)
    found = splits.split_groups(5, ["a", "a", None, None, None], ["x", None, None, "x", None], vectors=vectors)
    assert found.tolist() == [0, 0, 0, 0, 1]  # a ties 0 and 1, vectors 1 and 2, x 0 and 3


def test_near_duplicates_are_found_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "ROWS", 2)
    vectors = np.eye(5, dtype=np.float32)
    vectors[4] = vectors[0]
    assert splits.split_groups(5, vectors=vectors).tolist() == [0, 1, 2, 3, 0]


def test_a_split_holds_back_entire_groups_and_repeats_by_seed() -> None:
    grouped = np.repeat(np.arange(20), 3)
    held = splits.split_held_back(grouped, 0.2, seed=1)
    assert held.sum() == 12
    assert all(len(set(held[grouped == group].tolist())) == 1 for group in range(20))
    assert (held == splits.split_held_back(grouped, 0.2, seed=1)).all() and (
        held != splits.split_held_back(grouped, 0.2, seed=2)
    ).any()


@pytest.mark.parametrize("grouped", [[], [0], [0, 0, 0]])
def test_a_single_group_cannot_be_split(grouped: list[int]) -> None:
    with pytest.raises(InvalidInput, match="can't be split"):
        splits.split_held_back(np.array(grouped, np.int64), 0.2, seed=0)


class _Line:
    """Learn to turn x into 2 x, through a layer with dropout; `validate` is minus the distance from 2."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.layer = nn.Linear(1, 1, bias=False)
        self.dropout = nn.Dropout(0.1)
        self.inputs = torch.linspace(0.1, 1, 32)[:, None]

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"line": nn.Sequential(self.layer, self.dropout)}

    def __len__(self) -> int:
        return len(self.inputs)

    def loss(self, rows: Tensor, draw: np.random.Generator) -> Tensor:
        inputs = self.inputs[rows] + 0.01 * float(draw.normal())
        outputs: Tensor = self.dropout(self.layer(inputs))
        return (outputs - 2 * inputs).square().mean()

    def validate(self) -> dict[str, float]:
        return {"nearness": -abs(weight(self) - 2)}


def weight(task: _Line) -> float:
    return float(task.layer.weight.detach())


def killed_at(number: int) -> Callable[[EpochReport], None]:
    def kill(epoch: EpochReport) -> None:
        if epoch.number == number:
            raise KeyboardInterrupt

    return kill


@pytest.mark.parametrize("optimizer", OPTIMISERS)
def test_a_killed_training_loop_resumes_to_the_same_weights(tmp_path: Path, optimizer: str) -> None:
    recipe = Recipe(optimizer=optimizer, epochs=6, batch=8, lr=0.05, seed=3)
    whole = _Line()
    expected = fit_task(whole, recipe)
    for number in (2, 4):
        with pytest.raises(KeyboardInterrupt):
            fit_task(_Line(), recipe, keep=tmp_path / "checkpoint.pt", on_epoch=killed_at(number))
    seen: list[int] = []
    again = _Line()
    found = fit_task(again, recipe, keep=tmp_path / "checkpoint.pt", on_epoch=lambda epoch: seen.append(epoch.number))
    assert seen == [5, 6]
    assert weight(again) == pytest.approx(weight(whole), abs=1e-6)
    assert [e.measures for e in found.history] == [e.measures for e in expected.history]
    assert weight(whole) > weight(_Line()) + 0.3


def test_the_best_epoch_is_returned_and_patience_ends_training() -> None:
    task = _Line()
    nearness = iter([0.1, 0.3, 0.5, 0.4, 0.5, 0.2, 0.9])
    task.validate = lambda: {"nearness": next(nearness)}  # type: ignore[method-assign]
    weights: list[float] = []
    fitted = fit_task(
        task, Recipe(epochs=50, patience=3, batch=8, lr=0.05), on_epoch=lambda epoch: weights.append(weight(task))
    )
    assert (fitted.best, len(fitted.history)) == (2, 6)
    assert weight(task) == weights[2] != weights[-1]


def test_training_without_improvement_returns_the_initial_weights() -> None:
    task = _Line()
    before = weight(task)
    task.validate = lambda: {"nearness": 0.0}  # type: ignore[method-assign]
    fitted = fit_task(task, Recipe(epochs=3, batch=8, lr=0.05))
    assert isinstance(fitted, FitResult) and fitted.best == 0 and weight(task) == before


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    fit_task(_Line(), Recipe(epochs=1), keep=tmp_path / "checkpoint.pt")
    with pytest.raises(InvalidInput, match="of another training"):
        fit_task(_Line(), Recipe(epochs=1, seed=1), keep=tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"junk" * 100])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save_checkpoint({"a": torch.ones(1000)}, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LibraryError, match="can't be used"):
        checkpoint.load_checkpoint(path)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    torch.save({"a": Path("x")}, tmp_path / "checkpoint.pt")
    with pytest.raises(LibraryError):
        checkpoint.load_checkpoint(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"lr": -1.0}, {"warmup": 1.0}, {"seed": -1}, {"clip": 0.0}])
def test_a_senseless_recipe_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        Recipe(**wrong)  # type: ignore[arg-type]


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(InvalidInput, match="lion"):
        fit_task(_Line(), Recipe(optimizer="lion"))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 40])
def test_the_learning_rate_warms_up_and_decays(name: str, steps: int) -> None:
    made = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    rate = schedule(name, made, 0.5, steps, 0.25)
    seen = []
    for _ in range(steps):
        seen.append(rate.get_last_lr()[0])
        made.step()
        rate.step()
    assert min(seen) > 0 and max(seen) <= 0.5
    if steps == 40:
        top = seen.index(max(seen))
        assert max(seen) == pytest.approx(0.5) and top in (9, 10)
        assert seen[:top] == sorted(seen[:top]) and seen[top:] == sorted(seen[top:], reverse=True)
        assert seen[-1] < 0.01


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown schedule 'waves'"):
        schedule("waves", torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1), 1.0, 10, 0.1)
