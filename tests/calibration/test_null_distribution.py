"""Calibration: centring on the query, the tail through two quantiles, the confidence by what neutral queries find."""

import math

import numpy as np
import pytest

from mmsearch.calibration import (
    ListCalibration,
    NullDistribution,
    ScoreCalibrator,
    backgrounds_stale,
    fit_null,
    neutral,
    null_distribution,
)
from mmsearch.catalog import ListKey
from mmsearch.core import registry
from mmsearch.types import Segment, Space, Vectors
from tests import tiny

AUDIO, IMAGE = ListKey("s", "audio", "audio"), ListKey("s", "image", "image")
E1, E2 = np.eye(2, dtype=np.float32)


def made(
    median: float = 0.2, high: float = 0.4, best_surprisals: tuple[float, ...] = (1.0, 2.0), segments: int = 100,
    centre: Vectors = 0 * E1, min_mean: float = -1.0, max_mean: float = 1.0,
) -> ListCalibration:  # fmt: skip
    spread = math.atanh(high) - math.atanh(median)
    found = np.array(best_surprisals, np.float32)
    return ListCalibration(math.atanh(median), spread, segments, centre, min_mean, max_mean, 0 * found, found)


def at(cosine: float) -> Vectors:
    """A unit vector of this cosine with E1."""
    return np.array([cosine, math.sqrt(1 - cosine**2)], np.float32)


def test_the_tail_passes_both_quantiles_and_falls_exponentially_beyond() -> None:
    calibration = made()
    assert calibration.tail(0.2) == pytest.approx(0.5) and calibration.tail(0.4) == pytest.approx(0.05)
    next_step = math.tanh(2 * math.atanh(0.4) - math.atanh(0.2))
    assert calibration.tail(next_step) == pytest.approx(0.005), "as far again, ten times rarer"
    mirrored = math.tanh(2 * math.atanh(0.2) - math.atanh(0.4))
    assert calibration.tail(mirrored) == pytest.approx(0.95)
    assert 0 < calibration.tail(1.0) < 1e-20 and calibration.tail(-1.0) == pytest.approx(1.0)
    scores = np.linspace(-1, 1, 200).tolist()
    tails = [calibration.tail(s) for s in scores]
    assert tails == sorted(tails, reverse=True)


def test_a_query_s_own_level_is_how_unusual_its_mean_is() -> None:
    calibration = made(centre=0.5 * E1, min_mean=-0.1, max_mean=0.3)
    assert calibration.query_level(at(0.4)) == pytest.approx(-math.log(calibration.tail(0.2))), "its mean with the list"
    assert calibration.query_level(at(1.0)) == calibration.surprisal(0.3), (
        "in a list of what was asked for, not all of it"
    )
    assert calibration.query_level(at(-1.0)) == calibration.surprisal(-0.1)
    assert calibration.surprisal(0.2) == pytest.approx(math.log(2))
    assert calibration.surprisal(0.4) - calibration.surprisal(0.2) == pytest.approx(math.log(10))


def test_a_query_that_scores_high_with_everything_is_less_confident() -> None:
    calibration = made(centre=0.5 * E1, best_surprisals=(1.0, 2.0, 3.0))
    low, high = null_distribution([calibration], at(0.1)), null_distribution([calibration], at(0.6))
    assert high.location - low.location == pytest.approx(calibration.surprisal(0.3) - calibration.surprisal(0.05))
    assert high.scale == low.scale
    assert high.confidence(0.01, 100) < low.confidence(0.01, 100)


def test_fit_reads_the_quantiles_and_leaves_related_pairs_out() -> None:
    sample = np.stack([at(c) for c in np.linspace(0.1, 0.5, 41).tolist()])
    queries = np.stack([E1, E1, E1])
    related = np.zeros((3, 41), np.bool_)
    related[1, 20:], related[2] = True, True
    calibration = fit_null(queries[:1], sample, related[:1], np.array([0.5], np.float32), 41)
    assert calibration is not None and calibration.max_mean == pytest.approx(0.3) and calibration.segments == 41
    assert calibration.median == pytest.approx(math.atanh(0.3)) and calibration.tail(0.48) == pytest.approx(0.05)
    assert float(calibration.centre @ E1) == pytest.approx(0.3)
    assert calibration.best_surprisals.tolist() == pytest.approx([-math.log(calibration.tail(0.5))])
    assert calibration.neutral_levels.tolist() == pytest.approx([math.log(2)]), "the mean is the median here"
    three = fit_null(queries, sample, related, np.array([0.5, 0.29, -1], np.float32), 41)
    assert three is not None and three.min_mean == pytest.approx(0.196, abs=1e-3), "its mean is that of the first half"
    assert three.neutral_levels[1] == pytest.approx(three.surprisal(three.min_mean))
    assert three.best_surprisals[2] == three.neutral_levels[2] == pytest.approx(math.log(2)), (
        "related to everything: no distinction"
    )
    assert fit_null(queries[2:], sample, related[2:], np.array([-1], np.float32), 41) is None
    equal = fit_null(queries, np.stack([E2, E2]), np.zeros((3, 2), np.bool_), np.zeros(3, np.float32), 2)
    assert equal is not None and equal.spread > 0, "equal scores have no spread"


def test_a_stored_calibration_is_restored_with_the_same_values() -> None:
    calibration = made(centre=0.123456 * E1, best_surprisals=(0.5, 1.25))
    again = ListCalibration.from_dict(calibration.as_dict())
    assert again.as_dict() == calibration.as_dict() and again.best_surprisals.tolist() == [0.5, 1.25]
    assert again.query_level(E1) == pytest.approx(calibration.query_level(E1), abs=1e-3)


