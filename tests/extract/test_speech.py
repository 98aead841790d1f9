"""How much of a window Whisper's encoder sees: what a clip costs."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmsearch.extract.speech import ShortEncoder, language_of
from mmsearch.extract.voice import RATE


def window(frames: int) -> NDArray[np.float32]:
    """Features of 30 s, of which so many frames have sound."""
    features = np.zeros((80, 3000), np.float32)
    features[:, :frames] = 0.5
    return features


@pytest.mark.parametrize(
    ("sound", "encoded"), [(0, 2000), (100, 2000), (1800, 2000), (1900, 2100), (1901, 2102), (2900, 3000), (3000, 3000)]
)
def test_a_window_is_encoded_to_two_seconds_behind_its_sound_and_twenty_at_least(sound: int, encoded: int) -> None:
    shapes: list[Any] = []
    ShortEncoder(lambda features: shapes.append(features.shape))(window(sound))
    assert shapes == [(80, encoded)]


def test_a_window_is_encoded_once_for_its_language_and_its_words() -> None:
    seen: list[int] = []

    def encode(features: NDArray[np.float32]) -> int:
        seen.append(features.shape[1])
        return len(seen)

    encoder = ShortEncoder(encode)
    assert [encoder(window(n)) for n in (1900, 1900, 2000, 1900)] == [1, 1, 2, 3]
    assert seen == [2100, 2200, 2100]


@pytest.mark.parametrize(
    ("seconds", "probability", "language", "looked_at"),
    [(3, 0.5, "first", [3]), (3, 0.49, "second", [3, 20]), (19.9, 0.2, "second", [19.9, 20]), (20, 0.2, "first", [20])],
)
def test_an_unsure_language_of_a_short_sound_is_looked_at_once_more(
    seconds: float, probability: float, language: str, looked_at: list[float]
) -> None:
    heard: list[NDArray[np.float32]] = []

    def told(samples: NDArray[np.float32]) -> tuple[str, float]:
        heard.append(samples)
        return ("first", probability) if len(heard) == 1 else ("second", 0.1)

    samples = np.linspace(0.1, 1, round(seconds * RATE), dtype=np.float32)
    assert language_of(told, samples) == language
    assert [len(one) / RATE for one in heard] == looked_at


def test_what_is_looked_at_once_more_is_the_sound_again_and_again_with_pauses() -> None:
    heard: list[NDArray[np.float32]] = []

    def told(samples: NDArray[np.float32]) -> tuple[str, float]:
        heard.append(samples)
        return "es", 0.1

    language_of(told, np.ones(round(1.5 * RATE), np.float32))
    turns = heard[1].reshape(10, 2 * RATE)
    assert turns[:, : round(1.5 * RATE)].all()
    assert not turns[:, round(1.5 * RATE) :].any()
