"""A small exact index in plain arrays: FAISS's own file, and the same answers on both sides of the bound."""

import io
from pathlib import Path

import numpy as np
import pytest

from mmsearch.testing.indexes import unit
from mmsearch.types import Ids, Vectors
from mmsearch.vectors.faiss_flat import FaissFlatIndex
from mmsearch.vectors.faiss_module import faiss
from mmsearch.vectors.plain_rows import SMALL, PlainRows

DIM = 5


def made(count: int) -> tuple[Ids, Vectors]:
    chance = np.random.default_rng(count)
    return chance.permutation(3 * count)[:count].astype(np.int64), unit(chance.normal(size=(count, DIM)))


def in_faiss(ids: Ids, rows: Vectors) -> bytes:
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(DIM))
    index.add_with_ids(rows, ids)
    written: bytes = faiss.serialize_index(index).tobytes()
    return written


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, 7, SMALL])
def test_the_file_is_the_one_that_faiss_writes(count: int) -> None:
    ids, rows = made(count)
    plain, file = PlainRows(DIM), io.BytesIO()
    plain.add(ids, rows)
    plain.write(file)
    assert file.getvalue() == in_faiss(ids, rows)
    found = PlainRows.read(io.BytesIO(file.getvalue() + b"after"), DIM)
    assert found is not None
    assert found.ids.tolist() == ids.tolist() and found.rows.tolist() == rows.tolist()


def test_what_is_large_or_another_index_is_left_to_faiss() -> None:
    ids, rows = made(SMALL + 1)
    short, other = in_faiss(ids[:3], rows[:3]), faiss.IndexIDMap2(faiss.IndexFlatL2(DIM))
    other.add_with_ids(rows[:3], ids[:3])
    for written in (in_faiss(ids, rows), short[:-1], short[:40], b"", faiss.serialize_index(other).tobytes()):
        file = io.BytesIO(b"xyz" + written)
        file.seek(3)
        assert PlainRows.read(file, DIM) is None and file.tell() == 3
    assert PlainRows.read(io.BytesIO(short), DIM + 1) is None


def test_an_index_that_outgrows_plain_arrays_answers_as_before(tmp_path: Path) -> None:
    ids, rows = made(SMALL + 20)
    grown = FaissFlatIndex(DIM)
    for start in range(0, len(ids), 1024):
        grown.add(ids[start : start + 1024], rows[start : start + 1024])
    assert grown._plain is None
    assert grown.remove(ids[:30]) == 30
    small = FaissFlatIndex(DIM)
    small.add(ids[:SMALL], rows[:SMALL])
    small.remove(ids[:30])
    assert small._plain is not None
    kept = np.isin(grown.ids(), small.ids())
    assert kept.sum() == len(small) == SMALL - 30
    grown.remove(grown.ids()[~kept])
    for index in (grown, small):
        index.save(tmp_path / "saved")
        assert FaissFlatIndex.load(tmp_path / "saved", DIM)._plain is not None
    for k in (1, 10, SMALL):
        one, other = grown.search(rows[:9], k), small.search(rows[:9], k)
        assert one.ids.tolist() == other.ids.tolist() and one.scores.tolist() == other.scores.tolist()
