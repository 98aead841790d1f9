"""What the stages of a search hand on."""

import numpy as np

from mmsearch.indexing import vector_cache
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.types import Ids, Vectors


class Catalog:
    """Vectors that say whose they are, and which of them were asked for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def read(self, ids: Ids) -> Vectors:
        self.asked.append(ids.tolist())
        return np.stack([ids, -ids], axis=1).astype(np.float32)


def test_a_cached_vector_is_read_once() -> None:
    catalog, at_hand = Catalog(), VectorCache()
    assert at_hand.fetch(np.array([2, 5, 9]), catalog.read).tolist() == [[2, -2], [5, -5], [9, -9]]
    assert at_hand.fetch(np.array([1, 2, 7, 9]), catalog.read).tolist() == [[1, -1], [2, -2], [7, -7], [9, -9]]
    assert at_hand.fetch(np.array([5, 7]), catalog.read).tolist() == [[5, -5], [7, -7]]
    assert catalog.asked == [[2, 5, 9], [1, 7]]
    row = at_hand.get(7)
    assert row is not None and row.tolist() == [7, -7] and at_hand.get(3) is None


def test_fetching_no_ids_gives_no_rows() -> None:
    assert VectorCache().fetch(np.empty(0, np.int64), lambda ids: np.empty((0, 2), np.float32)).shape == (0, 2)


def test_a_selection_larger_than_the_cache_is_not_cached() -> None:
    catalog, at_hand = Catalog(), VectorCache()
    many = np.arange(vector_cache.KEPT + 1)
    for _ in range(2):
        assert len(at_hand.fetch(many, catalog.read)) == len(many)
    assert len(catalog.asked) == 2 and at_hand.get(0) is None
