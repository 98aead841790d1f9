"""What every Encoder promises, run on each: those of starter, the tiny space, small models of open_clip and others."""

import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest

from mmsearch.core import registry
from mmsearch.errors import InvalidInput
from mmsearch.types import Encoder, Segment
from tests import tiny

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


class Case(NamedTuple):
    named: str
    """A space, or "clip-" and a variant of `tests.clip`, or "hf-" and one of `tests.huggingface`, made when needed."""
    modality: str
    segments: Callable[[], list[Segment]]

    @property
    def space(self) -> str:
        family, _, variant = self.named.partition("-")
        if family not in ("clip", "hf"):
            return self.named
        from tests import clip, huggingface

        return clip.space(variant) if family == "clip" else huggingface.space(variant)


SEGMENTS = {"text": texts, "image": pictures, "audio": sounds}
CASES = [Case(space, m, SEGMENTS[m]) for space in ("starter", "tests.tiny:space") for m in ("text", "image", "audio")]
CASES += [Case(f"clip-{variant}", m, SEGMENTS[m]) for variant in ("clip", "siglip") for m in ("text", "image")]
CASES += [Case("hf-clap", m, SEGMENTS[m]) for m in ("text", "audio")]
CASES += [Case("hf-pe", m, SEGMENTS[m]) for m in ("text", "image", "audio")]

_LOADED: dict[tuple[str, str], Encoder] = {}


@pytest.fixture(params=CASES, ids=lambda case: f"{case.named.rpartition(':')[0] or case.named}-{case.modality}")
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture
def encoder(case: Case) -> Encoder:
    """One instance per encoder for the whole run: the weights are loaded once."""
    key = (case.space, case.modality)
    if key not in _LOADED:
        _LOADED[key] = registry.load_part("spaces", case.space)("cpu").encoders[case.modality]
    return _LOADED[key]


@pytest.fixture
def prepared(case: Case, encoder: Encoder) -> list[Any]:
    return [encoder.prepare(segment) for segment in case.segments()]


def test_vectors_are_unit_float32_rows(encoder: Encoder, prepared: list[Any]) -> None:
    vectors = encoder.encode(prepared)
    assert vectors.shape == (len(prepared), encoder.spec.dim)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_rows_follow_the_input_order(encoder: Encoder, prepared: list[Any]) -> None:
    forward, backward = encoder.encode(prepared), encoder.encode(prepared[::-1])
    np.testing.assert_allclose(backward[::-1], forward, atol=1e-5)
    distinct = {row.tobytes() for row in forward.round(3)}
    assert len(distinct) > 1


@pytest.mark.slow
def test_a_batch_gives_the_vectors_of_single_calls(encoder: Encoder, prepared: list[Any]) -> None:
    single = np.concatenate([encoder.encode([one]) for one in prepared])
    np.testing.assert_allclose(encoder.encode(prepared), single, atol=1e-5)


@pytest.mark.slow
def test_the_same_input_gives_the_same_vector(case: Case, encoder: Encoder, prepared: list[Any]) -> None:
    again = [encoder.prepare(segment) for segment in case.segments()]
    for first, second in zip(prepared, again, strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(encoder.encode(prepared), encoder.encode(again))


def test_a_query_vector_is_near_the_vector_of_the_same_segment(encoder: Encoder, prepared: list[Any]) -> None:
    cosines = (encoder.encode(prepared[:1]) * encoder.encode(prepared[:1], query=True)).sum(1)
    assert cosines[0] > 0.5


def test_an_empty_batch_gives_no_rows(encoder: Encoder) -> None:
    vectors = encoder.encode([])
    assert vectors.shape == (0, encoder.spec.dim)
    assert vectors.dtype == np.float32


@pytest.mark.slow
def test_more_segments_than_one_batch_are_encoded_in_order(encoder: Encoder, prepared: list[Any]) -> None:
    small = min(prepared, key=len)
    vectors = encoder.encode([small] * (encoder.spec.batch_size + 1))
    np.testing.assert_allclose(vectors, np.tile(vectors[:1], (len(vectors), 1)), atol=1e-5)


@pytest.mark.slow
def test_concurrent_threads_get_the_vectors_of_one_thread(case: Case, encoder: Encoder, prepared: list[Any]) -> None:
    expected = encoder.encode(prepared)
    fresh: Encoder = registry.load_part("spaces", case.space)("cpu").encoders[case.modality]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(fresh.encode, [prepared] * 4))
    for result in results:
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_prepare_does_not_change_its_segment(case: Case, encoder: Encoder) -> None:
    for segment, untouched in zip(case.segments(), case.segments(), strict=True):
        encoder.prepare(segment)
        np.testing.assert_array_equal(segment.data, untouched.data)


def test_prepare_refuses_another_modality(case: Case, encoder: Encoder) -> None:
    other = "image" if case.modality == "text" else "text"
    with pytest.raises(InvalidInput, match=case.modality):
        encoder.prepare(SEGMENTS[other]()[0])


def test_encoder_and_prepare_are_picklable(case: Case, encoder: Encoder, prepared: list[Any]) -> None:
    prepare = pickle.loads(pickle.dumps(encoder.prepare))
    np.testing.assert_array_equal(prepare(case.segments()[0]), prepared[0])


def test_the_spec_is_complete_and_agrees_with_the_registry(case: Case, encoder: Encoder) -> None:
    spec = encoder.spec
    assert spec == registry.load_part("spaces", case.space)().encoders[case.modality].spec
    assert spec.modality == case.modality
    assert spec.batch_size >= 1
    assert spec.preprocessing
    assert spec.weights
    assert all(len(sha256) == 64 and math.isfinite(int(sha256, 16)) for sha256 in spec.weights.values())


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


@pytest.mark.slow
def test_spec_and_prepare_import_no_torch(case: Case) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREPARES, case.space, case.modality],
        input=pickle.dumps(case.segments()),
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode().strip() == "[] []", done.stderr.decode()


def test_all_encoders_of_a_space_have_its_dimension() -> None:
    for name in {case.space for case in CASES}:
        space = registry.load_part("spaces", name)()
        assert {encoder.spec.dim for encoder in space.encoders.values()} == {space.dim}
        assert all(modality == encoder.spec.modality for modality, encoder in space.encoders.items())
    assert tiny.space().dim == tiny.DIM
