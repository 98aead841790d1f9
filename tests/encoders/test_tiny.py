"""The tiny space keeps what its docstring promises: other tests compute with it."""

import numpy as np
import pytest

from mmsearch.core import registry
from mmsearch.types import Segment
from tests import tiny


def encode(modality: str, data: object, rate: int | None = None) -> list[float]:
    encoder = tiny.space().encoders[modality]
    segment = Segment(modality, data, rate=rate)  # type: ignore[arg-type]
    return [float(x) for x in encoder.encode([encoder.prepare(segment)], query=True)[0]]


def tone(hertz: float) -> object:
    return np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000).astype(np.float32)


@pytest.mark.parametrize(
    ("modality", "data", "word"),
    [
        ("text", "a RED bus, not a green one", "red"),
        ("text", "high notes", "high"),
        ("image", np.full((3, 5, 3), (0, 200, 0), np.uint8), "green"),
        ("image", np.zeros((2, 2, 3), np.uint8), "dark"),
        ("audio", tone(200), "low"),
        ("audio", tone(1000), "mid"),
        ("audio", tone(5000), "high"),
        ("audio", np.zeros(16_000, np.float32), "dark"),
    ],
)
def test_a_pure_colour_or_tone_or_word_lies_on_its_axis(modality: str, data: object, word: str) -> None:
    assert encode(modality, data, 16_000) == tiny.axis(word).tolist()


def test_a_mixed_colour_is_a_mix_of_axes() -> None:
    purple = np.full((4, 4, 3), (255, 0, 255), np.uint8)
    assert encode("image", purple) == pytest.approx([0.5**0.5, 0, 0.5**0.5, 0, 0, 0, 0, 0])


def test_unknown_words_get_a_fixed_mix_of_axes() -> None:
    first, second = encode("text", "hello"), encode("text", "goodbye")
    assert first == encode("text", "hello") != second
    assert max(first) < 1


def test_the_tiny_space_counts_encoded_segments_but_not_queries() -> None:
    tiny.reset()
    text = tiny.space().encoders["text"]
    one = text.prepare(Segment("text", "red"))
    text.encode([one, one])
    text.encode([one], query=True)
    assert tiny.ENCODED == {"text": 2}
    assert tiny.BATCHES == [("text", 2)]


def test_the_tiny_space_loads_by_name_with_its_own_fingerprint() -> None:
    space = registry.load_part("spaces", "tests.tiny:space")()
    other = registry.load_part("spaces", "tests.tiny:other_weights")()
    assert space.name == other.name == "tiny"
    assert space.fingerprint != other.fingerprint
    assert space.fingerprint == tiny.space().fingerprint
