"""Large models compute in bfloat16 where the processor can, and where that is as good and quicker."""

from typing import Any

import numpy as np
import pytest
import torch

from mmsearch.core import registry
from mmsearch.encoders import half
from mmsearch.types import EncoderSpec, Segment, Vectors
from tests import clip

ANYTHING: Any = object()
SPEC = EncoderSpec("model", "image", 2, {"weights": "1" * 64}, "pixels-1")


def unit(angles: np.ndarray[Any, np.dtype[np.float64]]) -> Vectors:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def trial(seconds: float = 2.0) -> half.HalfTrial:
    made = half.HalfTrial()
    angles = np.linspace(0, 3, half.INPUTS)
    assert not made.add([ANYTHING] * 20, unit(angles[:20]), seconds / 2)
    assert made.add([ANYTHING] * 12, unit(angles[20:]), seconds / 2)
    return made


@pytest.mark.parametrize(
    ("turned", "seconds", "pays"),
    [
        (0.0, 1.0, True),
        (0.0, 1.66, True),
        (0.0, 1.68, False),  # of 2 s: less than a fifth more
        (0.04, 1.0, True),  # a cosine of .9992
        (0.05, 1.0, False),  # of .9987
        (np.nan, 1.0, False),
    ],
)
def test_vectors_must_stay_where_they_are_and_time_be_saved(turned: float, seconds: float, pays: bool) -> None:
    assert trial().pays(unit(np.linspace(0, 3, half.INPUTS) + turned), seconds) is pays


def test_nearest_neighbours_must_stay() -> None:
    random = np.random.default_rng(1)
    exact = np.ones((half.INPUTS, 64)) + 1e-4 * random.normal(size=(half.INPUTS, 64))
    moved = exact + 1e-3 * random.normal(size=exact.shape)
    first, second = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (exact, moved))
    assert (first * second).sum(1).min() > 0.9999  # all lie so near each other that a little is too much
    made = half.HalfTrial()
    made.add([ANYTHING] * half.INPUTS, first.astype(np.float32), 2.0)
    assert made.pays(first.astype(np.float32), 1.0)
    assert not made.pays(second.astype(np.float32), 1.0)


def test_a_verdict_is_kept_for_each_model_with_its_weights() -> None:
    assert half.verdict(SPEC) is None
    half.remember(SPEC, True)
    other = EncoderSpec("model", "image", 2, {"weights": "2" * 64}, "pixels-1")
    half.remember(other, False)
    assert (half.verdict(SPEC), half.verdict(other)) == (True, False)


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any processor computes in bfloat16, though not all gain by it."""
    monkeypatch.setattr(half, "multiplies_bfloat16", lambda device: device.type == "cpu")
    monkeypatch.setattr(half, "LEAST_PARAMETERS", 0)


def image_encoder(precision: str = "auto") -> Any:
    return registry.load_part("spaces", clip.space("clip"))("cpu", precision).encoders["image"]


def pictures(encoder: Any) -> list[Any]:
    random = np.random.default_rng(3)
    made = [random.integers(0, 256, (40, 50, 3), np.uint8) // (1 + n % 5) for n in range(half.INPUTS)]
    return [encoder.prepare(Segment("image", one)) for one in made]


@pytest.mark.slow
@pytest.mark.usefixtures("able")
def test_auto_goes_on_in_bfloat16_after_the_first_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half, "LEAST_GAIN", 0.0)
    monkeypatch.setattr(half, "LEAST_OVERLAP", 0.0)
    exact, encoder = image_encoder("fp32"), image_encoder()
    batch = pictures(encoder)
    wanted = exact.encode(batch)
    np.testing.assert_array_equal(encoder.encode(batch[:8]), exact.encode(batch[:8]))
    assert encoder._loaded().dtype == torch.float32
    encoder.encode(batch[:8], query=True)  # queries try nothing
    encoder.encode(batch[8:])
    assert encoder._loaded().dtype == torch.bfloat16
    later = encoder.encode(batch)
    assert not np.array_equal(later, wanted)
    assert (later * wanted).sum(1).min() >= 0.999
    another = image_encoder()  # a process to come
    np.testing.assert_array_equal(another.encode(batch), later)
    assert image_encoder("fp32")._loaded().dtype == torch.float32  # who names one gets it


@pytest.mark.slow
@pytest.mark.usefixtures("able")
def test_auto_stays_in_float32_where_nothing_is_gained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half, "LEAST_GAIN", 1e9)
    exact, encoder = image_encoder("fp32"), image_encoder()
    batch = pictures(encoder)
    for _ in range(2):
        np.testing.assert_array_equal(encoder.encode(batch), exact.encode(batch))
    assert half.verdict(encoder.spec) is False
    assert image_encoder()._loaded().dtype == torch.float32


@pytest.mark.slow
def test_small_models_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half, "multiplies_bfloat16", lambda device: True)
    encoder = image_encoder()
    encoder.encode(pictures(encoder))
    assert half.verdict(encoder.spec) is None
