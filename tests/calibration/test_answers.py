"""The probability that a hit answers its query: exact values, whatever the library's size."""

import math
from dataclasses import replace
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest

from mmsearch.calibration import EncoderIdentities, ListCalibration, ScoreCalibrator, neutral
from mmsearch.calibration.answers import (
    RIVAL,
    AnswerModel,
    AnswerWeights,
    FittedAnswers,
    ListFacts,
    PairBackground,
    discounted,
    fitted_answers,
    parse_answers,
    probability,
    rival_level,
    sentence_share,
)
from mmsearch.catalog import ListKey
from mmsearch.core import registry
from mmsearch.types import Modality, Space, Vectors

IMAGE, AUDIO = ListKey("starter", "image", "image"), ListKey("starter", "audio", "audio")
BACKGROUND = PairBackground(0.1, 0.2, 1.5, 0.05, 0.5, 2.0)
MODEL = AnswerModel(BACKGROUND, AnswerWeights(-2.0, 1.5, -1.0, -0.5), AnswerWeights(-3.0, 2.0))


@pytest.fixture(scope="module")
def starter() -> Space:
    space: Space = registry.load_part("spaces", "starter")("cpu")
    return space


def measured(segments: int, median: float = 0.1) -> ListCalibration:
    centre = np.zeros(384, np.float32)
    return ListCalibration(median, 0.2, segments, centre, -1, 1, np.ones(2, np.float32), np.ones(2, np.float32))


def asked(
    space: Space, words: str, calibrations: dict[ListKey, ListCalibration], kind: Modality = "text"
) -> ScoreCalibrator:
    backgrounds = {(kind, key): one for key, one in calibrations.items()}
    vector: Vectors = np.eye(1, 384, dtype=np.float32)
    return ScoreCalibrator.of(backgrounds, kind, vector, 0.05, words, EncoderIdentities.of_space(space))


def test_log_odds_are_linear_in_score_rival_hubness_and_what_suits_the_best_hit() -> None:
    score = math.tanh(0.1 + 3 * 0.2)  # three spreads above the median
    usual = -2.0 + 1.5 * (3 - 0.4 * 1.5) - 0.5 * 2.0
    assert MODEL.logit(score, 0.0) == pytest.approx(usual), "all else is as usual"
    assert MODEL.logit(score, 1.0) == pytest.approx(-3.0 + 2.0 * 2.4)
    assert MODEL.logit(score, 0.25) == pytest.approx(0.75 * usual + 0.25 * 1.8)
    assert MODEL.logit(score, 0.0, ListFacts(hubness=0.55)) == pytest.approx(usual - 1.0), "a hub says less"
    assert MODEL.logit(score, 0.0, ListFacts(rival=2.0)) == pytest.approx(usual - 1.5 * 0.4 * 0.5)
    assert MODEL.logit(score, 0.0, ListFacts(words=math.tanh(0.1 + 5 * 0.2))) == pytest.approx(usual - 0.5 * 3)
    assert MODEL.logit(score, 1.0, ListFacts(words=0.9)) == MODEL.logit(score, 1.0)


def test_a_region_a_common_query_and_company_are_part_of_the_log_odds() -> None:
    usual = BACKGROUND._replace(region=0.25, common=0.1, company=1.5, discount=0.05)
    model = AnswerModel(usual, AnswerWeights(-2.0, 1.5, region=-0.8, common=0.3, company=0.5), AnswerWeights(0.0, 1.0))
    score, level = math.tanh(0.1 + 3 * 0.2), -2.0 + 1.5 * 2.4
    assert model.uses_regions and not MODEL.uses_regions
    assert model.logit(score, 0.0) == pytest.approx(level - 0.8 * 0.25), "all is as usual"
    assert model.logit(score, 0.0, ListFacts(region=True)) == pytest.approx(level - 0.8)
    assert model.logit(score, 0.0, ListFacts(region=False)) == pytest.approx(level)
    told = ListFacts(region=False, common=0.13, company=math.tanh(0.1 + 3.5 * 0.2))
    assert model.logit(score, 0.0, told) == pytest.approx(level + 0.3 + 0.5 * 2)


