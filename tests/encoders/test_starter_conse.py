"""ConSE, computed by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mmsearch.encoders.starter.conse import CENTRE, CONCEPTS, combine, concepts

AXES: NDArray[np.float32] = np.eye(3, dtype=np.float32)


def test_the_mixed_vector_follows_the_class_scores() -> None:
    scores = np.array([[3, 4, 0], [0, 0, 0.1]], np.float32)
    np.testing.assert_allclose(combine(scores, AXES, 3), np.array([[0.6, 0.8, 0], [0, 0, 1]]), atol=1e-7)


def test_only_the_best_classes_count() -> None:
    scores = np.array([[3, 4, 1]], np.float32)
    np.testing.assert_allclose(combine(scores, AXES, 2), [[0.6, 0.8, 0]], atol=1e-7)
    np.testing.assert_allclose(combine(scores, AXES, 1), [[0, 1, 0]], atol=1e-7)


def test_ties_go_to_the_lower_class() -> None:
    np.testing.assert_array_equal(combine(np.ones((1, 3), np.float32), AXES, 1), [[1, 0, 0]])


@pytest.mark.parametrize(("classes", "count"), [("imagenet", 1000), ("audioset", 521)])
def test_concepts_are_the_centred_unit_vectors(classes: str, count: int) -> None:
    from safetensors.numpy import load_file

    stored = load_file(CONCEPTS.locate())[classes].astype(np.float32)
    assert stored.shape == (count, 384)
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), 1, atol=2e-3)
    centred = concepts(classes)
    assert centred.dtype == np.float32
    np.testing.assert_allclose(centred.mean(axis=0), (1 - CENTRE) * stored.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(centred[0] - centred[1], stored[0] - stored[1], atol=1e-6)