def test_confidence_is_the_share_of_neutral_searches_that_find_less() -> None:
    rng = np.random.default_rng(0)
    best_surprisals = tuple(3 - 0.8 * np.log(-np.log(rng.random(20_000))))
    calibration = made(best_surprisals=best_surprisals)
    found, level = null_distribution([calibration], E1), calibration.query_level(E1)
    assert found.location == pytest.approx(3 + level, abs=0.05) and found.scale == pytest.approx(0.8, abs=0.02)
    for share in (0.3, 0.5, 0.8, 0.95, 0.99):
        tail = math.exp(-level - float(np.quantile(best_surprisals, share)))
        assert found.confidence(tail, 100) == pytest.approx(share, abs=0.01)
    assert found.confidence(0.0, 100) == pytest.approx(1.0) and found.confidence(1.0, 100) < 1e-3


def test_confidence_survives_a_tenth_of_neutral_queries_that_match_something() -> None:
    best_surprisals = np.linspace(0, 9, 1000)
    named = np.where(np.arange(1000) >= 905, 700.0, best_surprisals)
    assert null_distribution([made(best_surprisals=tuple(best_surprisals))], E1) == null_distribution(
        [made(best_surprisals=tuple(named))], E1
    )


def test_confidence_falls_with_the_number_of_segments_searched() -> None:
    found = NullDistribution(3.0, 1.0, 100)
    assert found.confidence(math.exp(-3), 100) == pytest.approx(math.exp(-1))
    assert found.confidence(math.exp(-3), 200) == pytest.approx(math.exp(-2))
    assert found.confidence(math.exp(-3), 1) == pytest.approx(math.exp(-0.01))


def test_over_several_lists_the_best_neutral_score_of_a_query_counts() -> None:
    both = null_distribution(
        [made(best_surprisals=(1.0, 5.0, 2.0)), made(best_surprisals=(4.0, 1.0, 2.0), segments=50)], E1
    )
    alone = null_distribution([made(best_surprisals=(4.0, 5.0, 2.0), segments=150)], E1)
    assert both == alone
    assert null_distribution([made(best_surprisals=(2.0, 2.0))], E1).scale > 0, "equal tops have no spread"


def test_over_several_lists_the_highest_query_level_is_subtracted() -> None:
    low, high = made(centre=0.1 * E1), made(centre=0.5 * E1)
    both = null_distribution([low, high], E1)
    assert both.location == pytest.approx(null_distribution([high], E1).location)


def test_lists_on_different_scales_become_comparable() -> None:
    backgrounds = {("text", AUDIO): made(0.1, 0.3), ("text", IMAGE): made(0.4, 0.8)}
    calibrator = ScoreCalibrator.of(backgrounds, "text", E1[np.newaxis], 0.05)
    assert calibrator.tail(AUDIO, 0.5) < calibrator.tail(IMAGE, 0.7), (
        "0.5 is more unusual for a sound than 0.7 for a picture"
    )
    assert calibrator.covers([AUDIO, IMAGE]) and not calibrator.covers([AUDIO, ListKey("s", "text", "text")])
    assert calibrator.min_confidence == 0.95


def test_a_modality_that_lacks_a_calibration_uses_that_of_text() -> None:
    words, pictures = made(0.1), made(0.2)
    backgrounds = {("text", AUDIO): words, ("text", IMAGE): words, ("image", AUDIO): pictures}
    query = E1[np.newaxis]
    assert ScoreCalibrator.of(backgrounds, "image", query, 0.05).calibrations == {AUDIO: words, IMAGE: words}, (
        "not for every list"
    )
    backgrounds["image", IMAGE] = pictures
    assert ScoreCalibrator.of(backgrounds, "image", query, 0.05).calibrations == {AUDIO: pictures, IMAGE: pictures}


def test_a_calibration_is_stale_once_its_list_has_grown() -> None:
    known = {("text", AUDIO): made(segments=100)}
    assert not backgrounds_stale(known, {AUDIO: 100}) and not backgrounds_stale(known, {AUDIO: 125, IMAGE: 0})
    assert (
        backgrounds_stale(known, {AUDIO: 140})
        and backgrounds_stale(known, {AUDIO: 60})
        and backgrounds_stale(known, {AUDIO: 100, IMAGE: 1})
    )


def test_packaged_neutral_vectors_are_those_of_the_starter_s_encoders() -> None:
    space: Space = registry.load_part("spaces", "starter")("cpu")
    found = neutral.neutral_vectors(space)
    assert {modality: len(rows) for modality, rows in found.items()} == {"text": 276, "image": 19, "audio": 16}, (
        "an encoder has changed: python -m mmsearch.calibration.neutral"
    )
    encoder = space.encoders["text"]
    # As passages: a query that describes a photo is moved, and these stand for no description.
    again = encoder.encode([encoder.prepare(Segment("text", neutral.neutral_words()[7]))])
    assert float(again[0] @ found["text"][7]) > 0.9999


def test_another_space_encodes_the_neutral_words_and_uses_no_packaged_media() -> None:
    space = tiny.space("cpu")
    found = neutral.neutral_vectors(space)
    assert found.keys() == {"text"} and found["text"].shape == (276, tiny.DIM)


def test_neutral_vectors_that_were_stored_rounded_are_of_unit_length_again() -> None:
    np.testing.assert_allclose(
        neutral._unit(np.array([[3, 4], [0, -2]], np.int8)), [[0.6, 0.8], [0.0, -1.0]], rtol=1e-6
    )
