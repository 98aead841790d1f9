"""What every VectorIndex promises, run on every registered backend."""

import math
from collections.abc import Callable
from functools import partial
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
from mmsearch.types import Ids, Neighbours, Selection, Vectors
from mmsearch.vectors import ann, gpu, layered, presets, rank
from mmsearch.vectors.faiss_module import faiss
from mmsearch.vectors.layered import LayeredIndex
from tests.gpu_stand_in import StandIn

DIM = 16
Backend = Callable[[int], Any]
FAMILIES = ("hnsw", "ivf-sq8")
"""One of each, for what doesn't depend on codes; building them takes time."""

GPU = pytest.param("on the GPU", marks=pytest.mark.skipif(faiss.get_num_gpus() == 0, reason="FAISS sees no GPU here"))
STAND_IN = "as on a GPU"
"""With a copy of the index in memory where a GPU would have one, so that something of this is run everywhere."""

STRUCTURES = [preset.name for preset in presets.PRESETS if not preset.exact]


class Rebuilt:
    """An index whose structure is built anew after every second change, if there is enough in it."""

    def __init__(self, preset: str, dim: int) -> None:
        self._preset, self.dim = presets.preset_named(preset), dim
        self._held: dict[int, Vectors] = {}
        self._changes = 0
        self._serving = LayeredIndex(dim), dict[int, Vectors]()

    def __len__(self) -> int:
        return len(self._serving[0])

    def ids(self) -> Ids:
        return self._serving[0].ids()

    def add(self, ids: Ids, vectors: Vectors) -> None:
        self._serving[0].add(ids, vectors)
        self._held |= dict(zip(ids.tolist(), vectors.copy(), strict=True))
        self._changed()

    def remove(self, ids: Ids) -> int:
        removed = self._serving[0].remove(ids)
        self._held = {number: row for number, row in self._held.items() if number not in set(ids.tolist())}
        self._changed()
        return removed

    def search(self, queries: Vectors, k: int, *, selection: Selection | None = None) -> Neighbours:
        index, rows = self._serving
        return index.search(
            queries, k, selection=selection, fetch=lambda ids: np.stack([rows[number] for number in ids])
        )

    def _changed(self) -> None:
        self._changes += 1
        if self._changes % 2 and len(self._held) >= presets.SMALLEST:
            numbers = np.array(sorted(self._held), np.int64)
            rows = np.stack([self._held[number] for number in numbers.tolist()])
            made = ann.build_ann(self._preset, rows, len(rows), [(numbers, rows)], 0.95)
            self._serving = LayeredIndex(self.dim, made), dict(self._held)


@pytest.fixture(params=sorted(registry.BUILTIN["indexes"]))
def kept(request: pytest.FixtureRequest) -> Any:
    """A backend that can be saved."""
    return registry.load_part("indexes", request.param)


def copied(device: gpu.Gpu, dim: int) -> LayeredIndex:
    index = LayeredIndex(dim)
    index.use_gpu(device)
    return index


@pytest.fixture(params=[*sorted(registry.BUILTIN["indexes"]), STAND_IN, GPU, *FAMILIES])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param in (STAND_IN, GPU.values[0]):
        return partial(copied, StandIn() if request.param == STAND_IN else gpu.find_gpu())
    if request.param not in FAMILIES:
        return registry.load_part("indexes", request.param)
    # A structure is asked for exact answers where it compares everything; what it finds elsewhere is tested below.
    monkeypatch.setattr(layered, "MAX_COMPARED", 10**6)
    return partial(Rebuilt, request.param)


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


def test_finds_the_nearest_with_cosine_scores(backend: Backend) -> None:
    index = backend(4)
    index.add(ids(7, 3, 9), unit([[1, 0, 0, 0], [3, 4, 0, 0], [0, 0, 1, 0]]))
    found = index.search(axes(0), 2)
    assert pairs(found) == [[(7, 1.0), (3, float(np.float32(0.6)))]]
    assert (found.ids.dtype, found.scores.dtype) == (np.int64, np.float32)
    assert (len(index), index.dim, index.ids().tolist()) == (3, 4, [3, 7, 9])


def test_adding_a_known_id_replaces_its_vector(backend: Backend) -> None:
    index = backend(4)
    index.add(ids(1, 2), axes(0, 1))
    index.add(ids(3, 1), axes(3, 2))
    assert index.ids().tolist() == [1, 2, 3]
    assert pairs(index.search(axes(2), 1)) == [[(1, 1.0)]]
    assert pairs(index.search(axes(0), 3)) == [[(1, 0.0), (2, 0.0), (3, 0.0)]]


