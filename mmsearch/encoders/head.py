"""Heads: from a space's vectors to the names that somebody gave, how sure that is, and whether any of them fits.

A head has logits, linear or by a small perceptron, and the mean direction of each class. Which name, and how sure:
softmax of the logits by a temperature (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017). Whether it
fits: the cosine to that class's mean, against a least one. A softmax always finds a winner, so its height says little
about what is no class at all; the distance says more (tests/benchmarks/TRAINING.md has the comparison).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.encoders.artefact import ArtefactFormat, dump_artefact, module_tensors, read_artefact
from mmsearch.encoders.device import torch_runs
from mmsearch.types import Vectors

FORMAT = ArtefactFormat("head", "mmsearch-head-1")

PREFIX = "head."
"""Of the names of the module's tensors in a file."""

SCALE = 20.0
"""Length of the vectors a head works on: components near 1, so that usual learning rates suit it."""


class Linear(nn.Module):
    """Starts at zero: all names are equally likely."""

    def __init__(self, dim: int, classes: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.out = nn.Linear(dim, classes)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, dim) unit rows to logits (n, classes)."""
        made: Tensor = self.out(SCALE * vectors)
        return made


class Perceptron(nn.Module):
    """One hidden layer."""

    def __init__(self, dim: int, classes: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, classes)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, dim) unit rows to logits (n, classes)."""
        made: Tensor = self.out(self.dropout(F.gelu(self.hidden(SCALE * vectors))))
        return made


HEADS: Mapping[str, type[Linear] | type[Perceptron]] = {"linear": Linear, "mlp": Perceptron}
"""Name -> module; called with (dim, classes, hidden, dropout)."""


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """What a head says of itself."""

    kind: str
    dim: int
    hidden: int
    classes: tuple[str, ...]
    base: str
    """Space whose vectors it takes."""
    fingerprint: str
    """Of that space."""
    temperature: float = 1.0
    least: float = -1.0
    """Cosine to a class's mean below which its name doesn't fit; -1: every name fits."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a head says of n vectors."""

    best: NDArray[np.int64]
    """(n,), number of the likeliest class."""
    second: NDArray[np.int64]
    sure: NDArray[np.float32]
    """(n,), in [0, 1]: probability of the likeliest class, given that it is one of them."""
    nearness: NDArray[np.float32]
    """(n,), in [-1, 1]: cosine to that class's mean."""
    fits: NDArray[np.bool_]
    """(n,): whether that is near enough."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A trained head."""

    facts: HeadFacts
    module: nn.Module
    centres: Vectors
    """(classes, dim), unit rows."""
    fusion: bytes = b""
    """The file of the fusion (`mmsearch.encoders.fusion`) that makes the vectors it takes, of a bundle's files; empty:
    it takes each file by itself."""

    def logits(self, vectors: Vectors) -> NDArray[np.float32]:
        """float32 (n, classes). Raises: Forked."""
        torch_runs()
        with torch.inference_mode():
            made: NDArray[np.float32] = self.module(torch.from_numpy(vectors)).numpy()
        return made

    def judge(self, vectors: Vectors) -> Judgement:
        """Vectors are float32 (n, dim), unit rows."""
        logits = self.logits(vectors) / self.facts.temperature
        order = np.argsort(-logits, axis=1, kind="stable")
        best, second = order[:, 0], order[:, 1]
        sure = 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
        nearness = (vectors * self.centres[best]).sum(axis=1)
        return Judgement(best, second, sure, nearness, nearness >= self.facts.least)

    def calibrated(self, temperature: float, least: float) -> "Head":
        return replace(self, facts=replace(self.facts, temperature=temperature, least=least))


def centres(vectors: Vectors, labels: NDArray[np.int64], classes: int) -> Vectors:
    """Mean direction of each class, float32 (classes, dim), unit rows, or zero for a class without examples."""
    sums = np.zeros((classes, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12), np.float32)


def dump_head(head: Head) -> bytes:
    """The content of a safetensors file; the same head gives the same bytes."""
    facts = {name: getattr(head.facts, name) for name in HeadFacts.__slots__}
    tensors = {**module_tensors(head.module, PREFIX), "centres": head.centres}
    if head.fusion:
        tensors["fusion"] = np.frombuffer(head.fusion, np.uint8)
    return dump_artefact(FORMAT, facts, tensors)


def restore_head(content: bytes) -> Head:
    """The head in a safetensors file. Raises: WeightsError."""
    file = read_artefact(FORMAT, content)
    facts = HeadFacts(
        file.one_of("kind", HEADS), file.dimension("dim"), file.dimension("hidden"), file.texts("classes"),
        file.text("base"), file.text("fingerprint"), file.number("temperature", above=0), file.number("least"),
    )  # fmt: skip
    count = len(facts.classes)
    module = file.module(lambda: HEADS[facts.kind](facts.dim, count, facts.hidden, 0.0), PREFIX, ("centres", "fusion"))
    return Head(facts, module, file.tensor("centres", (count, facts.dim)), file.bytes_of("fusion"))
