"""Zero-shot vectors from a classifier: the convex combination of class-name vectors.

ConSE: Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings" (ICLR 2014). A picture that
the classifier finds 70 % tabby and 30 % tiger lies that far between the two words, so any words find it.
Beyond the paper, the class vectors are centred first, as is known to help word vectors (Mu and Viswanath,
"All-but-the-Top", ICLR 2018): what all class names share would draw every picture towards the same words.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.weights import WeightFile
from mmsearch.types import Vectors

CONCEPTS = WeightFile(
    "mmsearch",
    "encoders/starter/concepts.safetensors",
    "fa09ac809d8d2cdc337e6be33bab994fc62e02bb81fd6b0a43e2ce659cf41f9d",
    "mmsearch",
)
"""float16 (1000, 384) "imagenet" and (521, 384) "audioset": text vectors of the class names, made by convert.py."""

CENTRE = 0.6
"""Share of the classes' mean vector that is taken off each of them: what all names have in common says nothing."""


def concepts(classes: str) -> Vectors:
    """The centred text vectors of the class names, float32 (classes, 384). Raises: WeightsError."""
    from safetensors.numpy import load_file

    stored: NDArray[Any] = load_file(CONCEPTS.verified())[classes]
    vectors = stored.astype(np.float32)
    return np.asarray(vectors - CENTRE * vectors.mean(axis=0), np.float32)


def combine(scores: NDArray[np.float32], vectors: NDArray[np.float32], top: int) -> Vectors:
    """float32 (n, dim), unit rows: each row's `top` best classes' vectors, weighted by their scores.

    scores: float32 (n, classes), none negative, each row with something above zero. Ties go to the lower class.
    """
    best = _best(scores, top)
    weights = np.take_along_axis(scores, best, axis=1)
    mixed = np.einsum("nk,nkd->nd", weights.astype(np.float64), vectors[best].astype(np.float64))
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def parts(
    scores: NDArray[np.float32], vectors: NDArray[np.float32], top: int, names: Sequence[str]
) -> list[tuple[str, float, NDArray[np.float32]]]:
    """The classes of one row of `combine`, (classes,): their names, weights and vectors, which sum up to its vector."""
    best = _best(scores[np.newaxis], top)[0]
    mixed = scores[best].astype(np.float64) @ vectors[best].astype(np.float64)
    weights = scores[best] / np.linalg.norm(mixed)
    return [(names[i], float(w), vectors[i]) for i, w in zip(best.tolist(), weights, strict=True) if w > 0]


def _best(scores: NDArray[np.float32], top: int) -> NDArray[np.int64]:
    """(n, top) classes, best first."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :top]
