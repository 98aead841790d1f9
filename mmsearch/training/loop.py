"""The training loop: epochs of batches, validation after each, a checkpoint, and the best weights in the end.

What is random in an epoch (the order, dropout, what a task draws) follows from the seed and the epoch's number
alone. So a run that was killed and goes on after its last checkpoint ends with the weights of one that was not.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from mmsearch.encoders.device import torch_runs
from mmsearch.errors import InvalidInput
from mmsearch.training.optimisers import LEARNING_RATES, OPTIMISERS, optimiser, schedule
from mmsearch.training.serving import checkpoint
from mmsearch.training.serving.recipe import Recipe


class TrainingTask(Protocol):
    """What is trained, and how one sees whether it gets better."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """All that learns, by name, on its device; the loss's own parameters too."""
        ...

    def __len__(self) -> int:
        """Training examples."""
        ...

    def loss(self, rows: Tensor, draw: np.random.Generator) -> Tensor:
        """Of some examples, int64 (n,) on the CPU. Whatever is random beside dropout comes from `draw`."""
        ...

    def validate(self) -> dict[str, float]:
        """Measures, higher is better; the first decides when to stop and which weights are kept."""
        ...


@runtime_checkable
class ValidatedByLoss(Protocol):
    """A task that says what its loss is where it doesn't learn."""

    def validation_loss(self) -> float:
        """The loss of the examples that validate; NaN if there are none."""
        ...


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What one epoch gave. Epoch 0 is the state before training."""

    number: int
    loss: float
    """Mean over the steps; NaN for epoch 0."""
    measures: dict[str, float] = field(hash=False)
    seconds: float
    validation_loss: float = math.nan
    """Of the examples that validate; NaN where the training has none, or doesn't measure it."""

    def as_row(self) -> dict[str, float]:
        """For a model card, which knows no NaN."""
        losses = {"loss": self.loss, "validation loss": self.validation_loss}
        known = {name: value for name, value in losses.items() if not math.isnan(value)}
        return {"epoch": self.number, **known, **self.measures, "seconds": round(self.seconds, 3)}


@dataclass(slots=True)
class FitResult:
    """A finished training; the task's modules hold the weights of the best epoch."""

    best: int
    """Number of that epoch; 0: training made nothing better."""
    history: list[EpochReport] = field(default_factory=list)

    @property
    def measures(self) -> dict[str, float]:
        return self.history[self.best].measures


OnEpoch = Callable[[EpochReport], None]


@dataclass(slots=True)
class _State:
    fitted: FitResult
    best: dict[str, dict[str, Tensor]]
    """Weights of the best epoch."""


def fit_task(
    task: TrainingTask,
    recipe: Recipe,
    *,
    keep: Path | None = None,
    device: torch.device | None = None,
    half: torch.dtype | None = None,
    on_epoch: OnEpoch | None = None,
) -> FitResult:
    """Train until the epochs are used up or validation has not improved for `recipe.patience` epochs.

    Args:
        keep: Checkpoint file, written after each epoch. If it is there, training goes on after it.
        half: Compute in this dtype where that is safe (`torch.autocast`), on a GPU.

    Raises: InvalidInput for an unknown optimiser or a checkpoint of another recipe, LibraryError if a checkpoint
        can't be written (the last one is then still there) or read, Forked.
    """
    torch_runs()
    if recipe.optimizer not in OPTIMISERS:
        raise InvalidInput(f"unknown optimizer {recipe.optimizer!r}", hint=f"known: {', '.join(OPTIMISERS)}")
    device = device or torch.device("cpu")
    lr = recipe.lr or LEARNING_RATES[recipe.optimizer]
    made = optimiser(recipe.optimizer, task.modules.values(), lr, recipe.weight_decay)
    steps = recipe.epochs * math.ceil(len(task) / recipe.batch)
    rate = schedule(recipe.schedule, made, lr, steps, recipe.warmup)
    scaler = torch.amp.GradScaler(device.type, enabled=half == torch.float16)
    parts = {"optimizer": made, "schedule": rate, "scaler": scaler}
    state = _resumed(keep, task, parts, recipe) or _begun(task, on_epoch)
    history = state.fitted.history
    for number in range(len(history), recipe.epochs + 1):
        if number - 1 - state.fitted.best >= recipe.patience:
            break
        start = perf_counter()
        loss = _epoch(task, recipe, number, parts, device, half)
        measures, validation_loss = _validated(task)
        history.append(EpochReport(number, loss, measures, perf_counter() - start, validation_loss))
        if _goal(history[-1]) > _goal(history[state.fitted.best]):
            state.fitted.best, state.best = number, _weights(task)
        if keep is not None:
            _keep(keep, task, parts, recipe, state)
        if on_epoch is not None:
            on_epoch(history[-1])
    for name, module in task.modules.items():
        module.load_state_dict(state.best[name])
        module.eval()
    return state.fitted


