"""Fusions: the vectors of an item's segments, whatever their modalities, become one vector of the same space.

| strategy | the fused vector, before it is brought to length 1 |
|---|---|
| sum | sum of all segments |
| mean | sum of the modalities' means, each of length 1: many segments of a kind weigh no more than one |
| weights | the same with a learned weight for each modality |
| concat | weights, corrected by a perceptron on the concatenated means |
| cross | weights, corrected by what each modality's mean attends to in the other modalities' segments |
| transformer | weights, corrected by a small Transformer over all segments |

A correction starts at zero, so that an untrained fusion is the mean.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.encoders.artefact import ArtefactFormat, dump_artefact, module_tensors, read_artefact
from mmsearch.encoders.device import torch_runs
from mmsearch.errors import InvalidInput
from mmsearch.types import Modality, Vectors

FORMAT = ArtefactFormat("fusion", "mmsearch-fusion-1")

ROWS = 1024
"""Items fused at once."""

Module: TypeAlias = nn.Module
"""What a strategy is, for those who hold one and don't look into it."""


class Fusion(Protocol):
    """What turns segments into one vector; a module, with the parameters that it has."""

    def __call__(self, vectors: Tensor, kinds: Tensor) -> Tensor:
        """(n, dim), unit rows.

        Args:
            vectors: (n, segments, dim), unit rows; what stands where there is no segment doesn't matter.
            kinds: int64 (n, segments), number of the segment's modality from 0; -1: no segment there.
        """
        ...


