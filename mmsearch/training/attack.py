"""Adversarial training on embeddings: the small change of the input that hurts most is learned from as well.

| name | the change |
|---|---|
| none | |
| fgm | one step along the gradient: Miyato et al., "Adversarial Training Methods for Semi-Supervised Text Classification" (ICLR 2017) |
| pgd | several steps, each brought back into the ball: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks" (ICLR 2018) |
"""  # noqa: E501

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmsearch.core.arguments import check_field_types
from mmsearch.errors import InvalidInput

ATTACKS = ("none", "fgm", "pgd")


@dataclass(frozen=True, slots=True)
class Attack:
    """How the inputs of a training are changed."""

    name: str = "none"
    radius: float = 0.3
    """L2 norm of the change of each unit vector."""
    steps: int = 3
    """Of pgd, each of two and a half radii by the number of steps, so that the whole ball can be reached."""

    def __post_init__(self) -> None:
        """Raises: InvalidInput."""
        check_field_types(self)
        if self.name not in ATTACKS:
            raise InvalidInput(f"unknown attack {self.name!r}", hint=f"known: {', '.join(ATTACKS)}")
        if self.radius <= 0 or self.steps < 1:
            raise InvalidInput("an attack has a radius above 0 and at least one step")


NO_ATTACK = Attack()


def hardened(loss: Callable[[Tensor], Tensor], vectors: Tensor, attack: Attack, draw: np.random.Generator) -> Tensor:
    """The loss; under an attack the mean of it and of that on the attacked vectors.

    Args:
        vectors: (..., dim), unit rows.
    """
    clean = loss(vectors)
    if attack.name == "none":
        return clean
    return (clean + loss(attacked(loss, vectors, attack, draw))) / 2


def attacked(loss: Callable[[Tensor], Tensor], vectors: Tensor, attack: Attack, draw: np.random.Generator) -> Tensor:
    """The vectors after the attack, brought back to length 1; no gradient flows through the change."""
    change = torch.zeros_like(vectors)
    step, steps = attack.radius, 1
    if attack.name == "pgd":
        step, steps = 2.5 * attack.radius / attack.steps, attack.steps
        drawn = torch.from_numpy(draw.standard_normal(vectors.shape, np.float32)).to(vectors.device)
        change = attack.radius * F.normalize(drawn, dim=-1)
    for _ in range(steps):
        change.requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(loss(vectors + change), change)
        change = (change + step * F.normalize(gradient, dim=-1)).detach()
        # Back onto the ball, where the step left it.
        change = change * (attack.radius / change.norm(dim=-1, keepdim=True).clamp(min=attack.radius))
    return F.normalize(vectors + change, dim=-1)