def test_remove_forgets_known_ids_and_ignores_others(backend: Backend) -> None:
    index = backend(4)
    index.add(ids(1, 2, 3), axes(0, 1, 2))
    assert index.remove(ids(2, 2, 50, -1)) == 1
    assert index.remove(ids(2)) == 0
    assert index.remove(ids()) == 0
    assert index.ids().tolist() == [1, 3]
    assert pairs(index.search(axes(1), 5)) == [[(1, 0.0), (3, 0.0)]]


def test_removing_everything_and_adding_again_works(backend: Backend) -> None:
    index = backend(4)
    index.add(ids(1, 2), axes(0, 1))
    assert index.remove(ids(1, 2)) == 2
    assert index.search(axes(0), 3).ids.shape == (1, 0)
    index.add(ids(2), axes(0))
    assert pairs(index.search(axes(0), 3)) == [[(2, 1.0)]]


def test_adding_nothing_changes_nothing(backend: Backend) -> None:
    index = backend(4)
    index.add(ids(), np.empty((0, 4), np.float32))
    assert len(index) == 0 and index.ids().tolist() == []


def test_the_index_keeps_its_own_copy(backend: Backend) -> None:
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
def test_vectors_that_are_not_unit_float32_rows_are_refused(backend: Backend, wrong: Any) -> None:
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
def test_ids_that_are_not_distinct_int64_are_refused(backend: Backend, wrong: Any) -> None:
    index = backend(4)
    index.add(ids(4), axes(0))
    with pytest.raises(InvalidInput):
        index.add(wrong, axes(1, 2))
    assert pairs(index.search(axes(0), 2)) == [[(4, 1.0)]]


@pytest.mark.parametrize("k", [0, -1, 1.5, None, "3"])
def test_k_must_be_a_positive_whole_number(backend: Backend, k: Any) -> None:
    index = backend(4)
    index.add(ids(1), axes(0))
    with pytest.raises(InvalidInput):
        index.search(axes(0), k)


def test_a_dimension_must_be_positive(backend: Backend) -> None:
    with pytest.raises(InvalidInput):
        backend(0)


def test_an_empty_index_finds_nothing(backend: Backend) -> None:
    found = backend(4).search(axes(0, 1), 5)
    assert found.ids.shape == found.scores.shape == (2, 0)


def test_no_queries_give_no_rows(backend: Backend) -> None:
    index, _, _ = filled(backend)
    assert index.search(np.empty((0, DIM), np.float32), 5).ids.shape == (0, 5)


@pytest.mark.parametrize("k", [1, 10, 1499, 1500, 2999, 3000, 10**9])
def test_k_may_exceed_the_number_of_vectors(backend: Backend, k: int) -> None:
    index, numbers, rows = filled(backend)
    known = dict(zip(numbers.tolist(), rows, strict=True))
    assert pairs(index.search(rows[:2], np.int64(k))) == oracle(rows[:2], known, k)


@pytest.mark.parametrize("k", [1, 7, 100, 1999, 2001])
def test_ties_at_the_end_of_the_list_go_to_the_smaller_ids(backend: Backend, k: int) -> None:
    index = backend(4)
    numbers = np.random.default_rng(3).permutation(4000).astype(np.int64)
    index.add(numbers, np.repeat(axes(0, 1), 2000, axis=0))
    found = index.search(axes(0), k)
    first, second = np.sort(numbers[:2000]), np.sort(numbers[2000:])
    assert found.ids[0].tolist() == [*first, *second][:k]
    assert found.scores[0].tolist() == ([1.0] * 2000 + [0.0] * 2000)[:k]


def test_scores_are_clipped_to_the_range_of_a_cosine(backend: Backend) -> None:
    index, long = backend(4), axes(0, 0) * np.array([[1.0005], [1.0004]], np.float32)
    index.add(ids(8, 3), long)
    assert pairs(index.search(long[:1], 2)) == [[(3, 1.0), (8, 1.0)]]
    assert pairs(index.search(-long[:1], 2)) == [[(3, -1.0), (8, -1.0)]]


