"""Zero-shot vectors from a classifier: the convex combination of class-name vectors.

ConSE: Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings" (ICLR 2014). A picture that
the classifier finds 70 % tabby and 30 % tiger lies that far between the two words, so any words find it.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.weights import WeightFile
from mmsearch.types import Vectors

FOLDER = Path(__file__).parent

CONCEPTS = WeightFile(
    "mmsearch",
    "encoders/starter/concepts.safetensors",
    "d6a0905ec427660119a253771c2d92219f345ef8c805b68427b9ed92c6722a54",
    "mmsearch",
)
"""float32 (1000, 384) "imagenet" and (521, 384) "audioset": text vectors of the class names, made by convert.py."""


def concepts(classes: str) -> Vectors:
    """The text vectors of the class names, float32 (classes, 384), rows of L2 norm 1. Raises: WeightsError."""
    from safetensors.numpy import load_file

    loaded: NDArray[Any] = load_file(CONCEPTS.verified())[classes]
    return loaded.astype(np.float32)


def combine(scores: NDArray[np.float32], vectors: Vectors, top: int) -> Vectors:
    """float32 (n, dim), unit rows: each row's `top` best classes' vectors, weighted by their scores.

    scores: float32 (n, classes), none negative, each row with something above zero. Ties go to the lower class.
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]  # (n, top)
    weights = np.take_along_axis(scores, best, axis=1)
    mixed = np.einsum("nk,nkd->nd", weights.astype(np.float64), vectors[best].astype(np.float64))
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)
