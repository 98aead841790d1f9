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
    middle: float = 0.2, high: float = 0.4, tops: tuple[float, ...] = (1.0, 2.0), segments: int = 100,
    centre: Vectors = 0 * E1, least: float = -1.0, most: float = 1.0,
) -> ListCalibration:  # fmt: skip
    spread = math.atanh(high) - math.atanh(middle)
    found = np.array(tops, np.float32)
    return ListCalibration(math.atanh(middle), spread, segments, centre, least, most, 0 * found, found)


def at(cosine: float) -> Vectors:
    """A unit vector of this cosine with E1."""
    return np.array([cosine, math.sqrt(1 - cosine**2)], np.float32)


def test_the_tail_passes_both_quantiles_and_falls_exponentially_beyond() -> None:
    fitted = made()
    assert fitted.tail(0.2) == pytest.approx(0.5) and fitted.tail(0.4) == pytest.approx(0.05)
    next_step = math.tanh(2 * math.atanh(0.4) - math.atanh(0.2))
    assert fitted.tail(next_step) == pytest.approx(0.005), "as far again, ten times rarer"
    mirrored = math.tanh(2 * math.atanh(0.2) - math.atanh(0.4))
    assert fitted.tail(mirrored) == pytest.approx(0.95)
    assert 0 < fitted.tail(1.0) < 1e-20 and fitted.tail(-1.0) == pytest.approx(1.0)
    scores = np.linspace(-1, 1, 200).tolist()
    tails = [fitted.tail(s) for s in scores]
    assert tails == sorted(tails, reverse=True)


def test_a_query_s_own_level_is_how_unusual_its_mean_is() -> None:
    fitted = made(centre=0.5 * E1, least=-0.1, most=0.3)
    assert fitted.level(at(0.4)) == pytest.approx(-math.log(fitted.tail(0.2))), "its mean with the list"
    assert fitted.level(at(1.0)) == fitted.unusual(0.3), "in a list of what was asked for, not all of it"
    assert fitted.level(at(-1.0)) == fitted.unusual(-0.1)
    assert fitted.unusual(0.2) == pytest.approx(math.log(2))
    assert fitted.unusual(0.4) - fitted.unusual(0.2) == pytest.approx(math.log(10))


def test_a_query_that_scores_high_with_everything_is_less_confident() -> None:
    fitted = made(centre=0.5 * E1, tops=(1.0, 2.0, 3.0))
    low, high = null_distribution([fitted], at(0.1)), null_distribution([fitted], at(0.6))
    assert high.location - low.location == pytest.approx(fitted.unusual(0.3) - fitted.unusual(0.05))
    assert high.scale == low.scale
    assert high.confidence(0.01, 100) < low.confidence(0.01, 100)


def test_fit_reads_the_quantiles_and_leaves_related_pairs_out() -> None:
    sample = np.stack([at(c) for c in np.linspace(0.1, 0.5, 41).tolist()])
    queries = np.stack([E1, E1, E1])
    related = np.zeros((3, 41), np.bool_)
    related[1, 20:], related[2] = True, True
    fitted = fit_null(queries[:1], sample, related[:1], np.array([0.5], np.float32), 41)
    assert fitted is not None and fitted.most == pytest.approx(0.3) and fitted.segments == 41
    assert fitted.middle == pytest.approx(math.atanh(0.3)) and fitted.tail(0.48) == pytest.approx(0.05)
    assert float(fitted.centre @ E1) == pytest.approx(0.3)
    assert fitted.tops.tolist() == pytest.approx([-math.log(fitted.tail(0.5))])
    assert fitted.levels.tolist() == pytest.approx([math.log(2)]), "the mean is the median here"
    three = fit_null(queries, sample, related, np.array([0.5, 0.29, -1], np.float32), 41)
    assert three is not None and three.least == pytest.approx(0.196, abs=1e-3), "its mean is that of the first half"
    assert three.tops[2] == three.levels[2] == pytest.approx(math.log(2)), "related to everything: no distinction"
    assert fit_null(queries[2:], sample, related[2:], np.array([-1], np.float32), 41) is None
    equal = fit_null(queries, np.stack([E2, E2]), np.zeros((3, 2), np.bool_), np.zeros(3, np.float32), 2)
    assert equal is not None and equal.spread > 0, "equal scores have no spread"


