"""Queries that describe a photo, moved to where photos lie that are described so.

all-MiniLM-L6-v2 puts a caption near texts that mean the same; a picture's vector, made of the network's classes and of
what captions taught (`captions`), lies near it, but not in the same way for all that captions say. A linear map learned
on captioned photos adds what is missing, as far as a query reads like a caption: a gate, a logistic regression on the
query's vector, leaves names of things and sounds, and questions to documents, where they were. Only queries in
English are moved, and no vector of a library changes. How it was
made: `mmsearch/training/starter/caption_map.py`; how good it is: CAPTION_MAP.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.artefact import ArtefactFormat, dump_artefact, read_artefact
from mmsearch.encoders.weights import WeightFile
from mmsearch.types import Vectors

FORMAT = ArtefactFormat("caption map", "mmsearch-caption-map-1", "pip install --force-reinstall mmsearch")
MAP = WeightFile(
    "mmsearch",
    "encoders/starter/caption_map.safetensors",
    "7b2aa9edc8e53a776260f11bf596643ed393d16d32eb97a4b33915cac57a6b79",
    "mmsearch",
)
DIM = 384
LEVELS = 127
"""Steps either way from 0 that a stored weight has."""


@dataclass(frozen=True, slots=True, eq=False)
class CaptionMap:
    """What is added to a query's vector, and how much of it."""

    weights: NDArray[np.float32]
    """(384, 384)"""
    gate: NDArray[np.float32]
    """(384,)"""
    constant: float
    """The gate's log-odds of a query that has nothing to do with it."""

    def __call__(self, vectors: Vectors) -> Vectors:
        """float32 (n, 384), unit rows, of those of queries, float32 (n, 384)."""
        added = vectors @ self.weights * self.caption_share(vectors)[:, np.newaxis]
        made = vectors + added
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)

    def caption_share(self, vectors: Vectors) -> NDArray[np.float32]:
        """(n,), how much queries read like captions, in (0, 1)."""
        return np.asarray(1 / (1 + np.exp(-(vectors @ self.gate + self.constant))), np.float32)


def dump_map(made: CaptionMap, facts: Mapping[str, Any]) -> bytes:
    """The content of a file: the weights in eight bits, each column scaled to the whole range."""
    scale = np.maximum(np.abs(made.weights).max(0), 1e-12) / LEVELS
    steps = np.rint(made.weights / scale).astype(np.int8)
    tensors = {"weights": steps.view(np.uint8).ravel(), "scale": scale.astype(np.float32), "gate": made.gate}
    return dump_artefact(FORMAT, {**facts, "constant": made.constant}, tensors)


def read_map(content: bytes) -> CaptionMap:
    """The inverse. Raises: WeightsError."""
    stored = read_artefact(FORMAT, content)
    steps = np.frombuffer(stored.bytes_of("weights"), np.int8)
    if len(steps) != DIM * DIM:
        raise FORMAT.damaged(f"its weights are {len(steps)} bytes")
    weights = steps.reshape(DIM, DIM) * stored.tensor("scale", (DIM,))
    return CaptionMap(weights.astype(np.float32), stored.tensor("gate", (DIM,)), stored.number("constant", -100.0))


@cache
def shipped_map() -> CaptionMap:
    """Raises: WeightsError."""
    return read_map(MAP.verified().read_bytes())
