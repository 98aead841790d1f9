"""Optimisers and schedules of the learning rate by name, torch's own."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from torch import nn, optim
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from mmsearch.errors import InvalidInput

OPTIMISERS: Mapping[str, Any] = {
    "adamw": optim.AdamW,
    "adam": optim.Adam,
    # Plain SGD crawls along the ravines that a contrastive loss has.
    "sgd": partial(optim.SGD, momentum=0.9, nesterov=True),
}
"""Name -> constructor; called with (parameters, lr=..., weight_decay=...)."""

LEARNING_RATES: Mapping[str, float] = {"adamw": 1e-3, "adam": 1e-3, "sgd": 1e-1}
"""What suits each for small maps on unit vectors, where nothing else is asked for."""


def optimiser(name: str, modules: Iterable[nn.Module], lr: float, weight_decay: float) -> optim.Optimizer:
    """Over all parameters that learn; those that are no matrices (biases, gains, temperatures) don't decay."""
    learning = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    made: optim.Optimizer = OPTIMISERS[name]([group for group in groups if group["params"]], lr=lr)
    return made


def schedule(name: str, made: optim.Optimizer, lr: float, steps: int, warmup: float) -> LRScheduler:
    """One of `SCHEDULES`, over so many steps. Raises: InvalidInput for another name."""
    if name not in SCHEDULES:
        raise InvalidInput(f"unknown schedule {name!r}", hint=f"known: {', '.join(SCHEDULES)}")
    return SCHEDULES[name](made, lr, steps, warmup)


def _linear(made: optim.Optimizer, _lr: float, steps: int, warmup: float) -> LRScheduler:
    rising = max(1, round(steps * warmup))

    def share(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))

    return LambdaLR(made, share)


def _one_cycle(made: optim.Optimizer, lr: float, steps: int, warmup: float) -> LRScheduler:
    # It divides by the number of rising steps less one, so it needs some.
    return OneCycleLR(made, lr, total_steps=max(steps, 3 + int(2 / warmup)), pct_start=warmup, cycle_momentum=False)


SCHEDULES: Mapping[str, Callable[[optim.Optimizer, float, int, float], LRScheduler]] = {
    # Up to the optimiser's rate in a line, then down to nothing along a cosine.
    "linear": _linear,
    # Up along a cosine from a 25th of it, and down (Smith and Topin, "Super-Convergence", 2018).
    "onecycle": _one_cycle,
}
"""Name -> constructor; called with (optimizer, highest rate, steps, share of them in which it rises)."""
