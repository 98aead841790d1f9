"""Neutral vectors that are kept on this machine: encoded once for an encoder, and never trusted blindly."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmsearch.calibration import neutral, neutral_cache
from mmsearch.core.paths import cache_folder
from mmsearch.types import EncoderSpec, Prepared, Space, Vectors
from tests import tiny


class Counted(tiny.TinyText):
    """The tiny space's text encoder, which counts the texts it encodes."""

    def __init__(self, spec: EncoderSpec | None = None) -> None:
        super().__init__("1")
        self.spec = spec or self.spec
        self.encoded = 0

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        self.encoded += len(batch)
        return super().encode(batch, query=query)


def words(encoder: Counted) -> Vectors:
    return neutral.neutral_vectors(Space("counted", tiny.DIM, tiny.space("cpu").windowing, {"text": encoder}))["text"]


@pytest.fixture
def kept() -> tuple[Vectors, Path]:
    """What was encoded, and the file where it is kept."""
    vectors = words(Counted())
    (path,) = (cache_folder() / "neutral").iterdir()
    return vectors, path


def test_neutral_words_are_encoded_once_on_a_machine(kept: tuple[Vectors, Path]) -> None:
    again = Counted()
    np.testing.assert_array_equal(words(again), kept[0])
    assert again.encoded == 0 and kept[0].dtype == np.float32 and kept[0].shape == (276, tiny.DIM)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("change", [{"weights": {"a": "0" * 64}}, {"preprocessing": "2"}, {"name": "another"}])
def test_a_changed_encoder_encodes_its_own(change: dict[str, object]) -> None:
    encoder = Counted(replace(Counted().spec, **change))  # type: ignore[arg-type]
    words(encoder)
    assert encoder.encoded == 276


def test_other_words_are_encoded_anew(kept: tuple[Vectors, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neutral, "neutral_words", lambda: ["red", *["blue"] * 275])
    encoder = Counted()
    assert not np.array_equal(words(encoder), kept[0])
    assert encoder.encoded == 276


def test_an_encoder_that_tells_no_weights_is_never_believed_to_be_the_same() -> None:
    for _ in range(2):
        encoder = Counted(replace(Counted().spec, weights={}))
        words(encoder)
        assert encoder.encoded == 276
    assert not (cache_folder() / "neutral").exists()


@pytest.mark.parametrize("damage", ["flipped", "shorter", "longer", "empty", "gone", "folder"])
def test_a_damaged_file_is_made_anew(kept: tuple[Vectors, Path], damage: str) -> None:
    vectors, path = kept
    content = path.read_bytes()
    if damage in ("gone", "folder"):
        path.unlink()
    if damage == "folder":
        path.mkdir()
    other = {"flipped": content[:-1] + bytes([content[-1] ^ 1]), "shorter": content[:-4], "longer": content + b"\0"}
    if damage in (*other, "empty"):
        path.write_bytes(other.get(damage, b""))
    encoder = Counted()
    np.testing.assert_array_equal(words(encoder), vectors)
    assert encoder.encoded == 276
    if damage != "folder":
        assert path.read_bytes() == content


def test_vectors_of_another_key_or_length_are_refused() -> None:
    rows = np.full((3, 4), 0.5, np.float32)
    neutral_cache.keep_vectors("a", rows)
    assert neutral_cache.cached_vectors("a", 3, 4) is not None
    assert neutral_cache.cached_vectors("a", 4, 4) is None
    folder = cache_folder() / "neutral"
    (folder / "b.vectors").write_bytes((folder / "a.vectors").read_bytes())
    assert neutral_cache.cached_vectors("b", 3, 4) is None
    neutral_cache.keep_vectors("c", 2 * rows)
    assert neutral_cache.cached_vectors("c", 3, 4) is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no mode here")
def test_the_file_is_its_owner_s_alone(kept: tuple[Vectors, Path]) -> None:
    _, path = kept
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.chmod(0o666)
    encoder = Counted()
    words(encoder)
    assert encoder.encoded == 276


def test_a_cache_that_can_t_be_written_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(neutral_cache, "cache_folder", lambda: tmp_path / "file")
    for _ in range(2):
        encoder = Counted()
        assert words(encoder).shape == (276, tiny.DIM)
        assert encoder.encoded == 276


def test_vectors_of_a_bounded_number_of_encoders_are_kept() -> None:
    rows = np.eye(2, dtype=np.float32)
    folder = cache_folder() / "neutral"
    for number in range(neutral_cache.KEPT + 3):
        neutral_cache.keep_vectors(f"{number:02d}", rows)
        os.utime(folder / f"{number:02d}.vectors", ns=(number, number))
        if number == neutral_cache.KEPT - 1:
            assert neutral_cache.cached_vectors("00", 2, 2) is not None, "this makes it the last one used"
    names = {path.stem for path in folder.iterdir()}
    assert len(names) == neutral_cache.KEPT and {"00", "18"} <= names and not {"01", "02", "03"} & names