@pytest.mark.parametrize("size", [0, 1, 5, 1023, 1024, 1025, 2000, 2999, 3000])
def test_a_selection_of_any_size_costs_no_recall(backend: Backend, size: int) -> None:
    index, numbers, rows = filled(backend)
    picked = np.random.default_rng(size).permutation(3000)[:size]
    known = {int(numbers[place]): rows[place] for place in picked}
    # As many unknown ids again, before, between and beyond the known ones.
    unknown = np.setdiff1d(np.arange(-5, 7000, dtype=np.int64), numbers)[: size + 5]
    selection = Selection(np.union1d(numbers[picked], unknown))
    for k in (1, 10, 3000):
        assert pairs(index.search(rows[:3], k, selection=selection)) == oracle(rows[:3], known, k)


def test_a_selection_of_unknown_ids_finds_nothing(backend: Backend) -> None:
    index, _, rows = filled(backend)
    assert index.search(rows[:2], 4, selection=Selection(ids(-7, 10**12))).ids.shape == (2, 0)


@pytest.mark.parametrize("wrong", [ids(3, 1), ids(1, 1), np.array([1.0]), np.array([[1]])])
def test_a_selection_must_be_sorted_unique_int64(backend: Backend, wrong: Any) -> None:
    index, _, rows = filled(backend, 10)
    with pytest.raises(InvalidInput):
        index.search(rows[:1], 1, selection=Selection(wrong))


def test_many_queries_at_once_equal_one_by_one(backend: Backend) -> None:
    index, numbers, rows = filled(backend)
    for selection in (None, Selection(np.sort(numbers[:2000]))):
        together = index.search(rows[:50], 25, selection=selection)
        for row in range(50):
            alone = index.search(rows[row : row + 1], 25, selection=selection)
            assert same(alone, Neighbours(together.ids[row : row + 1], together.scores[row : row + 1]))


def test_rows_may_be_a_view_that_is_not_contiguous(backend: Backend) -> None:
    index, rows = backend(DIM), clustered(20)
    index.add(np.arange(20, dtype=np.int64)[::2], rows[::2])
    assert index.search(np.asfortranarray(rows[:4]), 1).ids[::2, 0].tolist() == [0, 2]


def test_the_order_and_history_of_adding_do_not_matter(backend: Backend) -> None:
    index, numbers, rows = filled(backend)
    other = backend(DIM)
    other.add(numbers[1000:2500], -rows[1000:2500])
    for places in np.array_split(np.random.default_rng(5).permutation(3000), 7):
        other.add(numbers[places], rows[places])
    other.add(ids(10**6), rows[:1])
    other.remove(ids(10**6))
    assert same(index.search(rows[:40], 30), other.search(rows[:40], 30))


def test_every_backend_gives_the_same_bits(backend: Backend) -> None:
    index, numbers, rows = filled(backend)
    reference = registry.load_part("indexes", "numpy")(DIM)
    reference.add(numbers, rows)
    queries = clustered(30, seed=9)
    assert same(index.search(queries, 20), reference.search(queries, 20))


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_saved_and_loaded_it_answers_the_same(kept: Any, count: int, tmp_path: Path) -> None:
    index, numbers, _ = filled(kept, count)
    path, queries = tmp_path / "new folder" / "ein Index — ü", clustered(20, seed=4)
    index.save(path)
    loaded = kept.load(path, DIM)
    assert same(index.search(queries, 50), loaded.search(queries, 50))
    assert loaded.ids().tolist() == sorted(numbers.tolist())
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    loaded.add(ids(10**6), queries[:1])
    assert len(loaded) == count + 1


def test_bytes_after_a_saved_index_are_ignored(kept: Any, tmp_path: Path) -> None:
    index, _, rows = filled(kept, 50)
    index.save(tmp_path / "index")
    with (tmp_path / "index").open("ab") as file:
        file.write(b"a footer" * 100)
    assert same(index.search(rows, 5), kept.load(tmp_path / "index", DIM).search(rows, 5))


