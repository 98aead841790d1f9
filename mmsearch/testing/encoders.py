"""What every encoder promises (`mmsearch.Encoder`), as a suite of tests to inherit.

from mmsearch.testing.encoders import EncoderCase, EncoderContract

class TestMine(EncoderContract):
    cases = (EncoderCase("my-space", "text"), EncoderCase("my-space", "image"))
"""

import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest

from mmsearch.core import registry
from mmsearch.errors import InvalidInput
from mmsearch.types.contracts import Encoder, Modality, Segment, Space, Span

TEXTS = ["a dog barking", "", "rain on a tin roof " * 60, "red", "Ein Hahn kräht 🐓 \ud800"]


def texts() -> list[Segment]:
    return [Segment("text", text) for text in TEXTS]


def pictures() -> list[Segment]:
    random = np.random.default_rng(3)
    shapes = [(300, 400), (40, 30), (1, 1), (260, 260), (17, 900)]
    return [Segment("image", random.integers(0, 256, (*shape, 3), np.uint8)) for shape in shapes]


def sounds() -> list[Segment]:
    random = np.random.default_rng(4)
    waves = [random.normal(0, 0.1, size).astype(np.float32) for size in (80_000, 100, 15_600, 30_001)]
    waves.append(np.sin(2 * np.pi * 440 * np.arange(48_000, dtype=np.float32) / 16_000).astype(np.float32))
    waves.append(np.zeros(80_000, np.float32))
    return [Segment("audio", wave, rate=16_000) for wave in waves]


def clips() -> list[Segment]:
    random = np.random.default_rng(5)
    shapes = [(8, 64, 80), (2, 64, 80), (5, 120, 40), (3, 32, 32)]
    return [Segment("video", random.integers(0, 256, (*shape, 3), np.uint8), Span(2.0, 8.0)) for shape in shapes]


SEGMENTS: Mapping[Modality, Callable[[], list[Segment]]] = {
    "text": texts, "image": pictures, "audio": sounds, "video": clips,
}  # fmt: skip
"""Segment modality -> segments that are as different as can be; each call makes them anew."""

PREPARES = """
import pickle, sys
from mmsearch.core import registry
encoder = registry.load_part("spaces", sys.argv[1])("cpu").encoders[sys.argv[2]]
encoder.spec
early = [name for name in ("torch", "torchaudio", "timm", "transformers", "open_clip", "PIL") if name in sys.modules]
for segment in pickle.load(sys.stdin.buffer):
    encoder.prepare(segment)
late = [name for name in ("torch", "torchaudio", "timm", "transformers", "open_clip") if name in sys.modules]
print(early, late)
"""


@dataclass(frozen=True)
class EncoderCase:
    """One encoder of a space."""

    space: str | Callable[[], str]
    """The name of an entry point, "module:function", or a function that makes what it takes and returns such a name."""
    modality: Modality
    called: str = ""
    """What the case is called in a report; by default as the space is."""

    def __str__(self) -> str:
        return f"{self.called or self.name}-{self.modality}"

    @property
    def name(self) -> str:
        return self.space if isinstance(self.space, str) else self.space()

    def made_space(self) -> Space:
        """The space, made anew, for the CPU."""
        made: Space = registry.load_part("spaces", self.name)("cpu")
        return made

    def loaded(self) -> Encoder:
        """The encoder, made anew."""
        return self.made_space().encoders[self.modality]


@cache
def _kept(case: EncoderCase) -> Encoder:
    return case.loaded()