@pytest.mark.parametrize(
    ("score", "sentence", "off"),
    [
        (0.3, 0.0, 0.05),
        (0.4, 0.0, 0.05),
        (0.45, 0.0, 0.025),
        (0.5, 0.0, 0.0),
        (0.8, 0.0, 0.0),
        (0.45, 0.5, 0.0375),
        (0.8, 1.0, 0.05),
        (0.8, 0.5, 0.025),
    ],
)
def test_a_region_that_surely_shows_what_is_named_counts_in_full_and_for_a_sentence_never(
    score: float, sentence: float, off: float
) -> None:
    assert discounted(math.tanh(score), 0.05, sentence) == pytest.approx(math.tanh(score - off))


def test_a_discount_keeps_the_order_of_regions() -> None:
    scores = np.linspace(-0.99, 0.99, 999).tolist()
    for sentence in (0.0, 0.3, 1.0):
        counted = [discounted(score, 0.04, sentence) for score in scores]
        assert all(low < high for low, high in pairwise(counted))


def test_regions_count_less_and_say_so_of_a_list(starter: Space) -> None:
    calibrator = asked(starter, "dog", {IMAGE: measured(10), AUDIO: measured(10)})
    assert calibrator.wants_regions(IMAGE) and not calibrator.wants_regions(AUDIO)
    assert calibrator.counted(IMAGE, 0.35, True) == pytest.approx(math.tanh(math.atanh(0.35) - 0.04))
    assert calibrator.counted(IMAGE, 0.4, False) == 0.4 == calibrator.counted(AUDIO, 0.4, True)
    assert calibrator.counted(IMAGE, 0.6, True) == 0.6, "a name"
    sentence = asked(starter, "a dog running fast across the wet sand", {IMAGE: measured(10)})
    assert sentence.counted(IMAGE, 0.6, True) == pytest.approx(math.tanh(math.atanh(0.6) - 0.04))
    picture = asked(starter, "", {IMAGE: measured(10)}, "image")
    assert picture.counted(IMAGE, 0.6, True) == pytest.approx(math.tanh(math.atanh(0.6) - 0.1))
    scores = np.array([0.38, 0.37, 0.3], np.float32)
    calibrator.note_list(IMAGE, scores, regions=[True, False, False])  # the second one counts most
    whole = calibrator.confidence(IMAGE, 0.37)
    other = asked(starter, "dog", {IMAGE: measured(10)})
    other.note_list(IMAGE, scores + np.array([0.1, 0, 0], np.float32), regions=[True, False, False])
    assert other.confidence(IMAGE, 0.37) < whole, "the best is a region"


def test_a_list_too_short_for_a_rival_has_it_where_the_tail_would_put_it() -> None:
    assert rival_level(math.tanh(0.1 + 2 * 0.2), RIVAL, BACKGROUND) == pytest.approx(2.0)
    assert rival_level(-0.9, RIVAL, BACKGROUND) == 0, "one as unrelated pairs are"
    assert rival_level(0.9, 3, BACKGROUND) == pytest.approx(-1), "a tenth of them is a spread less"
    levels = [rival_level(0.0, segments, BACKGROUND) for segments in range(RIVAL + 1)]
    assert levels[0] == levels[1] and levels[1:] == sorted(levels[1:]) and levels[-1] == 0


def test_a_probability_neither_overflows_nor_leaves_its_range() -> None:
    assert probability(0) == 0.5 and probability(math.log(3)) == pytest.approx(0.75)
    assert probability(-1000) == 0 and probability(1000) == 1


@pytest.mark.parametrize(
    ("words", "share"),
    [
        ("dog", 0), ("a red bus", 0), ("a photo of a dog", 0), ("the sound of rain", 0), ("", 0),
        ("brown dog running", 1 / 3), ("a brown dog runs in the grass", 2 / 3), ("Two big dogs play with a ball", 1),
    ],
)  # fmt: skip
def test_a_query_is_a_name_or_a_sentence_by_its_content_words(words: str, share: float) -> None:
    assert sentence_share(words) == pytest.approx(share)


