"""The indexes that there are keep the contract, and what ANN indexes promise beyond it."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmsearch.core import registry
from mmsearch.errors import IndexDamaged
from mmsearch.testing.indexes import Backend, IndexContract, SavedIndexContract, same, unit
from mmsearch.types import Ids, Neighbours, Selection, Vectors
from mmsearch.vectors import ann, faiss_flat, gpu, layered, plain_rows, presets, rank
from mmsearch.vectors.faiss_module import faiss
from mmsearch.vectors.layered import LayeredIndex
from tests.gpu_stand_in import StandIn

FAMILIES = ("hnsw", "ivf-sq8")
"""One of each, for what doesn't depend on codes; building them takes time."""

GPU = pytest.param("on the GPU", marks=pytest.mark.skipif(faiss.get_num_gpus() == 0, reason="FAISS sees no GPU here"))
LARGE = "in FAISS"
"""The exact index as it is where it is large."""

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


def copied(device: gpu.Gpu, dim: int) -> LayeredIndex:
    index = LayeredIndex(dim)
    index.use_gpu(device)
    return index


def large(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """The backend without plain arrays for a small index."""
    for module in (faiss_flat, plain_rows):
        monkeypatch.setattr(module, "SMALL", -1)
    return LayeredIndex


class TestIndexes(IndexContract):
    @pytest.fixture(params=[*sorted(registry.BUILTIN["indexes"]), LARGE, STAND_IN, GPU, *FAMILIES])
    def backend(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Backend:
        if request.param == LARGE:
            return large(monkeypatch)
        if request.param in (STAND_IN, GPU.values[0]):
            return partial(copied, StandIn() if request.param == STAND_IN else gpu.find_gpu())
        if request.param not in FAMILIES:
            found: Backend = registry.load_part("indexes", request.param)
            return found
        # A structure is asked for exact answers where it compares everything; what it finds elsewhere is tested below.
        monkeypatch.setattr(layered, "MAX_COMPARED", 10**6)
        return partial(Rebuilt, request.param)


class TestSavedIndexes(SavedIndexContract):
    @pytest.fixture(params=[*sorted(registry.BUILTIN["indexes"]), LARGE])
    def backend(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Backend:
        if request.param == LARGE:
            return large(monkeypatch)
        found: Backend = registry.load_part("indexes", request.param)
        return found


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


@pytest.mark.slow
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
