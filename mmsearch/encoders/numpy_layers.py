"""A transformer's layers in numpy, in float32, for a few words: importing torch takes a hundred times as long.

Weights are mapped from their file, and by the names that it has.
"""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Weights: TypeAlias = Mapping[str, Floats]

ALONE = 2**18
"""Multiplications of a product of matrices up to which OpenBLAS starts no thread."""

_ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
_ERF_P = 0.3275911
"""Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: right to 1.5e-7."""


def linear(weight: Floats, bias: Floats | None, x: Floats) -> Floats:
    """x W^T + b of x (n, in), in pieces that OpenBLAS does with one thread: several that wait for each other cost more
    than they do here."""
    columns = np.ascontiguousarray(x.T)
    rows = max(ALONE // columns.size, 1)
    made = np.empty((len(weight), len(x)), np.float32)
    for start in range(0, len(weight), rows):
        np.matmul(weight[start : start + rows], columns, out=made[start : start + rows])
    return np.asarray(made.T if bias is None else made.T + bias)


def attended(query: Floats, key: Floats, value: Floats, heads: int, *, causal: bool = False) -> Floats:
    """Attention of a text to itself, (n, width), of projections (n, width)."""
    query, key, value = (one.reshape(len(one), heads, -1).swapaxes(0, 1) for one in (query, key, value))
    scores = query @ key.swapaxes(1, 2) / np.float32(np.sqrt(query.shape[-1]))  # (heads, n, n)
    if causal:
        scores[:, ~np.tri(scores.shape[1], dtype=bool)] = -np.inf
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (scores / scores.sum(-1, keepdims=True)) @ value
    return np.asarray(mixed.swapaxes(0, 1).reshape(mixed.shape[1], -1))


def normed(weight: Floats, bias: Floats, x: Floats, eps: float) -> Floats:
    centred = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(eps))
    return np.asarray(centred / scale * weight + bias)


def gelu(x: Floats) -> Floats:
    """Hendrycks and Gimpel, 2016, by the error function."""
    size = np.abs(x) / np.float32(np.sqrt(2))
    t = 1 / (1 + np.float32(_ERF_P) * size)
    series = np.zeros_like(t)
    for factor in reversed(_ERF):
        series = (series + np.float32(factor)) * t
    erf = np.copysign(1 - series * np.exp(-(size**2)), x)
    return np.asarray(x * (1 + erf) / 2, np.float32)


def tanh_gelu(x: Floats) -> Floats:
    """Their approximation."""
    return np.asarray(x * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3))) / 2)


def quick_gelu(x: Floats) -> Floats:
    """As the first CLIP has it."""
    return np.asarray(x / (1 + np.exp(np.float32(-1.702) * x)))