def test_levels_follow_the_share_of_first_hits_that_may_be_wrong() -> None:
    answers = FittedAnswers({}, (AnswerWeights(0, 1), AnswerWeights(0, 1)), NormalDist(-2.0, 1.5), 0.0)
    levels = answers.levels(0.05)
    assert levels.sure == pytest.approx(probability(-2 + 1.5 * 1.6449), abs=1e-4)
    assert levels.likely == pytest.approx(probability(-2 + 1.5 * 0.6745), abs=1e-4)
    assert [levels.level(one) for one in (levels.sure, levels.likely, 0.0)] == ["sure", "likely", "unlikely"]
    assert answers.levels(0.0).level(1.0) == "unlikely" and answers.levels(1.0).level(0.0) == "sure"


def test_names_and_sentences_have_levels_of_their_own_where_they_were_fitted() -> None:
    absent = NormalDist(-2.0, 1.0), NormalDist(-3.0, 2.0)
    known = {("words", "pictures"): AnswerModel(BACKGROUND, AnswerWeights(0, 1), AnswerWeights(0, 1), absent)}
    answers = FittedAnswers(known, (AnswerWeights(0, 1), AnswerWeights(0, 1)), NormalDist(-1.0, 0.5), 0.0)
    for sentence, mean, spread in ((0.0, -2.0, 1.0), (1.0, -3.0, 2.0), (0.5, -2.5, 1.5)):
        levels = answers.levels(0.05, ("words", "pictures"), sentence)
        assert levels.sure == pytest.approx(probability(mean + spread * 1.6449), abs=1e-4)
        assert levels.likely == pytest.approx(probability(mean + spread * 0.6745), abs=1e-4)
    assert answers.levels(0.05, ("words", "others")) == answers.levels(0.05)
    assert answers.levels(0.05).sure == pytest.approx(probability(-1 + 0.5 * 1.6449), abs=1e-4)


def test_a_search_s_levels_are_those_of_its_kind_of_query(starter: Space) -> None:
    name, sentence = (asked(starter, words, {}).levels for words in ("dog", "two dogs play with a red ball on grass"))
    encoders = EncoderIdentities.of_space(starter)
    model = fitted_answers().pairs[encoders.of("text"), encoders.of("image")]
    assert model.absent is not None
    expected = [probability(one.inv_cdf(0.95)) for one in model.absent]
    assert [name.sure, sentence.sure] == pytest.approx(expected)
    assert name.sure > name.likely and sentence.sure > sentence.likely


def test_of_every_packaged_pair_a_higher_score_is_a_higher_confidence_and_a_hub_none() -> None:
    fitted = fitted_answers()
    assert len(fitted.pairs) >= 9
    for model in fitted.pairs.values():
        for sentence in (0.0, 0.5, 1.0):
            said = [model.logit(score, sentence) for score in np.linspace(-1, 1, 201).tolist()]
            assert all(low < high for low, high in pairwise(said))
            assert model.logit(0.3, sentence, ListFacts(0.2, 0.9)) <= model.logit(0.3, sentence, ListFacts(0.2, -0.9))
            assert model.logit(0.3, sentence, ListFacts(2.0)) < model.logit(0.3, sentence, ListFacts(1.0))
            assert model.logit(0.3, sentence, ListFacts(words=0.9)) <= model.logit(0.3, sentence, ListFacts(words=0.1))
    assert fitted.absent.stdev > 0 and fitted.levels(0.05).sure > fitted.levels(0.05).likely


def test_what_is_packaged_is_of_the_starter_s_encoders(starter: Space) -> None:
    known = {neutral.identity(encoder) for encoder in starter.encoders.values()}
    assert {(query, segment) for query in known for segment in known} <= fitted_answers().pairs.keys()


def test_a_confidence_does_not_depend_on_how_many_items_were_measured(starter: Space) -> None:
    sizes = [asked(starter, "dog", {IMAGE: measured(count, 0.001 * count)}) for count in (1, 3, 10, 1000)]
    assert len({one.confidence(IMAGE, 0.4) for one in sizes}) == 1
    assert asked(starter, "dog", {}).confidence(IMAGE, 0.4) == sizes[0].confidence(IMAGE, 0.4), "nothing was measured"


def test_in_a_library_of_one_picture_what_it_does_not_show_is_unlikely(starter: Space) -> None:
    calibrator = asked(starter, "tax return", {IMAGE: measured(1)})
    said = [calibrator.confidence(IMAGE, score) for score in (0.008, 0.024, 0.094, 0.263, 0.445)]
    assert said == sorted(said) and said[2] < 0.05
    assert [calibrator.level(one) for one in said[:3]] == ["unlikely"] * 3