def test_loading_what_is_not_such_an_index_is_refused(kept: Any, tmp_path: Path) -> None:
    path = tmp_path / "index"
    with pytest.raises(IndexDamaged):
        kept.load(path, DIM)
    kept(DIM + 1).save(path)
    with pytest.raises(IndexDamaged):
        kept.load(path, DIM)
    filled(kept, 100)[0].save(path)
    content = path.read_bytes()
    for length in (0, 1, 10, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(IndexDamaged):
            kept.load(path, DIM)
    path.write_bytes(b"nothing of the kind " * 100)
    with pytest.raises(IndexDamaged):
        kept.load(path, DIM)


@pytest.mark.slow
def test_a_search_sees_a_concurrent_change_whole_or_not_at_all(backend: Backend) -> None:
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


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
@pytest.mark.slow
def test_any_sequence_of_changes_agrees_with_brute_force(backend: Backend, history: Any) -> None:
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


def truth(queries: Vectors, numbers: Ids, rows: Vectors, k: int) -> list[set[int]]:
    order = np.argsort(-(queries @ rows.T), axis=1)[:, :k]
    return [set(numbers[near].tolist()) for near in order]


def spread(count: int, seed: int) -> Vectors:
    """Rows in clusters that overlap."""
    centres = np.random.default_rng(0).standard_normal((100, 32))
    rng = np.random.default_rng([1, seed])
    return unit(centres[rng.integers(0, 100, count)] + 0.5 * rng.standard_normal((count, 32)))


@pytest.fixture(scope="module", params=STRUCTURES)
def structure(request: pytest.FixtureRequest) -> tuple[ann.AnnIndex, Ids, Vectors]:
    """Over 6,000 rows, which is more than are compared one by one."""
    rows, numbers = spread(6000, 0), np.arange(0, 18000, 3, dtype=np.int64)
    parts = [(numbers[at], rows[at]) for at in np.array_split(np.arange(6000), 4)]
    made = ann.build_ann(presets.preset_named(request.param), rows[::2].copy(), 6000, parts, 0.9)
    return made.with_facts(search_effort=24 if made.preset.search_parameter == "nprobe" else 96), numbers, rows


def test_an_ann_index_that_names_another_file_is_refused(tmp_path: Path) -> None:
    """FAISS keeps lists in other files, if it is told to; it would map the one that is named, to read and to write."""
    rows, numbers = spread(2000, 0), np.arange(2000, dtype=np.int64)
    made = ann.build_ann(presets.preset_named("ivf"), rows, 2000, [(numbers, rows)], 0.9)
    lists = faiss.OnDiskInvertedLists(made._index.nlist, made._index.code_size, str(tmp_path / "somebody's"))
    lists.merge_from_1(made._index.invlists)
    made._index.replace_invlists(lists)
    made.save(tmp_path / "structure")
    with pytest.raises(IndexDamaged, match="names another file"):
        ann.AnnIndex.load(tmp_path / "structure", 32)


@pytest.mark.parametrize("device", ["cpu", STAND_IN, GPU])
@pytest.mark.parametrize("share", [1, 0.3, 0.04])
def test_an_ann_index_reaches_its_recall_with_exact_scores(
    structure: tuple[ann.AnnIndex, Ids, Vectors], share: float, device: str
) -> None:
    made, numbers, rows = structure
    chosen = np.sort(np.random.default_rng(3).permutation(6000)[: int(6000 * share)])
    index, queries = LayeredIndex(32, made.with_facts()), spread(60, 5)
    if device != "cpu":
        index.use_gpu(StandIn() if device == STAND_IN else gpu.find_gpu())
    selection = None if share == 1 else Selection(numbers[chosen])
    found = index.search(queries, 10, selection=selection, fetch=lambda ids: rows[ids // 3])
    assert found.ids.shape == (60, 10) and np.isin(found.ids, numbers[chosen]).all()
    exact = truth(queries, numbers[chosen], rows[chosen], 10)
    recall = np.mean([len(best & set(ids)) / 10 for best, ids in zip(exact, found.ids.tolist(), strict=True)])
    assert recall >= 0.9
    for query, ids, scores in zip(queries, found.ids, found.scores, strict=True):
        assert rank.exact_scores(query, rows[ids // 3]).tobytes() == scores.tobytes()
        assert list(zip(-scores, ids, strict=True)) == sorted(zip(-scores, ids, strict=True))


def test_a_vector_removed_from_an_ann_index_is_never_found_again(
    structure: tuple[ann.AnnIndex, Ids, Vectors], tmp_path: Path
) -> None:
    made, numbers, rows = structure
    index, queries = LayeredIndex(32, made), spread(60, 5)
    gone = numbers[::2]
    assert (index.remove(gone), index.remove(gone), len(index)) == (3000, 0, 3000)
    index.add(gone[:7], rows[::2][:7])
    made.save(tmp_path / "structure")
    index.save(tmp_path / "changes")
    again = LayeredIndex.load(tmp_path / "changes", 32, ann.AnnIndex.load(tmp_path / "structure", 32))
    left = np.union1d(numbers[1::2], gone[:7])
    for one in (index, again):
        assert one.ids().tolist() == left.tolist()
        for k in (10, 2999, 5000):
            found = one.search(queries, k, fetch=lambda ids: rows[ids // 3])
            assert found.ids.shape == (60, min(k, 3007)) and np.isin(found.ids, left).all()
    assert same(*(one.search(queries, 20, fetch=lambda ids: rows[ids // 3]) for one in (index, again)))


def test_a_damaged_or_foreign_ann_index_is_refused(
    structure: tuple[ann.AnnIndex, Ids, Vectors], tmp_path: Path
) -> None:
    made, _, _ = structure
    made.save(tmp_path / "structure")
    with pytest.raises(IndexDamaged):
        ann.AnnIndex.load(tmp_path / "structure", 33)
    content = (tmp_path / "structure").read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(IndexDamaged):
            ann.AnnIndex.load(tmp_path / "cut", 32)
    index = LayeredIndex(32, made)
    index.remove(made.ids[:3].copy())
    index.save(tmp_path / "changes")
    with pytest.raises(IndexDamaged):
        LayeredIndex.load(tmp_path / "changes", 32)


@pytest.mark.parametrize(("share", "times"), [(1, 1.0), (0.64, 1.25), (0.5, math.sqrt(2))])
def test_under_a_filter_search_effort_grows_with_the_root_of_the_inverse_share(
    structure: tuple[ann.AnnIndex, Ids, Vectors], share: float, times: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, numbers, rows = structure
    asked: list[int] = []
    near = ann.AnnIndex.propose

    def counted(self: ann.AnnIndex, queries: Vectors, want: int, effort: int, selection: Any = None) -> Any:
        asked.append(effort)
        return near(self, queries, want, effort, selection)

    monkeypatch.setattr(ann.AnnIndex, "propose", counted)
    selection = None if share == 1 else Selection(numbers[: int(6000 * share)])
    LayeredIndex(32, made).search(spread(1, 5), 10, selection=selection, fetch=lambda ids: rows[ids // 3])
    assert asked[0] == int(made.facts.search_effort * times)


def searched(
    structure: tuple[ann.AnnIndex, Ids, Vectors], chosen: Ids, query: Vectors, **facts: Any
) -> tuple[list[int], list[int]]:
    """Ids of the ten nearest of the chosen rows as a structure of little effort finds them, and as they are."""
    made, numbers, rows = structure
    index = LayeredIndex(
        32, made.with_facts(search_effort=2 if made.preset.search_parameter == "nprobe" else 16, **facts)
    )
    found = index.search(query, 10, selection=Selection(numbers[chosen]), fetch=lambda ids: rows[ids // 3])
    order = np.lexsort((numbers[chosen], -rank.exact_scores(query[0], rows[chosen])))[:10]
    return found.ids[0].tolist(), numbers[chosen][order].tolist()


def test_a_filter_that_leaves_nothing_near_a_query_is_searched_exactly(
    structure: tuple[ann.AnnIndex, Ids, Vectors], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures of one folder, and words about something else: the cells and links near the query lead nowhere."""
    rows, missed = structure[2], 0
    for query in spread(12, 5)[:, np.newaxis]:
        far = np.sort(np.argsort(rows @ query[0])[:3000])
        found, exact = searched(structure, far, query)
        assert found == exact
        with monkeypatch.context() as patch:
            patch.setattr(layered, "MIN_PROBED_SHARE", 0.0)
            found, _ = searched(structure, far, query)
            missed += found != exact
    assert missed > 0, "else it would be for nothing"


@pytest.mark.parametrize(
    ("filtered", "asked"),
    [({"0.3": 0.89, "0.6": 1.0}, False), ({"0.1": 0.5, "0.3": 0.9, "0.6": 1.0}, True), ({}, True)],
)
def test_a_filter_with_too_low_measured_recall_is_searched_exactly(
    structure: tuple[ann.AnnIndex, Ids, Vectors],
    filtered: dict[str, float],
    asked: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a filter that leaves half, what was measured with 0.3 and 0.6 counts, and nothing else."""
    near, calls = ann.AnnIndex.propose, [0]

    def counted(*given: Any) -> Any:
        calls[0] += 1
        return near(*given)

    monkeypatch.setattr(ann.AnnIndex, "propose", counted)
    chosen = np.sort(np.random.default_rng(3).permutation(6000)[:3000])
    found, exact = searched(structure, chosen, spread(1, 5), target=0.9, filtered=filtered)
    assert (calls[0] > 0) == asked
    assert asked or found == exact