def test_a_stored_calibration_is_restored_with_the_same_values() -> None:
    fitted = made(centre=0.123456 * E1, tops=(0.5, 1.25))
    again = ListCalibration.from_dict(fitted.as_dict())
    assert again.as_dict() == fitted.as_dict() and again.tops.tolist() == [0.5, 1.25]
    assert again.level(E1) == pytest.approx(fitted.level(E1), abs=1e-3)


def test_confidence_is_the_share_of_neutral_searches_that_find_less() -> None:
    rng = np.random.default_rng(0)
    tops = tuple(3 - 0.8 * np.log(-np.log(rng.random(20_000))))
    fitted = made(tops=tops)
    found, level = null_distribution([fitted], E1), fitted.level(E1)
    assert found.location == pytest.approx(3 + level, abs=0.05) and found.scale == pytest.approx(0.8, abs=0.02)
    for share in (0.3, 0.5, 0.8, 0.95, 0.99):
        tail = math.exp(-level - float(np.quantile(tops, share)))
        assert found.confidence(tail, 100) == pytest.approx(share, abs=0.01)
    assert found.confidence(0.0, 100) == pytest.approx(1.0) and found.confidence(1.0, 100) < 1e-3


def test_confidence_survives_a_tenth_of_neutral_queries_that_match_something() -> None:
    tops = np.linspace(0, 9, 1000)
    named = np.where(np.arange(1000) >= 905, 700.0, tops)
    assert null_distribution([made(tops=tuple(tops))], E1) == null_distribution([made(tops=tuple(named))], E1)


def test_confidence_falls_with_the_number_of_segments_searched() -> None:
    found = NullDistribution(3.0, 1.0, 100)
    assert found.confidence(math.exp(-3), 100) == pytest.approx(math.exp(-1))
    assert found.confidence(math.exp(-3), 200) == pytest.approx(math.exp(-2))
    assert found.confidence(math.exp(-3), 1) == pytest.approx(math.exp(-0.01))


def test_over_several_lists_the_best_neutral_score_of_a_query_counts() -> None:
    both = null_distribution([made(tops=(1.0, 5.0, 2.0)), made(tops=(4.0, 1.0, 2.0), segments=50)], E1)
    alone = null_distribution([made(tops=(4.0, 5.0, 2.0), segments=150)], E1)
    assert both == alone
    assert null_distribution([made(tops=(2.0, 2.0))], E1).scale > 0, "equal tops have no spread"


def test_over_several_lists_the_highest_query_level_is_subtracted() -> None:
    low, high = made(centre=0.1 * E1), made(centre=0.5 * E1)
    both = null_distribution([low, high], E1)
    assert both.location == pytest.approx(null_distribution([high], E1).location)


def test_lists_on_different_scales_become_comparable() -> None:
    backgrounds = {("text", AUDIO): made(0.1, 0.3), ("text", IMAGE): made(0.4, 0.8)}
    judge = ScoreCalibrator.of(backgrounds, "text", E1[np.newaxis], 0.05)
    assert judge.tail(AUDIO, 0.5) < judge.tail(IMAGE, 0.7), "0.5 is more unusual for a sound than 0.7 for a picture"
    assert judge.knows([AUDIO, IMAGE]) and not judge.knows([AUDIO, ListKey("s", "text", "text")])
    assert judge.needed == 0.95


def test_a_modality_that_lacks_a_calibration_uses_that_of_text() -> None:
    words, pictures = made(0.1), made(0.2)
    backgrounds = {("text", AUDIO): words, ("text", IMAGE): words, ("image", AUDIO): pictures}
    query = E1[np.newaxis]
    assert ScoreCalibrator.of(backgrounds, "image", query, 0.05).fitted == {AUDIO: words, IMAGE: words}, (
        "not for every list"
    )
    backgrounds["image", IMAGE] = pictures
    assert ScoreCalibrator.of(backgrounds, "image", query, 0.05).fitted == {AUDIO: pictures, IMAGE: pictures}


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
    again = encoder.encode([encoder.prepare(Segment("text", neutral.neutral_words()[7]))], query=True)
    assert float(again[0] @ found["text"][7]) > 0.9999


def test_another_space_encodes_the_neutral_words_and_uses_no_packaged_media() -> None:
    space = tiny.space("cpu")
    found = neutral.neutral_vectors(space)
    assert found.keys() == {"text"} and found["text"].shape == (276, tiny.DIM)