def test_what_a_list_was_found_to_hold_is_part_of_its_confidences(starter: Space) -> None:
    calibrator = asked(starter, "dog", {IMAGE: measured(10)})
    words = EncoderIdentities.of_space(starter).neutral_words
    assert calibrator.wants_best(IMAGE) and words is not None
    centre = words.mean(axis=0)
    scores = np.array([0.5, 0.4], np.float32)
    calibrator.note_list(IMAGE, scores, centre / np.linalg.norm(centre))  # nearest to all words alike
    hub = calibrator.confidence(IMAGE, 0.4)
    calibrator.note_list(IMAGE, scores, -centre)
    assert calibrator.confidence(IMAGE, 0.4) == hub, "a list has one best hit"
    other = asked(starter, "dog", {IMAGE: measured(10)})
    other.note_list(IMAGE, scores, -centre)
    assert other.confidence(IMAGE, 0.4) > hub
    many = asked(starter, "dog", {IMAGE: measured(10)})
    many.note_list(IMAGE, np.full(RIVAL, 0.4, np.float32), -centre)
    assert many.confidence(IMAGE, 0.4) < other.confidence(IMAGE, 0.4), "its rival scores as high"
    assert asked(starter, "", {IMAGE: measured(10)}, "image").wants_best(IMAGE), "pictures find hubs, too"
    assert not asked(starter, "", {AUDIO: measured(10)}, "audio").wants_best(AUDIO), "nothing was fitted of sounds"


def test_what_shows_another_thing_plainly_is_less_likely_an_answer(starter: Space) -> None:
    words = EncoderIdentities.of_space(starter).neutral_words
    assert words is not None
    windmill = words[neutral.neutral_words().index("a windmill")]
    calibrator = asked(starter, "dog", {IMAGE: measured(10)})
    calibrator.note_list(IMAGE, np.array([0.5, 0.4, 0.3], np.float32), windmill)
    cosines = np.sort(words @ windmill)
    facts = ListFacts(-1.0, float(cosines.mean()), float(cosines[-5:].mean()))
    model = calibrator.answers.model(IMAGE)
    assert calibrator.logit(IMAGE, 0.4) == pytest.approx(model.logit(0.4, 0.0, facts), abs=1e-4)
    assert calibrator.logit(IMAGE, 0.4) < model.logit(0.4, 0.0, facts._replace(words=None)) - 0.4


def test_a_pair_that_was_not_fitted_is_told_by_the_library_s_own_background() -> None:
    other = {"name": [-4.0, 2.0, 0.0], "sentence": [-5.0, 2.0, 0.0], "rival": 1.0}
    fitted = parse_answers({"pairs": [], "other": other, "absent": [-3.0, 1.0]})
    assert fitted.model("a", "b", 0.2, 0.1).logit(math.tanh(0.5), 0.0) == pytest.approx(-4.0 + 2.0 * (3 - 0.4))
    key = ListKey("s", "image", "image")
    unknown = ScoreCalibrator.of({("text", key): measured(5)}, "text", np.eye(1, 384, dtype=np.float32), 0.05, "dog")
    packaged = fitted_answers()
    by_hand = packaged.other[0].intercept + packaged.other[0].score * (2 - 0.4 * packaged.other_rival)
    assert unknown.logit(key, math.tanh(0.5)) == pytest.approx(by_hand)
    assert not unknown.wants_best(key)


def test_words_in_another_language_are_told_by_what_was_fitted_on_such(starter: Space) -> None:
    encoders = EncoderIdentities.of_space(starter)
    words, image = encoders.of("text"), encoders.of("image")
    told = replace(encoders, translated=True)
    assert told.of_query("text") == words + neutral.TRANSLATED and encoders.of_query("text") == words
    assert (told.of("text"), told.of_query("image")) == (words, image), "passages and pictures are in no language"
    fitted = fitted_answers()
    for segment in ("text", "image", "audio"):
        english, other = (fitted.model(one.of_query("text"), one.of(segment), 0, 1) for one in (encoders, told))
        # Cosines of what is read by way of another model are lower, by chance and of what is right.
        score = math.tanh(english.background.median + 3 * english.background.spread)
        assert other.logit(score, 0.0) > english.logit(score, 0.0), segment
