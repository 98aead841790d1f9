"""Exact scores do not depend on where a row lies, how many there are, or on the matrix product."""

import math

import numpy as np
import pytest

from mmsearch.types import Vectors
from mmsearch.vectors import rank


def rows(count: int, dim: int, seed: int = 0) -> Vectors:
    raw = np.random.default_rng(seed).standard_normal((count, dim))
    made: Vectors = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    return made


@pytest.mark.parametrize("dim", [1, 2, 7, 8, 9, 127, 128, 129, 384, 1024])
def test_a_score_does_not_depend_on_other_rows(dim: int) -> None:
    some, query = rows(5000, dim), rows(1, dim, seed=1)[0]
    together = rank.exact_scores(query, some)
    alone = np.concatenate([rank.exact_scores(query, some[n : n + 1]) for n in range(0, 5000, 13)])
    assert together[::13].tobytes() == alone.tobytes()
    assert rank.exact_scores(query, some[::-1])[::-1].tobytes() == together.tobytes()


@pytest.mark.parametrize("dim", [8, 64, 384, 1024])
def test_the_score_of_an_orthogonal_row_does_not_depend_on_its_position(dim: int) -> None:
    """The sum is nearly 0 and made of rounding errors alone, which any other order of adding would change."""
    half, query = rows(2000, dim // 2), np.full(dim, dim**-0.5, np.float32)
    shuffle = np.random.default_rng(3).permutation(dim)
    some = np.ascontiguousarray(np.hstack([half, -half])[:, shuffle]) * np.float32(0.5**0.5)
    query += rows(1, dim, seed=1)[0] * np.float32(1e-9)
    together = rank.exact_scores(query, some)
    alone = np.concatenate([rank.exact_scores(query, some[n : n + 1]) for n in range(2000)])
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("dim", [3, 384])
def test_a_score_is_the_true_cosine_rounded_once(dim: int) -> None:
    some, query = rows(300, dim), rows(1, dim, seed=1)[0]
    true = [math.fsum(float(a) * float(b) for a, b in zip(row, query, strict=True)) for row in some]
    np.testing.assert_array_max_ulp(rank.exact_scores(query, some), np.array(true, np.float32), maxulp=1)


def test_a_score_of_zero_is_never_negative() -> None:
    score = rank.exact_scores(np.array([1, 0], np.float32), np.array([[-0.0, -1]], np.float32))
    assert score.tobytes() == np.zeros(1, np.float32).tobytes()


@pytest.mark.parametrize("dim", [2, 64, 384])
def test_float32_scores_deviate_less_than_the_slack(dim: int) -> None:
    some, query = rows(4000, dim), rows(1, dim, seed=1)[0]
    assert np.abs(some @ query - rank.exact_scores(query, some)).max() < rank.slack(dim) / 2


def test_near_ties_are_ordered_by_exact_score() -> None:
    """Rows that differ by a few units in the last place, which a float32 product can't order."""
    dim, rng = 384, np.random.default_rng(2)
    some = np.repeat(rows(1, dim), 500, axis=0)
    some += rng.integers(-2, 3, some.shape).astype(np.float32) * np.float32(2**-27)
    numbers = rng.permutation(500).astype(np.int64)
    exact = rank.exact_scores(some[0], some)
    expected = numbers[np.lexsort((numbers, -exact))][:20]
    assert rank.nearest(some[0], numbers, some, 20)[0].tolist() == expected.tolist()
