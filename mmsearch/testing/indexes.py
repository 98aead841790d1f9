"""What every vector index promises (`mmsearch.VectorIndex`), as suites of tests to inherit.

from mmsearch.testing.indexes import IndexContract, SavedIndexContract

class TestMine(IndexContract, SavedIndexContract):
    @pytest.fixture
    def backend(self):
        return MyIndex
"""

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmsearch.core import registry
from mmsearch.errors import IndexDamaged, InvalidInput
from mmsearch.types.contracts import Ids, Neighbours, Selection, Vectors

DIM = 16
Backend = Callable[[int], Any]
"""Makes an empty index of a dimension; of one that can be saved it is the class, with its `load`."""


def unit(rows: Any) -> Vectors:
    wide = np.asarray(rows, np.float64)
    made: Vectors = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return made


def clustered(count: int, dim: int = DIM, seed: int = 0) -> Vectors:
    """Rows around a few centres, so that near-ties are many."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((8, dim))
    return unit(centres[rng.integers(0, 8, count)] + 0.05 * rng.standard_normal((count, dim)))


def axes(*numbers: int, dim: int = 4) -> Vectors:
    """Rows that are unit vectors along the axes named."""
    return np.eye(dim, dtype=np.float32)[list(numbers)]


def ids(*numbers: int) -> Ids:
    return np.array(numbers, np.int64)


def oracle(queries: Vectors, known: dict[int, Vectors], k: int) -> list[list[tuple[int, float]]]:
    """The definition: cosine row by row in float64, rounded once, clipped to [-1, 1], sorted by (-score, id)."""
    answers = []
    for query in queries.astype(np.float64):
        scored = [
            (number, float(np.float32(np.clip((row * query).sum(), -1, 1)))) for number, row in sorted(known.items())
        ]
        answers.append(sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:k])
    return answers


def pairs(found: Neighbours) -> list[list[tuple[int, float]]]:
    return [
        list(zip(row.tolist(), scores.tolist(), strict=True))
        for row, scores in zip(found.ids, found.scores, strict=True)
    ]


def same(one: Neighbours, other: Neighbours) -> bool:
    """Equal bit for bit."""
    return one.ids.tobytes() == other.ids.tobytes() and one.scores.tobytes() == other.scores.tobytes()


def filled(backend: Backend, count: int = 3000) -> tuple[Any, Ids, Vectors]:
    index, rows = backend(DIM), clustered(count)
    numbers = np.random.default_rng(1).permutation(count * 2)[:count].astype(np.int64)
    index.add(numbers, rows)
    return index, numbers, rows


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[tuple[str, list[int], Vectors]], Vectors, int, list[int] | None]:
    """dim, changes, queries, k, selected ids."""
    dim = draw(st.integers(1, 5))
    values = st.floats(-1, 1, width=32) | st.sampled_from([0.0, 1.0, -1.0, 0.5])
    numbers = st.integers(0, 12)

    def rows(count: int) -> Vectors:
        raw = draw(arrays(np.float32, (count, dim), elements=values))
        raw[np.linalg.norm(raw.astype(np.float64), axis=1) < 1e-6, 0] = 1.0
        return unit(raw)

    changes = []
    for kind in draw(st.lists(st.sampled_from(["add", "add", "remove"]), max_size=6)):
        some = draw(st.lists(numbers, unique=True, max_size=8))
        changes.append((kind, some, rows(len(some))))
    selection = draw(st.none() | st.lists(numbers, unique=True).map(sorted))
    return dim, changes, rows(draw(st.integers(1, 3))), draw(st.integers(1, 15)), selection


class IndexContract:
    """Tests of an index in memory; name the subclass Test..., and override `backend`."""

    @pytest.fixture
    def backend(self) -> Backend:
        raise NotImplementedError("override the fixture `backend`")

    def test_finds_the_nearest_with_cosine_scores(self, backend: Backend) -> None:
        index = backend(4)
        index.add(ids(7, 3, 9), unit([[1, 0, 0, 0], [3, 4, 0, 0], [0, 0, 1, 0]]))
        found = index.search(axes(0), 2)
        assert pairs(found) == [[(7, 1.0), (3, float(np.float32(0.6)))]]
        assert (found.ids.dtype, found.scores.dtype) == (np.int64, np.float32)
        assert (len(index), index.dim, index.ids().tolist()) == (3, 4, [3, 7, 9])

    def test_adding_a_known_id_replaces_its_vector(self, backend: Backend) -> None:
        index = backend(4)
        index.add(ids(1, 2), axes(0, 1))
        index.add(ids(3, 1), axes(3, 2))
        assert index.ids().tolist() == [1, 2, 3]
        assert pairs(index.search(axes(2), 1)) == [[(1, 1.0)]]
        assert pairs(index.search(axes(0), 3)) == [[(1, 0.0), (2, 0.0), (3, 0.0)]]

    def test_remove_forgets_known_ids_and_ignores_others(self, backend: Backend) -> None:
        index = backend(4)
        index.add(ids(1, 2, 3), axes(0, 1, 2))
        assert index.remove(ids(2, 2, 50, -1)) == 1
        assert index.remove(ids(2)) == 0
        assert index.remove(ids()) == 0
        assert index.ids().tolist() == [1, 3]
        assert pairs(index.search(axes(1), 5)) == [[(1, 0.0), (3, 0.0)]]

    def test_removing_everything_and_adding_again_works(self, backend: Backend) -> None:
        index = backend(4)
        index.add(ids(1, 2), axes(0, 1))
        assert index.remove(ids(1, 2)) == 2
        assert index.search(axes(0), 3).ids.shape == (1, 0)
        index.add(ids(2), axes(0))
        assert pairs(index.search(axes(0), 3)) == [[(2, 1.0)]]

    def test_adding_nothing_changes_nothing(self, backend: Backend) -> None:
        index = backend(4)
        index.add(ids(), np.empty((0, 4), np.float32))
        assert len(index) == 0 and index.ids().tolist() == []

    def test_the_index_keeps_its_own_copy(self, backend: Backend) -> None:
        index, rows, numbers = backend(4), axes(0, 1), ids(1, 2)
        index.add(numbers, rows)
        rows[:], numbers[:] = 0, 9
        index.ids()[:] = 9
        assert pairs(index.search(axes(0), 2)) == [[(1, 1.0), (2, 0.0)]]

    @pytest.mark.parametrize(
        "wrong",
        [
            np.full((1, 4), np.nan, np.float32),
            np.full((1, 4), np.inf, np.float32),
            np.zeros((1, 4), np.float32),
            np.full((1, 4), 1.0, np.float32),
            axes(0) * np.float32(1.002),
            axes(0).astype(np.float64),
            axes(0, dim=5),
            axes(0)[0],
            axes(0).tolist(),
        ],
        ids=["nan", "infinite", "zero", "long", "a little long", "float64", "another dim", "one row", "a list"],
    )
    def test_vectors_that_are_not_unit_float32_rows_are_refused(self, backend: Backend, wrong: Any) -> None:
        index = backend(4)
        index.add(ids(5), axes(1))
        with pytest.raises(InvalidInput):
            index.add(ids(1), wrong)
        with pytest.raises(InvalidInput):
            index.search(wrong, 1)
        assert index.ids().tolist() == [5]

    @pytest.mark.parametrize(
        "wrong",
        [ids(4, 4), ids(-1, 4), ids(4), ids(4, 5, 6), np.array([4, 6], np.int32), np.array([4.0, 6.0]), [4, 6]],
        ids=["twice", "negative", "too few", "too many", "int32", "float", "a list"],
    )
    def test_ids_that_are_not_distinct_int64_are_refused(self, backend: Backend, wrong: Any) -> None:
        index = backend(4)
        index.add(ids(4), axes(0))
        with pytest.raises(InvalidInput):
            index.add(wrong, axes(1, 2))
        assert pairs(index.search(axes(0), 2)) == [[(4, 1.0)]]

    @pytest.mark.parametrize("k", [0, -1, 1.5, None, "3"])
    def test_k_must_be_a_positive_whole_number(self, backend: Backend, k: Any) -> None:
        index = backend(4)
        index.add(ids(1), axes(0))
        with pytest.raises(InvalidInput):
            index.search(axes(0), k)

    def test_a_dimension_must_be_positive(self, backend: Backend) -> None:
        with pytest.raises(InvalidInput):
            backend(0)

    def test_an_empty_index_finds_nothing(self, backend: Backend) -> None:
        found = backend(4).search(axes(0, 1), 5)
        assert found.ids.shape == found.scores.shape == (2, 0)

    def test_no_queries_give_no_rows(self, backend: Backend) -> None:
        index, _, _ = filled(backend)
        assert index.search(np.empty((0, DIM), np.float32), 5).ids.shape == (0, 5)

    @pytest.mark.parametrize("k", [1, 10, 1499, 1500, 2999, 3000, 10**9])
    def test_k_may_exceed_the_number_of_vectors(self, backend: Backend, k: int) -> None:
        index, numbers, rows = filled(backend)
        known = dict(zip(numbers.tolist(), rows, strict=True))
        assert pairs(index.search(rows[:2], np.int64(k))) == oracle(rows[:2], known, k)

    @pytest.mark.parametrize("k", [1, 7, 100, 1999, 2001])
    def test_ties_at_the_end_of_the_list_go_to_the_smaller_ids(self, backend: Backend, k: int) -> None:
        index = backend(4)
        numbers = np.random.default_rng(3).permutation(4000).astype(np.int64)
        index.add(numbers, np.repeat(axes(0, 1), 2000, axis=0))
        found = index.search(axes(0), k)
        first, second = np.sort(numbers[:2000]), np.sort(numbers[2000:])
        assert found.ids[0].tolist() == [*first, *second][:k]
        assert found.scores[0].tolist() == ([1.0] * 2000 + [0.0] * 2000)[:k]

    def test_scores_are_clipped_to_the_range_of_a_cosine(self, backend: Backend) -> None:
        index, long = backend(4), axes(0, 0) * np.array([[1.0005], [1.0004]], np.float32)
        index.add(ids(8, 3), long)
        assert pairs(index.search(long[:1], 2)) == [[(3, 1.0), (8, 1.0)]]
        assert pairs(index.search(-long[:1], 2)) == [[(3, -1.0), (8, -1.0)]]

    @pytest.mark.parametrize("size", [0, 1, 5, 1023, 1024, 1025, 2000, 2999, 3000])
    def test_a_selection_of_any_size_costs_no_recall(self, backend: Backend, size: int) -> None:
        index, numbers, rows = filled(backend)
        picked = np.random.default_rng(size).permutation(3000)[:size]
        known = {int(numbers[place]): rows[place] for place in picked}
        # As many unknown ids again, before, between and beyond the known ones.
        unknown = np.setdiff1d(np.arange(-5, 7000, dtype=np.int64), numbers)[: size + 5]
        selection = Selection(np.union1d(numbers[picked], unknown))
        for k in (1, 10, 3000):
            assert pairs(index.search(rows[:3], k, selection=selection)) == oracle(rows[:3], known, k)

    def test_a_selection_of_unknown_ids_finds_nothing(self, backend: Backend) -> None:
        index, _, rows = filled(backend)
        assert index.search(rows[:2], 4, selection=Selection(ids(-7, 10**12))).ids.shape == (2, 0)

    @pytest.mark.parametrize("wrong", [ids(3, 1), ids(1, 1), np.array([1.0]), np.array([[1]])])
    def test_a_selection_must_be_sorted_unique_int64(self, backend: Backend, wrong: Any) -> None:
        index, _, rows = filled(backend, 10)
        with pytest.raises(InvalidInput):
            index.search(rows[:1], 1, selection=Selection(wrong))

    def test_many_queries_at_once_equal_one_by_one(self, backend: Backend) -> None:
        index, numbers, rows = filled(backend)
        for selection in (None, Selection(np.sort(numbers[:2000]))):
            together = index.search(rows[:50], 25, selection=selection)
            for row in range(50):
                alone = index.search(rows[row : row + 1], 25, selection=selection)
                assert same(alone, Neighbours(together.ids[row : row + 1], together.scores[row : row + 1]))

    def test_rows_may_be_a_view_that_is_not_contiguous(self, backend: Backend) -> None:
        index, rows = backend(DIM), clustered(20)
        index.add(np.arange(20, dtype=np.int64)[::2], rows[::2])
        assert index.search(np.asfortranarray(rows[:4]), 1).ids[::2, 0].tolist() == [0, 2]

    def test_the_order_and_history_of_adding_do_not_matter(self, backend: Backend) -> None:
        index, numbers, rows = filled(backend)
        other = backend(DIM)
        other.add(numbers[1000:2500], -rows[1000:2500])
        for places in np.array_split(np.random.default_rng(5).permutation(3000), 7):
            other.add(numbers[places], rows[places])
        other.add(ids(10**6), rows[:1])
        other.remove(ids(10**6))
        assert same(index.search(rows[:40], 30), other.search(rows[:40], 30))

    def test_every_backend_gives_the_same_bits(self, backend: Backend) -> None:
        index, numbers, rows = filled(backend)
        reference = registry.load_part("indexes", "numpy")(DIM)
        reference.add(numbers, rows)
        queries = clustered(30, seed=9)
        assert same(index.search(queries, 20), reference.search(queries, 20))

    def test_a_search_sees_a_concurrent_change_whole_or_not_at_all(self, backend: Backend) -> None:
        """While a writer moves a block of ids between two directions, every answer is a state it once was in."""
        index, block, wrong = backend(4), np.arange(1500, dtype=np.int64), []
        sides = [np.repeat(axes(side), len(block), axis=0) for side in (0, 1)]
        index.add(block, sides[0])
        done: list[bool] = []

        def read() -> None:
            while not done:
                found = index.search(axes(0, 1), 10)
                ordered = found.ids.tolist() == [list(range(10))] * 2
                if not ordered or found.scores.sum(axis=1).tolist() not in ([10.0, 0.0], [0.0, 10.0]):
                    wrong.append(found)

        threads = [Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for turn in range(1, 30):
            index.add(block, sides[turn % 2])
        done.append(True)
        for thread in threads:
            thread.join()
        assert not wrong

    @settings(
        max_examples=100,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(histories())
    def test_any_sequence_of_changes_agrees_with_brute_force(self, backend: Backend, history: Any) -> None:
        dim, changes, queries, k, selection = history
        index, known = backend(dim), dict[int, Vectors]()
        for kind, numbers, rows in changes:
            if kind == "add":
                index.add(ids(*numbers), rows)
                known |= dict(zip(numbers, rows, strict=True))
            else:
                assert index.remove(ids(*numbers)) == len(known.keys() & set(numbers))
                known = {number: row for number, row in known.items() if number not in numbers}
        assert index.ids().tolist() == sorted(known)
        chosen = known if selection is None else {number: row for number, row in known.items() if number in selection}
        selection = None if selection is None else Selection(ids(*selection))
        assert pairs(index.search(queries, k, selection=selection)) == oracle(queries, chosen, k)


class SavedIndexContract:
    """Tests of an index in a file; name the subclass Test..., and override `backend`."""

    @pytest.fixture
    def backend(self) -> Backend:
        raise NotImplementedError("override the fixture `backend`")

    @pytest.mark.parametrize("count", [0, 1, 3000])
    def test_saved_and_loaded_it_answers_the_same(self, backend: Any, count: int, tmp_path: Path) -> None:
        index, numbers, _ = filled(backend, count)
        path, queries = tmp_path / "new folder" / "ein Index — ü", clustered(20, seed=4)
        index.save(path)
        loaded = backend.load(path, DIM)
        assert same(index.search(queries, 50), loaded.search(queries, 50))
        assert loaded.ids().tolist() == sorted(numbers.tolist())
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]
        loaded.add(ids(10**6), queries[:1])
        assert len(loaded) == count + 1

    def test_bytes_after_a_saved_index_are_ignored(self, backend: Any, tmp_path: Path) -> None:
        index, _, rows = filled(backend, 50)
        index.save(tmp_path / "index")
        with (tmp_path / "index").open("ab") as file:
            file.write(b"a footer" * 100)
        assert same(index.search(rows, 5), backend.load(tmp_path / "index", DIM).search(rows, 5))

    def test_loading_what_is_not_such_an_index_is_refused(self, backend: Any, tmp_path: Path) -> None:
        path = tmp_path / "index"
        with pytest.raises(IndexDamaged):
            backend.load(path, DIM)
        backend(DIM + 1).save(path)
        with pytest.raises(IndexDamaged):
            backend.load(path, DIM)
        filled(backend, 100)[0].save(path)
        content = path.read_bytes()
        for length in (0, 1, 10, 100, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:length])
            with pytest.raises(IndexDamaged):
                backend.load(path, DIM)
        path.write_bytes(b"nothing of the kind " * 100)
        with pytest.raises(IndexDamaged):
            backend.load(path, DIM)
