"""How much of a window Whisper's encoder sees: what a clip costs."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmsearch.extract.speech import ShortEncoder


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
