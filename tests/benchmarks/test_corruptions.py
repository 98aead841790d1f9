"""The corruptions of the robustness benchmark do what they say, as often as they say, and the same every time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.benchmarks import corruptions

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
WAVE = (0.3 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)).astype(np.float32)


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def distance(a: str, b: str) -> int:
    """Damerau's, each letter edited once at most."""
    table = {(i, -1): i + 1 for i in range(-1, len(a))} | {(-1, j): j + 1 for j in range(-1, len(b))}
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (x != y))
            if i and j and x == b[j - 1] and y == a[i - 1]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return table[len(a) - 1, len(b) - 1]


@pytest.mark.parametrize("name", list(corruptions.PICTURES))
def test_a_corruption_of_a_picture_repeats_by_seed_and_leaves_its_input_alone(name: str) -> None:
    before = PICTURE.copy()
    made, again = (corruptions.PICTURES[name](PICTURE, draw()) for _ in range(2))
    assert made.dtype == np.uint8
    assert made.ndim == 3
    assert np.array_equal(made, again)
    assert not np.array_equal(made, before)
    assert np.array_equal(PICTURE, before)


def test_noise_has_the_deviation_asked_for() -> None:
    middle = np.full((200, 200, 3), 128, np.uint8)
    made = corruptions.noisy(middle, draw(), 0.1).astype(np.float64)
    assert np.std(made) / 255 == pytest.approx(0.1, abs=0.001)


def test_blur_spreads_a_point_and_keeps_its_light() -> None:
    point = np.zeros((101, 101, 3), np.uint8)
    point[46:55, 46:55] = 255
    made = corruptions.blurred(point, draw(), 0.04).astype(np.float64)
    assert made.max() < 255
    assert made[50, 56, 0] > 0
    assert made.sum() == pytest.approx(point.sum(dtype=np.float64), rel=0.02)


def test_a_lower_quality_is_further_from_the_picture() -> None:
    smooth = np.linspace(0, 255, 64 * 64).reshape(64, 64, 1).repeat(3, axis=2).astype(np.uint8)
    fine, coarse = (
        np.abs(corruptions.compressed(smooth, draw(), quality).astype(int) - smooth).mean() for quality in (90, 10)
    )
    assert 0 < fine < coarse


def test_a_crop_is_a_window_of_the_picture_of_the_asked_area() -> None:
    made = corruptions.cropped(PICTURE, draw(), 0.25)
    assert made.shape == (20, 30, 3)
    windows = np.lib.stride_tricks.sliding_window_view(PICTURE, made.shape)
    assert (windows == made).all(axis=(3, 4, 5)).any()


def test_a_quarter_turn_loses_nothing_and_a_small_one_has_grey_corners() -> None:
    made = corruptions.turned(PICTURE, draw(), 90)
    assert made.shape == (60, 40, 3)
    assert np.array_equal(made[-1, 0], PICTURE[0, 0])
    assert np.array_equal(np.rot90(made, -1), PICTURE)
    tilted = corruptions.turned(PICTURE, draw(), 15)
    assert tilted.shape == PICTURE.shape
    assert (tilted[0, 0] == 128).all()


def test_greyscale_has_three_equal_channels_of_the_luma() -> None:
    made = corruptions.grey(PICTURE, draw())
    assert (made == made[..., :1]).all()
    assert np.abs(made[..., 0] - PICTURE @ np.array([0.299, 0.587, 0.114])).max() <= 1


@pytest.mark.parametrize("name", list(corruptions.SOUNDS))
def test_a_corruption_of_a_sound_repeats_by_seed_and_stays_in_range(name: str) -> None:
    other = draw(1).uniform(-0.5, 0.5, 5000).astype(np.float32)
    loud = (WAVE + 0.2 * np.sin(2 * np.pi * 6000 * np.arange(16_000) / 16_000)).astype(np.float32)
    made, again = (corruptions.SOUNDS[name](loud, other, draw()) for _ in range(2))
    assert made.dtype == np.float32
    assert made.shape == loud.shape
    assert np.abs(made).max() <= 1
    assert np.array_equal(made, again)
    assert not np.allclose(made, loud, atol=1e-3)


