"""A space of three dimensions, red, green and blue: pictures by their mean colour, words by the colours they name."""

import hashlib
from collections.abc import Sequence

import numpy as np

from mmsearch import EncoderSpec, InvalidInput, Prepared, Segment, Space, Vectors, Windowing

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "white": (1, 1, 1)}
WEIGHTS = {"colours": hashlib.sha256(repr(COLOURS).encode()).hexdigest()}


class Colours:
    """An encoder (`mmsearch.types.Encoder`) of one modality: "text" or "image"."""

    def __init__(self, modality: str) -> None:
        self.spec = EncoderSpec(f"colours-{modality}", modality, 3, WEIGHTS, "mean-1")

    def prepare(self, segment: Segment) -> Prepared:
        """float32 (3,): runs in a decode worker, so no model is touched here."""
        if segment.modality != self.spec.modality:
            raise InvalidInput(f"{self.spec.name} takes {self.spec.modality} segments, not {segment.modality}")
        if segment.modality == "image":
            return np.asarray(segment.data.mean((0, 1)) / 255, np.float32)  # type: ignore[union-attr]
        named = [COLOURS[word] for word in str(segment.data).lower().split() if word in COLOURS]
        return np.asarray(np.mean(named or [COLOURS["white"]], axis=0), np.float32)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """float32 (len(batch), 3), rows of length 1."""
        vectors = np.reshape(batch, (-1, 3)) + np.float32(1e-3)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def space(device: str = "auto", precision: str = "auto") -> Space:
    """What the entry point names. Cheap: a real model is loaded by the first `encode`."""
    return Space("colours", 3, Windowing(), {"text": Colours("text"), "image": Colours("image")})
