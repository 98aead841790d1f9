"""Training a fusion: the fused vector of an item comes near to the queries that ask for it.

Contrastive (`losses`), on segment vectors that a frozen space made; the queries stay where they are. Now and then a
step hides a modality of an item, so that one that is missing later hurts little (modality dropout, Neverova et al.,
"ModDrop", 2016).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmsearch.encoders.fusion import STRATEGIES
from mmsearch.errors import InvalidInput
from mmsearch.training.attack import NO_ATTACK, Attack, hardened
from mmsearch.training.losses import LOSSES
from mmsearch.types import Modality, Vectors

K = (1, 5, 10)

ROWS = 1024
"""Items fused at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """Items as a fusion takes them."""

    vectors: NDArray[np.float32]
    """(n, segments, dim), unit rows, or zero where there is no segment."""
    kinds: NDArray[np.int64]
    """(n, segments), place of the segment's modality in `modalities`, or -1."""
    modalities: tuple[Modality, ...]

    def only(self, rows: NDArray[np.int64]) -> "Items":
        return Items(self.vectors[rows], self.kinds[rows], self.modalities)

    def without(self, modality: Modality) -> "Items":
        """The same with all segments of a modality taken away."""
        gone = self.kinds == self.modalities.index(modality)
        return Items(np.where(gone[..., None], 0, self.vectors), np.where(gone, -1, self.kinds), self.modalities)


def items(parts: Sequence[Mapping[Modality, Vectors]], modalities: Sequence[Modality]) -> Items:
    """One item from each mapping of modality -> its segments' vectors, float32 (segments, dim). Raises: InvalidInput
    for an item without segments or of NaN vectors."""
    order = {modality: place for place, modality in enumerate(modalities)}
    sizes = [sum(map(len, part.values())) for part in parts]
    if not parts or not all(sizes):
        raise InvalidInput("an item without vectors can't be fused")
    dim = next(iter(parts[0].values())).shape[1]
    vectors = np.zeros((len(parts), max(sizes), dim), np.float32)
    kinds = np.full((len(parts), max(sizes)), -1, np.int64)
    for row, part in enumerate(parts):
        vectors[row, : sizes[row]] = np.concatenate(list(part.values()))
        kinds[row, : sizes[row]] = np.repeat([order[m] for m in part], [len(found) for found in part.values()])
    if not np.isfinite(vectors).all():
        raise InvalidInput("a vector with NaN among the items", hint="forget that file and ingest it again")
    return Items(vectors, kinds, tuple(modalities))


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Queries and the items they ask for."""

    queries: Vectors
    """(n, dim)."""
    items: NDArray[np.int64]
    """(n,), rows of the items."""
    groups: NDArray[np.int64]
    """(n,); queries of one group are no wrong answers of each other (see `splits`)."""

    def only(self, rows: NDArray[Any]) -> "Asked":
        return Asked(self.queries[rows], self.items[rows], self.groups[rows])


@dataclass(frozen=True, slots=True)
class Shape:
    """Which fusion, and how it is hardened while it learns."""

    strategy: str = "transformer"
    dropout: float = 0.1
    """Of its units."""
    hide: float = 0.3
    """How often a step takes a modality from an item that has several."""
    attack: Attack = NO_ATTACK

    def __post_init__(self) -> None:
        """Raises: InvalidInput."""
        if self.strategy not in STRATEGIES:
            raise InvalidInput(f"unknown strategy {self.strategy!r}", hint=f"known: {', '.join(STRATEGIES)}")
        if not 0 <= self.dropout < 1 or not 0 <= self.hide <= 1:
            raise InvalidInput("dropout and hide are shares: 0 <= dropout < 1, 0 <= hide <= 1")


class FusionTask:
    """A fusion that learns from some queries and is judged by others; a `loop.Task`."""

    def __init__(self, shape: Shape, found: Items, train: Asked, valid: Asked, loss: str, seed: int) -> None:
        self.shape, self.found, self.train, self.valid = shape, found, train, valid
        self.fusion = untrained(shape, found, seed)
        rows, self._own = np.unique(valid.items, return_inverse=True)
        self._judged = found.only(rows)
        self.criterion = LOSSES[loss]()
        self._vectors, self._kinds = torch.from_numpy(found.vectors), torch.from_numpy(found.kinds)
        self._queries, self._groups = torch.from_numpy(train.queries), torch.from_numpy(train.groups)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"fusion": self.fusion, "loss": self.criterion}

    def __len__(self) -> int:
        return len(self.train.items)

    def loss(self, rows: Tensor, draw: np.random.Generator) -> Tensor:
        chosen = torch.from_numpy(self.train.items)[rows]
        vectors, kinds = self._vectors[chosen], self._kinds[chosen]
        kinds = hidden(kinds, len(self.found.modalities), self.shape.hide, draw)
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

    def _recalls(self, judged: Items) -> list[float]:
        places = ranks(self.valid.queries, fused(self.fusion, judged), self._own)
        # What has nothing left isn't asked for.
        places = places[np.asarray((judged.kinds >= 0).any(axis=1))[self._own]]
        return [float(np.mean(places <= k)) if len(places) else 0.0 for k in K]


def untrained(shape: Shape, found: Items, seed: int) -> nn.Module:
    """Its first weights follow from the seed alone, and torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return STRATEGIES[shape.strategy](found.vectors.shape[2], len(found.modalities), shape.dropout)


def hidden(kinds: Tensor, count: int, share: float, draw: np.random.Generator) -> Tensor:
    """`kinds` with one modality of some items taken away, where another is left."""
    present = (kinds[..., None] == torch.arange(count)).any(dim=1).numpy()  # (n, count)
    taken = np.where(present, draw.random(present.shape), -1).argmax(axis=1)
    able = (present.sum(axis=1) > 1) & (draw.random(len(present)) < share)
    gone = torch.from_numpy(np.where(able, taken, -2))
    return torch.where(kinds == gone[:, None], -1, kinds)


def fused(fusion: nn.Module, found: Items) -> Vectors:
    """float32 (n, dim), unit rows, or zero for an item that has no segment."""
    fusion.eval()
    with torch.inference_mode():
        parts = [
            fusion(torch.from_numpy(found.vectors[some]), torch.from_numpy(found.kinds[some])).numpy()
            for some in np.array_split(np.arange(len(found.kinds)), max(1, len(found.kinds) // ROWS))
        ]
    made = np.concatenate(parts)
    made[(found.kinds < 0).all(axis=1)] = 0
    return made


def ranks(queries: Vectors, candidates: Vectors, own: NDArray[np.int64]) -> NDArray[np.int64]:
    """(queries,), 1-based rank of each query's own candidate by cosine; ties count against it."""
    scores = queries @ candidates.T
    return np.asarray((scores >= scores[np.arange(len(own)), own, None]).sum(axis=1), np.int64)
