"""Training a fusion: the fused vector of an item comes near to the queries that ask for it.

Contrastive (`losses`), on segment vectors that a frozen space made; the queries stay where they are. Now and then a
step hides a modality of an item, so that one that is missing later hurts little (modality dropout, Neverova et al.,
"ModDrop", 2016).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmsearch.core.arguments import check_field_types
from mmsearch.encoders.fusion import STRATEGIES, FusionItems, fused_vectors
from mmsearch.errors import InvalidInput
from mmsearch.training.attack import NO_ATTACK, Attack, hardened
from mmsearch.training.losses import LOSSES
from mmsearch.types import Vectors

K = (1, 5, 10)


@dataclass(frozen=True, slots=True, eq=False)
class FusionQueries:
    """Queries and the items they ask for."""

    queries: Vectors
    """(n, dim)."""
    items: NDArray[np.int64]
    """(n,), rows of the items."""
    groups: NDArray[np.int64]
    """(n,); queries of one group are no wrong answers of each other (see `splits`)."""

    def only(self, rows: NDArray[Any]) -> "FusionQueries":
        return FusionQueries(self.queries[rows], self.items[rows], self.groups[rows])


@dataclass(frozen=True, slots=True)
class FusionShape:
    """Which fusion, and how it is hardened while it learns."""

    strategy: str = "transformer"
    dropout: float = 0.1
    """Of its units."""
    hide: float = 0.3
    """How often a step takes a modality from an item that has several."""
    attack: Attack = NO_ATTACK

    def __post_init__(self) -> None:
        """Raises: InvalidInput."""
        check_field_types(self)
        if self.strategy not in STRATEGIES:
            raise InvalidInput(f"unknown strategy {self.strategy!r}", hint=f"known: {', '.join(STRATEGIES)}")
        if not 0 <= self.dropout < 1 or not 0 <= self.hide <= 1:
            raise InvalidInput("dropout and hide are shares: 0 <= dropout < 1, 0 <= hide <= 1")


class FusionTask:
    """A fusion that learns from some queries and is judged by others; a `loop.Task`."""

    def __init__(
        self, shape: FusionShape, items: FusionItems, train: FusionQueries, valid: FusionQueries, loss: str, seed: int
    ) -> None:
        self.shape, self.items, self.train, self.valid = shape, items, train, valid
        self.fusion = untrained(shape, items, seed)
        rows, first, self._own = np.unique(valid.items, return_index=True, return_inverse=True)
        self._judged, self._judged_groups = items.only(rows), valid.groups[first]
        self.criterion = LOSSES[loss]()
        self._vectors, self._kinds = torch.from_numpy(items.vectors), torch.from_numpy(items.kinds)
        self._queries, self._groups = torch.from_numpy(train.queries), torch.from_numpy(train.groups)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"fusion": self.fusion, "loss": self.criterion}

    def __len__(self) -> int:
        return len(self.train.items)

    def loss(self, rows: Tensor, draw: np.random.Generator) -> Tensor:
        chosen = torch.from_numpy(self.train.items)[rows]
        vectors, kinds = self._vectors[chosen], self._kinds[chosen]
        kinds = hidden(kinds, len(self.items.modalities), self.shape.hide, draw)
        queries, groups = self._queries[rows], self._groups[rows]
        related = groups[:, None] == groups[None, :]

        def contrast(segments: Tensor) -> Tensor:
            made: Tensor = self.criterion(queries, self.fusion(segments, kinds), related)
            return made

        return hardened(contrast, vectors, self.shape.attack, draw)

    def validate(self) -> dict[str, float]:
        """Mean of recall@1, 5 and 10, over the whole items and each modality missing, then what it is the mean of."""
        judged = self._judged
        whole = {f"recall@{k}": value for k, value in zip(K, self._recalls(judged), strict=True)}
        missing = {
            f"without {modality}": float(np.mean(self._recalls(judged.without(modality))))
            for modality in (judged.modalities if len(judged.modalities) > 1 else ())
        }
        return {"recall": float(np.mean([np.mean(list(whole.values())), *missing.values()])), **whole, **missing}

    def _recalls(self, judged: FusionItems) -> list[float]:
        related = self.valid.groups[:, None] == self._judged_groups
        places = ranks(self.valid.queries, fused_vectors(self.fusion, judged), self._own, related)
        # What has nothing left isn't asked for.
        places = places[np.asarray((judged.kinds >= 0).any(axis=1))[self._own]]
        return [float(np.mean(places <= k)) if len(places) else 0.0 for k in K]


def untrained(shape: FusionShape, items: FusionItems, seed: int) -> nn.Module:
    """Its first weights follow from the seed alone, and torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return STRATEGIES[shape.strategy](items.vectors.shape[2], len(items.modalities), shape.dropout)


def hidden(kinds: Tensor, count: int, share: float, draw: np.random.Generator) -> Tensor:
    """`kinds` with one modality of some items taken away, where another is left."""
    present = (kinds[..., None] == torch.arange(count)).any(dim=1).numpy()  # (n, count)
    taken = np.where(present, draw.random(present.shape), -1).argmax(axis=1)
    able = (present.sum(axis=1) > 1) & (draw.random(len(present)) < share)
    gone = torch.from_numpy(np.where(able, taken, -2))
    return torch.where(kinds == gone[:, None], -1, kinds)


def ranks(
    queries: Vectors, candidates: Vectors, own: NDArray[np.int64], related: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """(queries,), 1-based rank of each query's own candidate by cosine; ties count against it.

    Args:
        related: (queries, candidates): neither right nor wrong, as another item of the same group; but for the own.
    """
    scores = queries @ candidates.T
    best = scores[np.arange(len(own)), own, None].copy()
    if related is not None:
        scores[related] = -np.inf
        scores[np.arange(len(own)), own] = best[:, 0]
    return np.asarray((scores >= best).sum(axis=1), np.int64)
