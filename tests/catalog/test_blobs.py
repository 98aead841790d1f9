"""Vectors in the catalog: what their bytes mean, and what half precision loses."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmsearch.catalog import blobs
from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from tests.generated import picture, sound, words

Open = Callable[..., Library]


def unit(count: int, dim: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = np.random.default_rng(0).normal(size=(count, dim))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize(("storage", "size"), [("float32", 4), ("float16", 2)])
def test_a_blob_is_little_endian_numbers_and_nothing_else(storage: str, size: int) -> None:
    (blob,) = blobs.encode(np.array([[0.0, 1.0, -0.5]], np.float32), storage)
    assert blob == np.array([0, 1, -0.5], f"<f{size}").tobytes()


def test_a_float32_vector_is_restored_bit_for_bit() -> None:
    rows = unit(100, 384)
    assert np.array_equal(blobs.decode(blobs.encode(rows, "float32"), 384), rows)


def test_a_float16_vector_is_restored_close_and_of_unit_length() -> None:
    rows = unit(100, 384)
    back = blobs.decode(blobs.encode(rows, "float16"), 384)
    assert back.dtype == np.float32
    assert np.allclose(np.linalg.norm(back.astype(np.float64), axis=1), 1, atol=1e-6)
    assert np.einsum("ij,ij->i", rows.astype(np.float64), back.astype(np.float64)).min() > 1 - 1e-6
    assert not np.array_equal(back, rows)


def test_no_blobs_decode_to_no_rows() -> None:
    assert blobs.decode([], 8).shape == (0, 8)


def test_blobs_of_mixed_storage_are_refused() -> None:
    rows = unit(2, 8)
    with pytest.raises(ValueError):
        blobs.decode([*blobs.encode(rows[:1], "float32"), *blobs.encode(rows[1:], "float16")], 8)


@pytest.mark.slow
def test_a_half_precision_library_finds_the_same_files(open_tiny: Open, folder: Path) -> None:
    for n, colour in enumerate(("red", "green", "blue", "dark")):
        picture(folder / f"{colour}.png", colour, mark=n)
    sound(folder / "tones.wav", "low", "high", seconds=5)
    words(folder / "letter.txt", "nothing that has an axis of its own")
    half, full = open_tiny("half", storage="float16"), open_tiny("full")
    answers = []
    for library in (half, full):
        library.ingest(folder)
        hits = library.search("red", k=20)
        answers.append([(hit.path.name, round(hit.cosine or 0, 3)) for hit in hits])
    assert answers[0] == answers[1] and len(answers[0]) == 6
    # What was asked for at first holds: a later setting changes nothing.
    words(folder / "more.txt", "green")
    half.close()
    again = open_tiny("half", storage="float32")
    again.ingest(folder)
    assert [hit.path.name for hit in again.search("green", k=1, modalities=["text"])] == ["more.txt"]
    with closing(sqlite3.connect(again.path / "catalog.sqlite")) as db:
        assert db.execute("SELECT DISTINCT length(vector) FROM embeddings").fetchall() == [(16,)]
        assert db.execute("SELECT storage FROM spaces").fetchall() == [("float16",)]


def test_an_unknown_storage_is_refused(open_tiny: Open) -> None:
    with pytest.raises(InvalidInput, match="int8"):
        open_tiny(storage="int8")