class EncoderContract:
    """Tests of encoders; name the subclass Test..., and give it cases."""

    cases: ClassVar[Sequence[Any]] = ()
    """Of each an `EncoderCase`, or a `pytest.param` of one."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Each test once for each case."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", self.cases, ids=str)

    @pytest.fixture
    def encoder(self, case: EncoderCase) -> Encoder:
        """One instance per encoder for the whole run: the weights are loaded once."""
        return _kept(case)

    @pytest.fixture
    def prepared(self, case: EncoderCase, encoder: Encoder) -> list[Any]:
        return [encoder.prepare(segment) for segment in SEGMENTS[case.modality]()]

    def test_vectors_are_unit_float32_rows(self, encoder: Encoder, prepared: list[Any]) -> None:
        vectors = encoder.encode(prepared)
        assert vectors.shape == (len(prepared), encoder.spec.dim)
        assert vectors.dtype == np.float32
        assert np.isfinite(vectors).all()
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_rows_follow_the_input_order(self, encoder: Encoder, prepared: list[Any]) -> None:
        forward, backward = encoder.encode(prepared), encoder.encode(prepared[::-1])
        np.testing.assert_allclose(backward[::-1], forward, atol=1e-5)
        distinct = {row.tobytes() for row in forward.round(3)}
        assert len(distinct) > 1

    def test_a_batch_gives_the_vectors_of_single_calls(self, encoder: Encoder, prepared: list[Any]) -> None:
        single = np.concatenate([encoder.encode([one]) for one in prepared])
        np.testing.assert_allclose(encoder.encode(prepared), single, atol=1e-5)

    def test_the_same_input_gives_the_same_vector(
        self, case: EncoderCase, encoder: Encoder, prepared: list[Any]
    ) -> None:
        again = [encoder.prepare(segment) for segment in SEGMENTS[case.modality]()]
        for first, second in zip(prepared, again, strict=True):
            np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(encoder.encode(prepared), encoder.encode(again))

    def test_a_query_vector_is_near_the_vector_of_the_same_segment(self, encoder: Encoder, prepared: list[Any]) -> None:
        cosines = (encoder.encode(prepared[:1]) * encoder.encode(prepared[:1], query=True)).sum(1)
        assert cosines[0] > 0.5

    def test_an_empty_batch_gives_no_rows(self, encoder: Encoder) -> None:
        vectors = encoder.encode([])
        assert vectors.shape == (0, encoder.spec.dim)
        assert vectors.dtype == np.float32

    def test_more_segments_than_one_batch_are_encoded_in_order(self, encoder: Encoder, prepared: list[Any]) -> None:
        small = min(prepared, key=len)
        vectors = encoder.encode([small] * (encoder.spec.batch_size + 1))
        np.testing.assert_allclose(vectors, np.tile(vectors[:1], (len(vectors), 1)), atol=1e-5)

    def test_concurrent_threads_get_the_vectors_of_one_thread(
        self, case: EncoderCase, encoder: Encoder, prepared: list[Any]
    ) -> None:
        expected = encoder.encode(prepared)
        fresh: Encoder = case.loaded()
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(fresh.encode, [prepared] * 4))
        for result in results:
            np.testing.assert_allclose(result, expected, atol=1e-5)

    def test_prepare_does_not_change_its_segment(self, case: EncoderCase, encoder: Encoder) -> None:
        for segment, untouched in zip(SEGMENTS[case.modality](), SEGMENTS[case.modality](), strict=True):
            encoder.prepare(segment)
            np.testing.assert_array_equal(segment.data, untouched.data)

    def test_prepare_refuses_another_modality(self, case: EncoderCase, encoder: Encoder) -> None:
        other = "image" if case.modality == "text" else "text"
        with pytest.raises(InvalidInput, match=case.modality):
            encoder.prepare(SEGMENTS[other]()[0])

    def test_encoder_and_prepare_are_picklable(self, case: EncoderCase, encoder: Encoder, prepared: list[Any]) -> None:
        prepare = pickle.loads(pickle.dumps(encoder.prepare))
        np.testing.assert_array_equal(prepare(SEGMENTS[case.modality]()[0]), prepared[0])

    def test_the_spec_is_complete_and_agrees_with_the_registry(self, case: EncoderCase, encoder: Encoder) -> None:
        spec = encoder.spec
        assert spec == case.loaded().spec
        assert spec.modality == case.modality
        assert spec.batch_size >= 1
        assert spec.preprocessing
        assert spec.weights
        assert all(len(sha256) == 64 and math.isfinite(int(sha256, 16)) for sha256 in spec.weights.values())

    def test_spec_and_prepare_import_no_torch(self, case: EncoderCase) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PREPARES, case.name, case.modality],
            input=pickle.dumps(SEGMENTS[case.modality]()),
            capture_output=True,
            check=False,
        )
        assert done.stdout.decode().strip() == "[] []", done.stderr.decode()

    def test_all_encoders_of_the_space_have_its_dimension(self, case: EncoderCase) -> None:
        space = case.made_space()
        assert {encoder.spec.dim for encoder in space.encoders.values()} == {space.dim}
        assert all(modality == encoder.spec.modality for modality, encoder in space.encoders.items())
