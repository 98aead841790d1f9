"""Whether a model computes in bfloat16 on this machine's CPU: tried once on what is embedded first, and remembered.

Processors with instructions for bfloat16 take large models through a batch in about half the time and memory. What that
does to vectors depends on the model. So the first inputs are embedded in both kinds of numbers, and the model stays in
bfloat16 if each vector is where it was, the nearest neighbours are the same, and time is saved. GPUs compute in half
precision as a matter of course; vectors of both kinds stand in one space there, too.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.encoders.model_store import Memory
from mmsearch.types import EncoderSpec, Prepared, Vectors

if TYPE_CHECKING:
    import torch

LEAST_PARAMETERS = 20_000_000
"""Smaller models are quick enough."""
INPUTS = 32
"""Of a trial. Fewer are embedded in float32."""
NEIGHBOURS = 10
LEAST_COSINE, LEAST_OVERLAP, LEAST_GAIN = 0.999, 0.9, 1.2
"""Of each vector with its float32 self; of its nearest neighbours with theirs, on average; of time."""
_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
_MEMORY = "bfloat16.json"


def multiplies_bfloat16(device: "torch.device") -> bool:
    """Whether a device is a processor that has instructions for it."""
    if device.type != "cpu":
        return False
    import torch

    told = getattr(torch.cpu, "get_capabilities", None)  # not in older ones
    facts = told() if told is not None else {}
    return any(facts.get(name) for name in _INSTRUCTIONS)


@dataclass(slots=True)
class HalfTrial:
    """The first inputs of a model, as float32 embeds them."""

    inputs: list[Prepared] = field(default_factory=list)
    vectors: list[Vectors] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, batch: Sequence[Prepared], vectors: Vectors, seconds: float) -> bool:
        """Whether there are enough now."""
        self.inputs += batch
        self.vectors.append(vectors)
        self.seconds += seconds
        return len(self.inputs) >= INPUTS

    def pays(self, vectors: Vectors, seconds: float) -> bool:
        """Whether bfloat16, which gave these vectors in this time, is taken."""
        exact = np.concatenate(self.vectors)
        cosine = float(np.einsum("ij,ij->i", exact, vectors).min())
        # NaN is no cosine: it compares as false.
        near = cosine >= LEAST_COSINE and _overlap(exact, vectors) >= LEAST_OVERLAP
        return near and self.seconds >= LEAST_GAIN * seconds


def _overlap(first: Vectors, second: Vectors) -> float:
    """The share of each one's nearest neighbours that are among the other's, on average."""
    count = min(NEIGHBOURS, len(first) - 1)
    own, other = _nearest(first, count), _nearest(second, count)
    return sum(len(a & b) for a, b in zip(own, other, strict=True)) / (len(own) * count)


def _nearest(vectors: Vectors, count: int) -> list[set[int]]:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return [set(row) for row in np.argsort(-scores, axis=1, kind="stable")[:, :count].tolist()]


def verdict(spec: EncoderSpec) -> bool | None:
    """What an earlier trial of this model came to on this machine; None if there was none."""
    known: Any = Memory(_MEMORY).read().get(_key(spec))
    return known[0] if isinstance(known, list) and len(known) == 1 and isinstance(known[0], bool) else None


def remember(spec: EncoderSpec, pays: bool) -> None:
    """Keep it for the processes to come."""
    Memory(_MEMORY).note(_key(spec), [pays])


def _key(spec: EncoderSpec) -> str:
    facts = repr((spec.name, sorted(spec.weights.items()), spec.preprocessing))
    return f"{spec.name} {hashlib.sha256(facts.encode()).hexdigest()[:16]}"
