"""What is searched on a GPU and what is not, seen with a stand-in for one; the contract suite has the real one."""

import logging
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import mmsearch
from mmsearch.catalog.spaces import active_space
from mmsearch.core.config import read_settings
from mmsearch.errors import InvalidInput
from mmsearch.types import Ids, Selection, Vectors
from mmsearch.vectors import ann, gpu, presets
from mmsearch.vectors.faiss_flat import FaissFlatIndex
from mmsearch.vectors.faiss_module import faiss
from mmsearch.vectors.layered import LayeredIndex
from tests.gpu_stand_in import StandIn

DIM = 16
COUNT = 5000


def rows(count: int, seed: int) -> Vectors:
    made = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


ROWS, NUMBERS, QUERIES = rows(COUNT, 1), np.arange(COUNT, dtype=np.int64), rows(8, 2)


def fetch(ids: Ids) -> Vectors:
    return ROWS[ids]


def structured(name: str, device: StandIn) -> LayeredIndex:
    made = ann.build_ann(presets.preset_named(name), ROWS, COUNT, [(NUMBERS, ROWS)], 0.95)
    index = LayeredIndex(DIM, made.with_facts(search_effort=8))
    index.use_gpu(device)
    return index


def flat(device: StandIn) -> LayeredIndex:
    index = LayeredIndex(DIM)
    index.add(NUMBERS, ROWS)
    index.use_gpu(device)
    return index


def test_exact_search_on_a_gpu_is_exact_and_a_change_copies_the_index_again() -> None:
    device, plain = StandIn(), FaissFlatIndex(DIM)
    index = flat(device)
    plain.add(NUMBERS, ROWS)
    for change in range(3):
        found, known = index.search(QUERIES, 10), plain.search(QUERIES, 10)
        assert found.ids.tolist() == known.ids.tolist() and found.scores.tobytes() == known.scores.tobytes()
        assert index.search(QUERIES, 10).ids.tolist() == known.ids.tolist()
        assert device.moves == ["IndexFlatIP"] * (change + 1)
        for one in (index, plain):
            if change:
                one.remove(found.ids[:, 0])
            else:
                one.add(np.arange(COUNT, COUNT + 8), QUERIES)
    assert device.searches


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("ivf", ["IndexIVFFlat"]), ("ivf-sq8", ["IndexIVFScalarQuantizer"]),
        ("ivf-pq", []), ("ivf-rabitq", []), ("hnsw", []), ("hnsw-sq8", []),
    ],
)  # fmt: skip
def test_an_index_type_without_a_gpu_version_is_searched_in_memory(name: str, moves: list[str]) -> None:
    device = StandIn()
    index = structured(name, device)
    without = LayeredIndex(DIM, index.ann.with_facts() if index.ann else None)
    found, known = (one.search(QUERIES, 10, fetch=fetch) for one in (index, without))
    assert found.ids.tolist() == known.ids.tolist() and found.scores.tobytes() == known.scores.tobytes()
    assert device.moves == moves and bool(device.searches) == bool(moves)


def test_a_search_under_a_filter_runs_in_memory() -> None:
    """FAISS's GPU indexes pass over selectors without a word."""
    device = StandIn()
    selection = Selection(NUMBERS[1::2].copy())
    for index in (flat(device), structured("ivf-sq8", device)):
        found = index.search(QUERIES, 10, selection=selection, fetch=fetch)
        assert found.ids.shape == (8, 10) and (found.ids % 2 == 1).all()
    assert not device.moves
    index = structured("ivf", device)
    index.remove(NUMBERS[::2])
    assert (index.search(QUERIES, 10).ids % 2 == 1).all() and not device.moves, "nor what is gone since"


def test_a_k_larger_than_a_gpu_allows_is_searched_in_memory() -> None:
    device = StandIn()
    index = flat(device)
    assert index.search(QUERIES, 2000).ids.shape == (8, 2000) and len(device.searches) == 1
    assert index.search(QUERIES, 2100).ids.shape == (8, 2100) and len(device.searches) == 1
    cells = faiss.index_factory(DIM, "IVF2100,Flat", faiss.METRIC_INNER_PRODUCT)
    cells.train(ROWS)
    copy = device.copy(cells)
    assert copy is not None
    assert copy.search(QUERIES, 10, gpu.MAX_RESULTS + 1) is None
    assert copy.search(QUERIES, 10, gpu.MAX_RESULTS) is not None


def test_without_gpu_memory_an_index_is_searched_in_memory_and_that_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    index = flat(StandIn(room=0))
    with caplog.at_level(logging.DEBUG):
        found = [index.search(QUERIES, 10).ids.tolist() for _ in range(3)]
    assert found[0] == found[1] == found[2]
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (logging.WARNING, "an index of 5000 vectors is not searched on the GPU"),
        (logging.DEBUG, "cudaMalloc error out of memory"),
    ]


def test_concurrent_threads_get_right_answers_from_a_gpu() -> None:
    device = StandIn()
    indexes = [flat(device), structured("ivf", device)]
    known = [index.search(QUERIES, 10).ids.tolist() for index in indexes]
    wrong: list[object] = []

    def search(at: int) -> None:
        try:
            for _ in range(20):
                assert indexes[at].search(QUERIES, 10).ids.tolist() == known[at]
        except BaseException as error:
            wrong.append(error)

    threads = [Thread(target=search, args=(n % 2,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and sorted(device.moves) == ["IndexFlatIP", "IndexIVFFlat"]


@pytest.mark.slow
def test_the_index_device_setting_moves_indexes_to_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.indexing.filled import SIZE, batch
    from tests.indexing.test_index_presets import parts as parts_of

    with pytest.raises(InvalidInput, match="index_device"):
        read_settings(index_device="tpu")
    device = StandIn()
    monkeypatch.setattr(gpu, "find_gpu", lambda: device)
    with mmsearch.open(tmp_path, index="ivf", index_device="gpu", space="tests.tiny:space") as library:
        catalog = library._context.catalog(create=True)
        _, record = library._context.embedding(create=True)
        catalog.commit(batch(0, SIZE), record.id)
        _, indexes, builder = parts_of(library)
        queries = np.eye(8, dtype=np.float32)
        indexes.search(queries, 5)
        builder.build_outgrown()
        indexes.search(queries, 5)
        assert device.moves == ["IndexFlatIP", "IndexIVFFlat"]
        assert {f.subject: f.state for f in library.doctor()}["faiss GPU"] == "ok"


@pytest.mark.skipif(faiss.get_num_gpus() > 0, reason="there is a GPU")
def test_without_a_gpu_index_device_gpu_is_refused_and_reported_by_the_doctor(tmp_path: Path) -> None:
    with mmsearch.open(tmp_path, index_device="gpu", space="tests.tiny:space") as library:
        catalog = library._context.catalog(create=True)
        library._context.embedding(create=True)
        assert catalog.read(active_space) is not None
        with pytest.raises(InvalidInput, match="FAISS sees no GPU") as told:
            library.index.status()
        assert told.value.hint and "nvidia-smi" in told.value.hint
        found = {finding.subject: finding for finding in library.doctor()}
        assert (found["faiss GPU"].state, found["indexes"].state) == ("error", "error")
        assert "index_device" in str(found["faiss GPU"].remedy)
