"""all-MiniLM-L6-v2 for a few words, with numpy alone: importing torch takes a hundred times as long as the answer.

The same computation as `minilm.MiniLM`, in float32, straight from the mapped file: of the table of words only the rows
that occur are ever read.
"""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Vectors

Floats: TypeAlias = NDArray[np.float32]

LAYERS, HEADS, EPS = 6, 12, 1e-12
ALONE = 2**18
"""Multiplications of a product of matrices up to which OpenBLAS starts no thread."""

_ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
_ERF_P = 0.3275911
"""Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: right to 1.5e-7."""


def encode(weights: Mapping[str, Floats], ids: NDArray[np.int64]) -> Vectors:
    """float32 (384,), of length 1, of the token ids (n,) of one text; `weights` has BERT's own names."""
    x = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = _normed(weights, "embeddings", x + weights["embeddings.token_type_embeddings.weight"][0])  # (n, 384)
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        x = _normed(weights, f"{name}.attention.output", x + _attended(weights, f"{name}.attention", x))
        hidden = _gelu(_linear(weights, f"{name}.intermediate.dense", x))
        x = _normed(weights, f"{name}.output", x + _linear(weights, f"{name}.output.dense", hidden))
    pooled = x.mean(0, dtype=np.float64)
    return np.asarray(pooled / np.linalg.norm(pooled), np.float32)


def _attended(weights: Mapping[str, Floats], name: str, x: Floats) -> Floats:
    """Attention of the text to itself, (n, 384)."""
    query, key, value = (
        _linear(weights, f"{name}.self.{part}", x).reshape(len(x), HEADS, -1).swapaxes(0, 1)
        for part in ("query", "key", "value")
    )  # (heads, n, 32)
    scores = query @ key.swapaxes(1, 2) / np.float32(np.sqrt(query.shape[-1]))  # (heads, n, n)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (scores / scores.sum(-1, keepdims=True)) @ value
    return _linear(weights, f"{name}.output.dense", mixed.swapaxes(0, 1).reshape(x.shape))


def _linear(weights: Mapping[str, Floats], name: str, x: Floats) -> Floats:
    """In pieces that OpenBLAS does with one thread: several that wait for each other cost more than they do here."""
    weight, columns = weights[f"{name}.weight"], np.ascontiguousarray(x.T)
    rows = max(ALONE // columns.size, 1)
    made = np.empty((len(weight), len(x)), np.float32)
    for start in range(0, len(weight), rows):
        np.matmul(weight[start : start + rows], columns, out=made[start : start + rows])
    return np.asarray(made.T + weights[f"{name}.bias"])


def _normed(weights: Mapping[str, Floats], name: str, x: Floats) -> Floats:
    centred = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(EPS))
    return np.asarray(centred / scale * weights[f"{name}.LayerNorm.weight"] + weights[f"{name}.LayerNorm.bias"])


def _gelu(x: Floats) -> Floats:
    """Hendrycks and Gimpel, 2016, by the error function."""
    size = np.abs(x) / np.float32(np.sqrt(2))
    t = 1 / (1 + np.float32(_ERF_P) * size)
    series = np.zeros_like(t)
    for factor in reversed(_ERF):
        series = (series + np.float32(factor)) * t
    erf = np.copysign(1 - series * np.exp(-(size**2)), x)
    return np.asarray(x * (1 + erf) / 2, np.float32)
