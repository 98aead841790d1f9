"""Optimisers by name, torch's own, and the one schedule of the learning rate."""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from torch import nn, optim
from torch.optim.lr_scheduler import LambdaLR

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


def schedule(made: optim.Optimizer, steps: int, warmup: float) -> LambdaLR:
    """Up to the optimiser's rate in the first `warmup` (a share of the steps), then down to nothing along a cosine."""
    rising = max(1, round(steps * warmup))

    def share(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))

    return LambdaLR(made, share)