def order(count: int, seed: int, epoch: int) -> np.random.Generator:
    """The source of an epoch's randomness: whatever was drawn in other epochs changes nothing here."""
    return np.random.default_rng([seed, epoch, count])


def _epoch(
    task: TrainingTask,
    recipe: Recipe,
    number: int,
    parts: Mapping[str, Any],
    device: torch.device,
    half: torch.dtype | None,
) -> float:
    draw = order(len(task), recipe.seed, number)
    rows = torch.from_numpy(draw.permutation(len(task)))
    losses = []
    for module in task.modules.values():
        module.train()
    # Dropout draws from torch's own generators: they are ours for the epoch, then as they were.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(draw.integers(2**62)))
        for batch in _batches(rows, recipe.batch):
            with torch.autocast(device.type, dtype=half, enabled=half is not None):
                loss = task.loss(batch, draw)
            losses.append(_step(task, loss, parts, recipe.clip))
    for module in task.modules.values():
        module.eval()
    return float(np.mean(losses))


def _batches(rows: Tensor, size: int) -> Sequence[Tensor]:
    """Batches of at most `size`, of nearly equal length: a last batch of one would have nothing to contrast."""
    return rows.tensor_split(math.ceil(len(rows) / size))


def _step(task: TrainingTask, loss: Tensor, parts: Mapping[str, Any], clip: float) -> float:
    made, scaler = parts["optimizer"], parts["scaler"]
    value = float(loss.detach())
    if not math.isfinite(value):
        raise InvalidInput(f"the loss became {value}", hint="lower the learning rate: --lr")
    made.zero_grad()
    scaler.scale(loss).backward()
    scaler.unscale_(made)
    nn.utils.clip_grad_norm_([p for module in task.modules.values() for p in module.parameters()], clip)
    scaler.step(made)
    scaler.update()
    parts["schedule"].step()
    return value


def _validated(task: TrainingTask) -> tuple[dict[str, float], float]:
    with torch.inference_mode():
        return task.validate(), task.validation_loss() if isinstance(task, ValidatedByLoss) else math.nan


def _goal(epoch: EpochReport) -> float:
    return next(iter(epoch.measures.values()))


def _weights(task: TrainingTask) -> dict[str, dict[str, Tensor]]:
    return {name: copy.deepcopy(module.state_dict()) for name, module in task.modules.items()}


def _begun(task: TrainingTask, on_epoch: OnEpoch | None) -> _State:
    for module in task.modules.values():
        module.eval()
    measures, validation_loss = _validated(task)
    first = EpochReport(0, math.nan, measures, 0.0, validation_loss)
    if on_epoch is not None:
        on_epoch(first)
    return _State(FitResult(0, [first]), _weights(task))


def _keep(path: Path, task: TrainingTask, parts: Mapping[str, Any], recipe: Recipe, state: _State) -> None:
    history = [[e.number, e.loss, dict(e.measures), e.seconds, e.validation_loss] for e in state.fitted.history]
    checkpoint.save_checkpoint(
        {
            "recipe": repr(recipe), "examples": len(task), "weights": _weights(task), "best_weights": state.best,
            "best": state.fitted.best, "history": history,
            **{name: part.state_dict() for name, part in parts.items()},
        },
        path,
    )  # fmt: skip


def _resumed(path: Path | None, task: TrainingTask, parts: Mapping[str, Any], recipe: Recipe) -> _State | None:
    if path is None or not path.exists():
        return None
    kept = checkpoint.load_checkpoint(path)
    if kept.get("recipe") != repr(recipe) or kept.get("examples") != len(task):
        raise InvalidInput(
            f"the checkpoint {path} is of another training", hint="go on with the same data and settings, or start anew"
        )
    for name, module in task.modules.items():
        module.load_state_dict(kept["weights"][name])
        module.eval()
    for name, part in parts.items():
        part.load_state_dict(kept[name])
    return _State(FitResult(kept["best"], [EpochReport(*row) for row in kept["history"]]), kept["best_weights"])