def ratio(made: NDArray[np.float32]) -> float:
    """Decibels between what WAVE explains of a sum, however that was scaled, and the rest."""
    own = made @ WAVE.astype(np.float64) / (WAVE.astype(np.float64) @ WAVE) * WAVE
    return float(10 * np.log10(np.mean(own**2) / np.mean((made - own) ** 2)))


@pytest.mark.parametrize("decibels", [20, 10, 0, -10])
def test_another_sound_is_added_at_the_ratio_asked_for(decibels: float) -> None:
    # A whole number of periods of another frequency: nothing of it looks like the wave.
    other = np.sin(2 * np.pi * 50 * np.arange(3200) / 16_000).astype(np.float32)
    assert ratio(corruptions.mixed(WAVE, other, decibels)) == pytest.approx(decibels, abs=0.001)


@pytest.mark.parametrize("decibels", [20, 10, 0])
def test_white_noise_is_added_at_the_ratio_asked_for(decibels: float) -> None:
    assert ratio(corruptions.white(WAVE, draw(), decibels)) == pytest.approx(decibels, abs=0.1)


def test_no_noise_is_added_to_silence() -> None:
    silent = np.zeros(100, np.float32)
    assert np.array_equal(corruptions.white(silent, draw(), 0), silent)
    assert np.array_equal(corruptions.mixed(WAVE, silent, 0), WAVE)


def test_clipping_cuts_the_share_asked_for() -> None:
    wave = draw().permutation(np.linspace(-1, 1, 2001)).astype(np.float32)
    made = corruptions.clipped(wave, 0.25)
    assert np.abs(made).max() == pytest.approx(0.75, abs=1e-3)
    assert np.mean(made != wave) == pytest.approx(0.25, abs=1e-3)


def test_resampling_to_a_lower_rate_loses_only_frequencies_above_its_nyquist_limit() -> None:
    high = (0.3 * np.sin(2 * np.pi * 5000 * np.arange(16_000) / 16_000)).astype(np.float32)
    assert np.allclose(corruptions.narrowed(WAVE + high, 8000), WAVE, atol=1e-5)


def test_gain_is_in_decibels_of_amplitude() -> None:
    assert np.allclose(corruptions.amplified(WAVE, -20), WAVE / 10, atol=1e-7)
    assert np.abs(corruptions.amplified(WAVE, 40)).max() == 1


@given(st.integers(0, 2**32), st.integers(1, 3))
def test_there_are_as_many_typos_as_asked_for(seed: int, edits: int) -> None:
    text = "a brown dog runs over wet grass ."
    made = corruptions.mistyped(text, draw(seed), edits)
    # One typo may undo a part of another.
    assert distance(text, made) == edits if edits == 1 else distance(text, made) <= edits
    assert made == corruptions.mistyped(text, draw(seed), edits)


def test_every_kind_of_typo_comes_up() -> None:
    made = {corruptions.mistyped("ab", draw(seed), 1) for seed in range(300)}
    assert {"a", "b", "ba"} <= made
    assert any(len(one) == 3 for one in made)
    assert any(len(one) == 2 and one not in ("ab", "ba") for one in made)


def test_a_text_without_letters_gets_no_typos() -> None:
    assert corruptions.mistyped("12 !", draw(), 2) == "12 !"


def test_augmentation_varies_in_kind_and_strength() -> None:
    random = draw()
    pictures = {corruptions.augmented(PICTURE, random).tobytes() for _ in range(40)}
    # Greyscale has no strength, so it is the same each time.
    assert len(pictures) > 25
    assert corruptions.grey(PICTURE, random).tobytes() in pictures
    loud = random.uniform(-1, 1, 4000).astype(np.float32)
    sounds = {corruptions.resounded(loud, WAVE, random).tobytes() for _ in range(40)}
    assert len(sounds) == 40
