"""all-MiniLM-L6-v2 for a few words, with numpy alone.

The same computation as `minilm.MiniLM`, in float32, straight from the mapped file: of the table of words only the rows
that occur are ever read.
"""

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.numpy_layers import Floats, Weights, attended, gelu, linear, normed
from mmsearch.types import Vectors

LAYERS, HEADS, EPS = 6, 12, 1e-12


def encode(weights: Weights, ids: NDArray[np.int64]) -> Vectors:
    """float32 (384,), of length 1, of the token ids (n,) of one text; `weights` has BERT's own names."""
    x = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = _normed(weights, "embeddings", x + weights["embeddings.token_type_embeddings.weight"][0])  # (n, 384)
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        x = _normed(weights, f"{name}.attention.output", x + _attended(weights, f"{name}.attention", x))
        hidden = gelu(_linear(weights, f"{name}.intermediate.dense", x))
        x = _normed(weights, f"{name}.output", x + _linear(weights, f"{name}.output.dense", hidden))
    pooled = x.mean(0, dtype=np.float64)
    return np.asarray(pooled / np.linalg.norm(pooled), np.float32)


def _attended(weights: Weights, name: str, x: Floats) -> Floats:
    """Attention of the text to itself, (n, 384)."""
    query, key, value = (_linear(weights, f"{name}.self.{part}", x) for part in ("query", "key", "value"))
    return _linear(weights, f"{name}.output.dense", attended(query, key, value, HEADS))


def _linear(weights: Weights, name: str, x: Floats) -> Floats:
    return linear(weights[f"{name}.weight"], weights[f"{name}.bias"], x)


def _normed(weights: Weights, name: str, x: Floats) -> Floats:
    return normed(weights[f"{name}.LayerNorm.weight"], weights[f"{name}.LayerNorm.bias"], x, EPS)
