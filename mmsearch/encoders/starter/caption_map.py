"""Queries that describe a photo, moved to where photos lie that are described so.

all-MiniLM-L6-v2 puts a caption near texts that mean the same; a picture's vector, made of the network's classes and of
what captions taught (`captions`), lies near it, but not in the same way for all that captions say. A linear map learned
on captioned photos adds what is missing, as far as a query reads like a caption: a gate, a logistic regression on the
query's vector, leaves names of things and sounds, and questions to documents, where they were. What a query in
another language means (`languages`) has a map of its own, for it lies elsewhere. Only queries are moved: no vector of a
library changes. How it was made: `mmsearch/training/starter/caption_map.py`; how good it is: CAPTION_MAP.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.artefact import Artefact, ArtefactFormat, dump_artefact, read_artefact
from mmsearch.encoders.starter.languages import OWN
from mmsearch.encoders.weights import WeightFile
from mmsearch.types import Vectors

FORMAT = ArtefactFormat("caption map", "mmsearch-caption-map-1", "pip install --force-reinstall mmsearch")
MAP = WeightFile(
    "mmsearch",
    "encoders/starter/caption_map.safetensors",
    "6ff58d889954df7ef1124d1411bf0a527c143e376af9181c710ec0bd20814f70",
    "mmsearch",
)
DIM = 384
LEVELS = 127
"""Steps either way from 0 that a stored weight has."""
LESS = 0.3
"""What a description in another language has less of its own MiniLM vector (`languages.OWN`): it asks for photos,
rather than for passages that were read as if they were English."""


@dataclass(frozen=True, slots=True, eq=False)
class CaptionMap:
    """What is added to a query's vector, and how much of it."""

    weights: NDArray[np.float32]
    """(384, 384)"""
    translated: NDArray[np.float32]
    """(384, 384), of what queries in other languages mean."""
    gate: NDArray[np.float32]
    """(384,)"""
    constant: float
    """The gate's log-odds of a query that has nothing to do with it."""

    def __call__(self, vectors: Vectors) -> Vectors:
        """float32 (n, 384), unit rows, of those of queries in English, float32 (n, 384)."""
        return _unit(vectors + self.caption_share(vectors) * (vectors @ self.weights))

    def of_translated(self, english: Vectors, meant: Vectors) -> Vectors:
        """float32 (n, 384), unit rows: what queries in other languages are searched by.

        Args:
            english: float32 (n, 384), their vectors as if they were English.
            meant: float32 (n, 384), `languages.mapped` of them.
        """
        share = self.caption_share(meant)
        moved = _unit(meant + share * (meant @ self.translated))
        return _unit(moved + OWN * (1 - LESS * share) * english)

    def caption_share(self, vectors: Vectors) -> NDArray[np.float32]:
        """(n, 1), how much queries read like captions, in (0, 1)."""
        odds = vectors @ self.gate + self.constant
        return np.asarray(1 / (1 + np.exp(-odds)), np.float32)[:, np.newaxis]


def dump_map(made: CaptionMap, facts: Mapping[str, Any]) -> bytes:
    """The content of a file: the weights in eight bits, each column scaled to the whole range."""
    tensors: dict[str, NDArray[Any]] = {"gate": made.gate}
    for name, weights in (("weights", made.weights), ("translated", made.translated)):
        scale = np.maximum(np.abs(weights).max(0), 1e-12) / LEVELS
        tensors[name] = np.rint(weights / scale).astype(np.int8).view(np.uint8).ravel()
        tensors[f"{name}_scale"] = scale.astype(np.float32)
    return dump_artefact(FORMAT, {**facts, "constant": made.constant}, tensors)


def read_map(content: bytes) -> CaptionMap:
    """The inverse. Raises: WeightsError."""
    stored = read_artefact(FORMAT, content)
    return CaptionMap(
        _matrix(stored, "weights"),
        _matrix(stored, "translated"),
        stored.tensor("gate", (DIM,)),
        stored.number("constant", -100.0),
    )


def _matrix(stored: Artefact, name: str) -> NDArray[np.float32]:
    steps = np.frombuffer(stored.bytes_of(name), np.int8)
    if len(steps) != DIM * DIM:
        raise FORMAT.damaged(f"its {name} are {len(steps)} bytes")
    return (steps.reshape(DIM, DIM) * stored.tensor(f"{name}_scale", (DIM,))).astype(np.float32)


def _unit(rows: NDArray[Any]) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@cache
def shipped_map() -> CaptionMap:
    """Raises: WeightsError."""
    return read_map(MAP.verified().read_bytes())
