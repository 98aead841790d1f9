"""Calibration: the tail through two quantiles, the confidence over a search, the threshold from neutral queries."""

import math

import numpy as np
import pytest

from mmsearch.calibration import Fitted, Judge, confidence, fit, stale, threshold
from mmsearch.catalog import ListKey

AUDIO, IMAGE = ListKey("s", "audio", "audio"), ListKey("s", "image", "image")


def made(middle: float = 0.2, high: float = 0.4, tops: tuple[float, ...] = (), segments: int = 100) -> Fitted:
    return Fitted(math.atanh(middle), math.atanh(high) - math.atanh(middle), segments, tops)


def test_the_tail_goes_through_both_quantiles_and_on_exponentially() -> None:
    fitted = made()
    assert fitted.tail(0.2) == pytest.approx(0.5) and fitted.tail(0.4) == pytest.approx(0.05)
    next_step = math.tanh(2 * math.atanh(0.4) - math.atanh(0.2))
    assert fitted.tail(next_step) == pytest.approx(0.005), "as far again, ten times rarer"
    mirrored = math.tanh(2 * math.atanh(0.2) - math.atanh(0.4))
    assert fitted.tail(mirrored) == pytest.approx(0.95)
    assert fitted.tail(1.0) < 1e-20 and fitted.tail(-1.0) == pytest.approx(1.0)
    scores = np.linspace(-1, 1, 200)
    tails = [fitted.tail(s) for s in scores]
    assert tails == sorted(tails, reverse=True)


def test_fit_reads_the_quantiles_and_leaves_related_pairs_out() -> None:
    pairs = np.tanh(np.linspace(0, 1, 101)).astype(np.float32).reshape(1, -1)
    fitted = fit(np.concatenate([pairs, np.full((1, 101), np.nan, np.float32)]), [0.9], 101)
    assert fitted.middle == pytest.approx(0.5, abs=1e-5) and fitted.spread == pytest.approx(0.45, abs=1e-5)
    assert fit(np.full((2, 2), 0.3, np.float32), [], 2).spread > 0, "equal scores have no spread"
    assert Fitted.from_dict(fitted.as_dict()) == fitted


def test_confidence_falls_with_what_was_searched() -> None:
    fitted = made()
    assert confidence(0.4, fitted, 1) == pytest.approx(math.exp(-0.05))
    assert confidence(0.4, fitted, 100) == pytest.approx(math.exp(-5))
    assert confidence(1.0, fitted, 10**9) == pytest.approx(1.0)


def test_the_threshold_is_what_neutral_queries_reach_that_often() -> None:
    tops = tuple(np.linspace(0.2, 0.6, 101))
    level = threshold([made(tops=tops)], 10, 0.05)
    accepted = sum(confidence(top, made(), 10) > level for top in tops)
    assert accepted == 5
    both = threshold([made(tops=(0.5, 0.2)), made(tops=(0.2, 0.7))], 10, 0.5)
    ends = sorted([confidence(0.5, made(), 10), confidence(0.7, made(), 10)])
    assert both == pytest.approx(sum(ends) / 2), "a query's best over all lists counts"
    assert threshold([], 10, 0.05) == 1.0


def test_lists_on_different_scales_become_comparable() -> None:
    judge = Judge({AUDIO: made(0.1, 0.3), IMAGE: made(0.4, 0.8)}, 0.05)
    assert judge.tail(AUDIO, 0.5) < judge.tail(IMAGE, 0.7), "0.5 is more unusual for a sound than 0.7 for a picture"
    assert judge.knows([AUDIO, IMAGE]) and not judge.knows([AUDIO, ListKey("s", "text", "text")])


def test_words_stand_in_for_rare_modalities() -> None:
    words, pictures = made(0.1), made(0.2)
    backgrounds = {("text", AUDIO): words, ("text", IMAGE): words, ("image", AUDIO): pictures}
    assert Judge.of(backgrounds, "image", 0.05).fitted == {AUDIO: words, IMAGE: words}, "not for every list"
    backgrounds["image", IMAGE] = pictures
    assert Judge.of(backgrounds, "image", 0.05).fitted == {AUDIO: pictures, IMAGE: pictures}


def test_a_background_is_stale_once_its_list_has_grown() -> None:
    known = {("text", AUDIO): made(segments=100)}
    assert not stale(known, {AUDIO: 100}) and not stale(known, {AUDIO: 125, IMAGE: 0})
    assert stale(known, {AUDIO: 140}) and stale(known, {AUDIO: 60}) and stale(known, {AUDIO: 100, IMAGE: 1})
