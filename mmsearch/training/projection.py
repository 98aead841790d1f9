"""Training a projection: small maps on a frozen space's own vectors, so that your queries find your items.

A map starts as the identity. What keeps it there where your pairs say nothing: it is pulled back on the library's
other vectors and on neutral words (after the distillation term of Li and Hoiem, "Learning without Forgetting", 2016),
and the weights kept are those of the best validation, epoch 0 (nothing changed) among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmsearch.core.arguments import check_field_types
from mmsearch.encoders.projection import Projection
from mmsearch.errors import InvalidInput
from mmsearch.evaluate import metrics
from mmsearch.training.attack import Attack, hardened
from mmsearch.training.examples import Ints, PairExamples
from mmsearch.training.losses import LOSSES
from mmsearch.training.optimisers import OPTIMISERS
from mmsearch.training.serving.recipe import Recipe
from mmsearch.training.serving.records import KINDS
from mmsearch.types import Modality, Vectors

K = (1, 5, 10)

BATCH = 64
RATES: Mapping[str, float] = {"adamw": 3e-4, "adam": 3e-4, "sgd": 3e-2}
"""Pairs of a step, and learning rates by optimiser: what a few hundred pairs need, unless something else is chosen."""

MOST_VALIDATING = 2048
"""Pairs that the validation loss is made of: it compares all of them with each other."""

REPLAYED = 256
"""Other vectors of each modality that a step looks at."""


@dataclass(frozen=True, slots=True)
class ProjectionShape:
    """What a projection looks like, and how much it is held back."""

    modalities: tuple[Modality, ...]
    hidden: int = 128
    dropout: float = 0.3
    temperature: float = 0.1
    """Of the loss, where it begins."""
    keep: float = 5.0
    """Weight of leaving other vectors where they are."""
    adversarial: str = "none"
    """Learn from the small changes of queries and segments that hurt most, too: see `mmsearch.training.attack`."""
    radius: float = 0.3
    """L2 norm of such a change."""
    augment: float = 0.0
    """L2 norm of a random change that every vector of a training pair gets each time: augmentation of the data in the
    space of features (DeVries and Taylor, "Dataset Augmentation in Feature Space", ICLR workshop 2017)."""

    def __post_init__(self) -> None:
        """Raises: InvalidInput."""
        check_field_types(self)
        if unknown := set(self.modalities) - set(KINDS):
            raise InvalidInput(f"no projection for {', '.join(sorted(unknown))}", hint=f"known: {', '.join(KINDS)}")
        if (
            not self.modalities
            or self.hidden < 1
            or not 0 <= self.dropout < 1
            or self.keep < 0
            or not 0 <= self.augment < 2
            or self.temperature <= 0
        ):
            raise InvalidInput(
                "a projection needs a modality, hidden >= 1, 0 <= dropout < 1, keep >= 0, 0 <= augment < 2"
            )
        Attack(self.adversarial, self.radius)


def projection_settings(chosen: Mapping[str, Any]) -> tuple[Recipe, dict[str, Any]]:
    """The recipe, and what is chosen of the shape. Raises: InvalidInput for anything unknown."""
    of_recipe, of_shape = ({one.name for one in fields(kind)} for kind in (Recipe, ProjectionShape))
    if unknown := set(chosen) - of_recipe - of_shape:
        raise InvalidInput(f"unknown training settings: {', '.join(sorted(unknown))}")
    recipe = Recipe(**{"batch": BATCH, **{name: value for name, value in chosen.items() if name in of_recipe}})
    if recipe.loss not in LOSSES:
        raise InvalidInput(f"unknown loss {recipe.loss!r}", hint=f"known: {', '.join(LOSSES)}")
    if recipe.optimizer not in OPTIMISERS:
        raise InvalidInput(f"unknown optimizer {recipe.optimizer!r}", hint=f"known: {', '.join(OPTIMISERS)}")
    if not recipe.lr:
        recipe = replace(recipe, lr=RATES[recipe.optimizer])
    return recipe, {name: value for name, value in chosen.items() if name in of_shape}


class ProjectionTask:
    """Maps that learn from some pairs and are judged by others; a `loop.Task`."""

    def __init__(
        self, shape: ProjectionShape, examples: PairExamples, replay: Mapping[Modality, Vectors], loss: str, seed: int,
        device: torch.device,
    ) -> None:  # fmt: skip
        """`replay`: other vectors, float32 (n, dim), that should stay, by modality. Raises: InvalidInput."""
        if loss not in LOSSES:
            raise InvalidInput(f"unknown loss {loss!r}", hint=f"known: {', '.join(LOSSES)}")
        self.shape, self.examples = shape, examples
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.projection = Projection(examples.queries.shape[1], shape.hidden, shape.modalities, shape.dropout)
        self.projection.to(device)
        self.criterion = LOSSES[loss](shape.temperature).to(device)
        self._attack = Attack(shape.adversarial, shape.radius)
        self._device = device
        self._queries, self._segments = (torch.from_numpy(v).to(device) for v in (examples.queries, examples.segments))
        self._replay = {m: torch.from_numpy(v).to(device) for m, v in replay.items() if m in shape.modalities}
        self._pairs, self._groups = examples.pairs[~examples.held], examples.groups[~examples.held]
        self._starts = np.searchsorted(examples.owners, np.arange(int(examples.owners[-1]) + 2))

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"projection": self.projection, "loss": self.criterion}

    def __len__(self) -> int:
        return len(self._pairs)

    def loss(self, rows: Tensor, draw: np.random.Generator) -> Tensor:
        chosen = rows.numpy()
        queries, items = self._pairs[chosen].T
        first, last = self._starts[items], self._starts[items + 1]
        segments = first + (draw.random(len(items)) * (last - first)).astype(np.int64)
        kinds = self.examples.query_kinds[queries], self.examples.segment_kinds[segments]
        related = torch.from_numpy(self._related(chosen, queries)).to(self._device)

        def contrast(both: Tensor) -> Tensor:
            a, b = (self._projected(some, of) for some, of in zip(both.unbind(), kinds, strict=True))
            value: Tensor = self.criterion(a, b, related)
            return value

        both = torch.stack([_taken(self._queries, queries), _taken(self._segments, segments)])  # (2, n, dim)
        made = hardened(contrast, self._augmented(both, draw), self._attack, draw)
        for modality, vectors in self._replay.items():
            if len(vectors):
                some = vectors[torch.from_numpy(draw.integers(0, len(vectors), REPLAYED)).to(self._device)]
                moved = 1 - (self.projection(some, modality) * some).sum(dim=1)
                made = made + self.shape.keep * moved.mean()
        return made

    def _augmented(self, vectors: Tensor, draw: np.random.Generator) -> Tensor:
        """Unit rows (..., dim), each moved at random by the length that the shape says."""
        if not self.shape.augment:
            return vectors
        change = torch.from_numpy(draw.standard_normal(tuple(vectors.shape), np.float32)).to(self._device)
        return nn.functional.normalize(vectors + self.shape.augment * nn.functional.normalize(change, dim=-1), dim=-1)

    def validation_loss(self) -> float:
        """The loss of the pairs that validate, with the first segment of each item and no change of any vector."""
        examples = self.examples
        queries, items = examples.pairs[examples.held][:MOST_VALIDATING].T
        segments = self._starts[items]
        groups = examples.groups[examples.held][:MOST_VALIDATING]
        related = (groups[:, None] == groups) | (queries[:, None] == queries)
        a = self._projected(_taken(self._queries, queries), examples.query_kinds[queries])
        b = self._projected(_taken(self._segments, segments), examples.segment_kinds[segments])
        return float(self.criterion(a, b, torch.from_numpy(related).to(self._device)))

    def _related(self, chosen: Ints, queries: Ints) -> NDArray[np.bool_]:
        """(n, n): pairs of one group or of one query."""
        groups = self._groups[chosen]
        related: NDArray[np.bool_] = (groups[:, None] == groups) | (queries[:, None] == queries)
        return related

    def _projected(self, vectors: Tensor, kinds: Ints) -> Tensor:
        """(n, dim): each row by the map of its kind."""
        made = vectors
        for number in np.unique(kinds).tolist():
            if number >= 0 and KINDS[number] in self.projection.maps:
                own = torch.from_numpy(kinds == number).to(self._device)
                made = torch.where(own[:, None], self.projection(made, KINDS[number]).to(made.dtype), made)
        return made

    def validate(self) -> dict[str, float]:
        """Mean recall@1, 5 and 10 over the queries that validate, among all items; and each of the three."""
        return self.measure(self.examples.pairs[self.examples.held])

    def test(self, pairs: Ints) -> dict[str, float]:
        """The measures of pairs that were set aside, (n, 2), by the maps as they are; nothing without any."""
        with torch.inference_mode():
            return self.measure(pairs) if len(pairs) else {}

    def measure(self, held: Ints) -> dict[str, float]:
        """The same of some pairs, int64 (n, 2), that take no part in the training."""
        examples = self.examples
        validating = np.unique(held[:, 0])
        queries = self._projected(_taken(self._queries, validating), examples.query_kinds[validating])
        segments = self._projected(self._segments, examples.segment_kinds)
        scores = (queries @ segments.T).detach().float().cpu().numpy()  # (q, s)
        scores = np.maximum.reduceat(scores, self._starts[:-1], axis=1)  # (q, items)
        relevant = np.zeros(scores.shape, np.bool_)
        relevant[np.searchsorted(validating, held[:, 0]), held[:, 1]] = True
        # What a query was trained on is neither a right nor a wrong answer here.
        trained = examples.pairs[~examples.held & np.isin(examples.pairs[:, 0], validating)]
        scores[np.searchsorted(validating, trained[:, 0]), trained[:, 1]] = np.nan
        ranks = [metrics.ranks(row, relevant_row) for row, relevant_row in zip(scores, relevant, strict=True)]
        recalls = {f"recall@{k}": float(np.mean([metrics.recall_at(r, k) for r in ranks])) for k in K}
        return {"recall": float(np.mean(list(recalls.values()))), **recalls}


def _taken(vectors: Tensor, rows: Ints) -> Tensor:
    return vectors[torch.from_numpy(rows).to(vectors.device)]
