"""The losses that bring a query near to its answer and away from the others, by name."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class InfoNCE(nn.Module):
    """Which item of the batch belongs to this query, and which query to this item? Cross-entropy in both directions.

    van den Oord et al., "Representation Learning with Contrastive Predictive Coding" (2018); symmetric, with a learned
    temperature, as in Radford et al., "CLIP" (ICML 2021).
    """

    def __init__(self, temperature: float = 0.05, *, learned: bool = True) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)), requires_grad=learned)

    def forward(self, queries: Tensor, items: Tensor, related: Tensor, wrong: Tensor | None = None) -> Tensor:
        """Mean over the batch.

        Args:
            queries, items: (n, dim), unit rows; row i of one belongs to row i of the other.
            related: bool (n, n): query i and item j have something in common, so they are no example of a wrong
                pair. The diagonal plays no part.
            wrong: (k, dim), items that belong to no query of the batch: a query has that many more to be told from.
        """
        # CLIP's own bound: beyond 100 the logits leave the range of half precision.
        scale = self.log_scale.clamp(max=math.log(100)).exp()
        logits = scale * queries @ items.T  # (n, n)
        logits = logits.float().masked_fill(_others(related), float("-inf"))
        own = torch.arange(len(logits), device=logits.device)
        by_item = F.cross_entropy(logits.T, own)
        if wrong is not None:
            logits = torch.cat([logits, (scale * queries @ wrong.T).float()], dim=1)
        return (F.cross_entropy(logits, own) + by_item) / 2


class Sigmoid(nn.Module):
    """Does this item belong to this query? Asked of every pair of the batch by itself.

    Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (ICCV 2023), with their initial temperature and bias.
    """

    def __init__(self, temperature: float = 0.1, bias: float = -10.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, queries: Tensor, items: Tensor, related: Tensor) -> Tensor:
        """Sum over the pairs of the batch by its size; see `InfoNCE.forward`."""
        logits = (self.log_scale.exp() * queries @ items.T + self.bias).float()  # (n, n)
        signs = 2 * torch.eye(len(logits), device=logits.device) - 1
        return -F.logsigmoid(signs * logits).masked_fill(_others(related), 0.0).sum() / len(logits)


class CrossEntropy(nn.Module):
    """Which item of the batch belongs to this query? Asked in this direction only, at a fixed temperature.

    Henderson et al., "Efficient Natural Language Response Suggestion for Smart Reply" (2017): the other answers of the
    batch are the wrong ones.
    """

    def __init__(self, temperature: float = 0.05) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(1 / temperature))
        self.scale: Tensor

    def forward(self, queries: Tensor, items: Tensor, related: Tensor) -> Tensor:
        """Mean over the batch; see `InfoNCE.forward`."""
        logits = (self.scale * queries @ items.T).float().masked_fill(_others(related), float("-inf"))
        return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


class MeanSquaredError(nn.Module):
    """How far is the item from its query? Nothing is told apart from anything, so something else must keep all vectors
    from becoming one: a projection is held by the library's other vectors.

    As Reimers and Gurevych, "Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation" (EMNLP
    2020), bring the sentences of one language to those of another.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        """`temperature` is of the other losses: a distance has none."""
        super().__init__()

    def forward(self, queries: Tensor, items: Tensor, related: Tensor) -> Tensor:
        """Squared distance, in [0, 4], mean over the batch; see `InfoNCE.forward`."""
        return (queries.float() - items.float()).square().sum(dim=1).mean()


def _others(related: Tensor) -> Tensor:
    """Pairs beside the diagonal that are neither right nor wrong."""
    return related & ~torch.eye(len(related), dtype=torch.bool, device=related.device)


LOSSES: Mapping[str, type[InfoNCE | Sigmoid | CrossEntropy | MeanSquaredError]] = {
    "infonce": InfoNCE,
    "sigmoid": Sigmoid,
    "cross-entropy": CrossEntropy,
    "mse": MeanSquaredError,
}
"""Name -> module, made with a temperature; called with (queries, items, related)."""
