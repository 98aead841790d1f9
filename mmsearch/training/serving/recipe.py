"""How to train: everything that decides the outcome, beside the data."""

from dataclasses import dataclass

from mmsearch.core.arguments import check_field_types
from mmsearch.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of one training. The same recipe, data and machine give the same weights."""

    loss: str = "infonce"
    optimizer: str = "adamw"
    epochs: int = 60
    batch: int = 256
    """Pairs of a step. The others of a batch are a contrastive loss's wrong answers."""
    lr: float = 0.0
    """Highest learning rate; 0: what suits the optimiser."""
    schedule: str = "linear"
    """How the learning rate rises: linear or onecycle; it falls along a cosine."""
    weight_decay: float = 0.01
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises."""
    patience: int = 15
    """Epochs without a better validation after which it is enough."""
    clip: float = 1.0
    """Largest norm of a step's gradient."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises: InvalidInput."""
        check_field_types(self)
        for name in ("epochs", "batch", "patience"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.lr < 0 or self.weight_decay < 0 or self.clip <= 0 or not 0 < self.warmup < 1:
            raise InvalidInput(
                "a training rate is out of range", hint="lr, weight_decay >= 0, clip > 0, 0 < warmup < 1"
            )
        if self.seed < 0:
            raise InvalidInput(f"seed must be at least 0, not {self.seed}")