def means(vectors: Tensor, kinds: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean direction of each modality, (n, count, dim), unit or zero rows; and bool (n, count), which are there."""
    member = kinds[..., None] == torch.arange(count, device=kinds.device)  # (n, segments, count)
    summed = torch.einsum("nsm,nsd->nmd", member.to(vectors.dtype), vectors)
    return F.normalize(summed, dim=-1), member.any(dim=1)


class Sum(nn.Module):
    def __init__(self, dim: int, count: int, dropout: float = 0.0) -> None:
        super().__init__()

    def forward(self, vectors: Tensor, kinds: Tensor) -> Tensor:
        return F.normalize((vectors * (kinds >= 0)[..., None]).sum(dim=1), dim=-1)


class Mean(nn.Module):
    def __init__(self, dim: int, count: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.count = count

    def forward(self, vectors: Tensor, kinds: Tensor) -> Tensor:
        return F.normalize(means(vectors, kinds, self.count)[0].sum(dim=1), dim=-1)


class Weights(nn.Module):
    """The base of all that learn more than weights."""

    def __init__(self, dim: int, count: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.count = count
        self.log_weights = nn.Parameter(torch.zeros(count))

    @property
    def weights(self) -> Tensor:
        """(count,), positive."""
        # Ten times as steep: a step that suits the matrices of a correction moves these too.
        return (10 * self.log_weights).exp()

    def forward(self, vectors: Tensor, kinds: Tensor) -> Tensor:
        mixed = (means(vectors, kinds, self.count)[0] * self.weights[:, None]).sum(dim=1)
        return F.normalize(F.normalize(mixed, dim=-1) + self.correction(vectors, kinds), dim=-1)

    def correction(self, vectors: Tensor, kinds: Tensor) -> Tensor:
        """(n, dim)."""
        return torch.zeros((), device=vectors.device)


class Concat(Weights):
    """A modality that is missing is zero in the concatenation, and a flag says so."""

    def __init__(self, dim: int, count: int, dropout: float = 0.0) -> None:
        super().__init__(dim, count, dropout)
        self.hidden = nn.Linear(count * (dim + 1), dim)
        self.dropout = nn.Dropout(dropout)
        self.out = _silent(nn.Linear(dim, dim))

    def correction(self, vectors: Tensor, kinds: Tensor) -> Tensor:
        own, present = means(vectors, kinds, self.count)
        joined = torch.cat([own * math.sqrt(own.shape[-1]), present[..., None].to(own.dtype)], dim=-1)
        made: Tensor = self.out(self.dropout(F.gelu(self.hidden(joined.flatten(1)))))
        return made


class Cross(Weights):
    """Queries from one modality, keys and values from the others; each modality asks in turn.

    Attention after Vaswani et al., "Attention Is All You Need" (2017); between modalities as in Tsai et al.,
    "Multimodal Transformer for Unaligned Multimodal Language Sequences" (ACL 2019), on pooled queries.
    """

    def __init__(self, dim: int, count: int, dropout: float = 0.0) -> None:
        super().__init__(dim, count, dropout)
        self.kinds = nn.Embedding(count, dim)
        # A zero key to look at: an item of one modality has nothing else, and a softmax over nothing is NaN.
        self.attention = nn.MultiheadAttention(dim, _heads(dim), dropout, add_zero_attn=True, batch_first=True)
        self.out = _silent(nn.Linear(dim, dim))

    def correction(self, vectors: Tensor, kinds: Tensor) -> Tensor:
        own, present = means(vectors, kinds, self.count)
        scale = math.sqrt(own.shape[-1])
        queries = own * scale + self.kinds.weight  # (n, count, dim)
        keys = vectors * scale + self.kinds(kinds.clamp(min=0))  # (n, segments, dim)
        numbers = torch.arange(self.count, device=kinds.device)
        closed = (kinds < 0)[:, None, :] | (kinds[:, None, :] == numbers[:, None])  # (n, count, segments)
        mask = closed.repeat_interleave(self.attention.num_heads, dim=0)
        attended, _ = self.attention(queries, keys, keys, attn_mask=mask, need_weights=False)
        present = present[..., None].to(own.dtype)
        made: Tensor = self.out((attended * present).sum(dim=1) / present.sum(dim=1).clamp(min=1))
        return made


class Transformer(Weights):
    """One layer, normalised before each part (Xiong et al., 2020), read from a token of its own."""

    def __init__(self, dim: int, count: int, dropout: float = 0.0) -> None:
        super().__init__(dim, count, dropout)
        self.kinds = nn.Embedding(count, dim)
        self.token = nn.Parameter(torch.zeros(dim))
        self.layer = nn.TransformerEncoderLayer(
            dim, _heads(dim), 2 * dim, dropout, F.gelu, batch_first=True, norm_first=True
        )
        self.out = _silent(nn.Linear(dim, dim))

    def correction(self, vectors: Tensor, kinds: Tensor) -> Tensor:
        segments = vectors * math.sqrt(vectors.shape[-1]) + self.kinds(kinds.clamp(min=0))
        tokens = torch.cat([self.token.expand(len(segments), 1, -1), segments], dim=1)
        nothing = F.pad(kinds < 0, (1, 0))  # the token itself is always there
        made: Tensor = self.out(self.layer(tokens, src_key_padding_mask=nothing)[:, 0])
        return made


STRATEGIES: Mapping[str, type[nn.Module]] = {
    "sum": Sum, "mean": Mean, "weights": Weights, "concat": Concat, "cross": Cross, "transformer": Transformer,
}  # fmt: skip
"""Name -> module that is a `Fusion`; called with (dim, number of modalities, dropout)."""


@dataclass(frozen=True, slots=True, eq=False)
class FusionItems:
    """Items as a fusion takes them."""

    vectors: NDArray[np.float32]
    """(n, segments, dim), unit rows, or zero where there is no segment."""
    kinds: NDArray[np.int64]
    """(n, segments), place of the segment's modality in `modalities`, or -1."""
    modalities: tuple[Modality, ...]

    def only(self, rows: NDArray[np.int64]) -> "FusionItems":
        return FusionItems(self.vectors[rows], self.kinds[rows], self.modalities)

    def without(self, modality: Modality) -> "FusionItems":
        """The same with all segments of a modality taken away."""
        gone = self.kinds == self.modalities.index(modality)
        return FusionItems(np.where(gone[..., None], 0, self.vectors), np.where(gone, -1, self.kinds), self.modalities)


def fusion_items(parts: Sequence[Mapping[Modality, Vectors]], modalities: Sequence[Modality]) -> FusionItems:
    """One item from each mapping of modality -> its segments' vectors, float32 (segments, dim); modalities that are
    not named are left out. Raises: InvalidInput for an item without segments or of NaN vectors."""
    order = {modality: place for place, modality in enumerate(modalities)}
    parts = [{modality: rows for modality, rows in part.items() if modality in order} for part in parts]
    sizes = [sum(map(len, part.values())) for part in parts]
    if not parts or not all(sizes):
        raise InvalidInput("an item without vectors can't be fused")
    dim = next(iter(parts[0].values())).shape[1]
    vectors = np.zeros((len(parts), max(sizes), dim), np.float32)
    kinds = np.full((len(parts), max(sizes)), -1, np.int64)
    for row, part in enumerate(parts):
        vectors[row, : sizes[row]] = np.concatenate(list(part.values()))
        kinds[row, : sizes[row]] = np.repeat([order[m] for m in part], [len(rows) for rows in part.values()])
    if not np.isfinite(vectors).all():
        raise InvalidInput("a vector with NaN among the items", hint="forget that file and ingest it again")
    return FusionItems(vectors, kinds, tuple(modalities))


def fused_vectors(fusion: nn.Module, items: FusionItems) -> Vectors:
    """float32 (n, dim), unit rows, or zero for an item that has no segment. Raises: Forked."""
    torch_runs()
    fusion.eval()
    with torch.inference_mode():
        parts = [
            fusion(torch.from_numpy(items.vectors[some]), torch.from_numpy(items.kinds[some])).numpy()
            for some in np.array_split(np.arange(len(items.kinds)), max(1, len(items.kinds) // ROWS))
        ]
    made = np.concatenate(parts)
    made[(items.kinds < 0).all(axis=1)] = 0
    return made


@dataclass(frozen=True, slots=True)
class FusionFacts:
    """What a trained fusion says of itself."""

    strategy: str
    dim: int
    modalities: tuple[Modality, ...]
    base: str
    """Space whose vectors it takes."""
    fingerprint: str
    """Of that space."""


def dump_fusion(fusion: nn.Module, facts: FusionFacts) -> bytes:
    """The content of a safetensors file; the same fusion gives the same bytes."""
    return dump_artefact(FORMAT, {name: getattr(facts, name) for name in FusionFacts.__slots__}, module_tensors(fusion))


def restore_fusion(content: bytes) -> tuple[nn.Module, FusionFacts]:
    """The fusion in a safetensors file, ready to use. Raises: WeightsError."""
    file = read_artefact(FORMAT, content)
    facts = FusionFacts(
        file.one_of("strategy", STRATEGIES), file.dimension("dim"), file.texts("modalities"),
        file.text("base"), file.text("fingerprint"),
    )  # fmt: skip
    return file.module(lambda: STRATEGIES[facts.strategy](facts.dim, len(facts.modalities))), facts


def _heads(dim: int) -> int:
    return math.gcd(dim, 4)


def _silent(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
