"""What words are worth as evidence: names, passages, folders, common and rare words; kinds that a query names."""

import math
from dataclasses import replace

import pytest

from mmsearch.catalog.records import KeywordMatch, Row, WordMatch
from mmsearch.search.kinds import OTHER_KIND, named_kind
from mmsearch.search.ranking import probability
from mmsearch.search.word_evidence import (
    EXACT,
    LIFT,
    LIFT_FROM,
    VERBATIM,
    lifted,
    rarity,
    row_evidence,
    word_evidence,
    word_lift,
)


def matched(query: str, name: str = "", passage: str = "", folder: str = "", common: float = 0.0) -> KeywordMatch:
    """A text that holds these words."""
    words = tuple(
        WordMatch(word, word in name.split(), word in folder.split(), float(word in passage.split()), common)
        for word in query.split()
    )
    return KeywordMatch(1, 1, b"/a", "text", None, 1.0, words, exact=False)


def told(query: str, name: str = "", passage: str = "", folder: str = "", common: float = 0.0) -> float:
    """The probability by words, of a text that holds these."""
    return probability(word_evidence(matched(query, name, passage, folder, common)))


def test_rarity_follows_the_frequency_of_a_word_in_general() -> None:
    rare = [rarity(word) for word in ("the", "red", "dog", "helicopter", "pumpkin", "invoice")]
    assert rare == sorted(rare) and rare[0] == 0
    assert rarity("dogs") == rarity("dog") and rarity("x") == rarity("7") < rarity("dog")
    assert rarity("2041") == rarity("quartzite") == max(rare)


def test_a_rare_word_is_telling_wherever_it_is_and_a_common_one_in_a_name() -> None:
    assert told("invoice", name="invoice") > 0.97 and told("invoice", passage="invoice") > 0.8
    assert told("invoice walnut", passage="invoice walnut") > 0.97
    assert told("dog", name="dog") > 0.8
    assert told("dog", passage="dog") == 0
    assert told("red", name="red") < 0.5 and told("red", passage="red") == 0


def test_one_common_word_of_three_is_hardly_evidence() -> None:
    assert told("red bus", passage="red") == 0 and told("red bus", name="red") < 0.1
    assert told("dog beach ball", passage="dog") == 0
    assert told("red bus", name="red bus") > told("red bus", name="bus") > told("red bus", name="red")


def test_a_word_that_most_of_a_library_holds_tells_less() -> None:
    shares = [told("helicopter", name="helicopter", common=common) for common in (0.0, 0.3, 0.6, 0.9, 1.0)]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.9 and shares[-1] == 0


def test_a_folder_is_a_hint_and_no_hit() -> None:
    assert told("clipart pumpkin", folder="clipart") < 0.1
    assert told("pumpkin", folder="pumpkin") <= 0.3, "even where it is all that was asked for"
    alone = told("pumpkin", name="pumpkin")
    assert told("clipart pumpkin", name="pumpkin", folder="clipart") == alone > told("clipart pumpkin", name="pumpkin")


def test_an_exact_match_is_certain() -> None:
    match = KeywordMatch(1, 1, b"/a", "text", None, 1.0, (WordMatch("the", True, False, 0, 1.0),), exact=True)
    assert word_evidence(match) == EXACT and probability(EXACT) == probability(OTHER_KIND * EXACT) == 1
    assert word_evidence(replace(match, verbatim=True)) == VERBATIM > EXACT
    telling = replace(match, words=(WordMatch("quartzite", True, False, 0, 0.0),))
    assert EXACT < word_evidence(telling) < EXACT * 1.01, "of two that are exact, the likelier is first"


def test_words_that_name_a_kind_are_not_looked_for() -> None:
    words = (WordMatch("photo", True, False, 0, 0), WordMatch("zebra", False, False, 0, 0))
    match = KeywordMatch(1, 1, b"/a", "text", None, 1.0, words, exact=False)
    assert word_evidence(match, named_kind("a photo of a zebra").words) == 0 < word_evidence(match)


@pytest.mark.parametrize(
    ("query", "modalities"),
    [
        ("photo of a dog", ("image",)),
        ("A PICTURE of two cats", ("image",)),
        ("the sound of rain", ("audio", "video")),
        ("videos of a train", ("video",)),
        ("notes about taxes", ("text",)),
        ("Geräusch von Regen", ("audio", "video")),
        ("Bilder vom Meer", ("image",)),
        ("une photo d'un chien", ("image",)),
        ("sonido de lluvia", ("audio", "video")),
        ("狗的照片", ("image",)),
        ("雨的聲音", ("audio", "video")),
        ("개의 사진", ("image",)),
        ("köpek fotoğraf\u0131", ("image",)),
        ("zdjęcie psa", ("image",)),
        ("шум дождя", ("audio", "video")),
        ("صورة كلب", ("image",)),
        ("film noir", ()),
        ("dog", ()),
        ("photo of", ()),
        ("a photo album on a table", ()),
        ("", ()),
    ],
)
def test_a_query_may_name_the_kind_of_its_answers(query: str, modalities: tuple[str, ...]) -> None:
    kind = named_kind(query)
    assert kind.modalities == modalities
    weights = {modality: kind.weight(modality) for modality in ("text", "image", "audio", "video")}
    assert {modality for modality, weight in weights.items() if weight == 1} == set(modalities or weights)
    assert all(0 < weight <= 0.1 for modality, weight in weights.items() if modality not in (modalities or weights))


def test_words_that_are_no_evidence_alone_raise_the_odds_of_a_meaning() -> None:
    assert told("fix microwave", passage="microwave") == 0
    fix, microwave = rarity("fix"), rarity("microwave")
    lift = word_lift(matched("fix microwave", passage="microwave"))
    assert lift == pytest.approx(LIFT * (microwave * microwave / (fix + microwave) - LIFT_FROM)) and lift > 1
    assert word_lift(matched("fix microwave", name="microwave")) == lift, "wherever they stand"
    assert word_lift(matched("fix microwave", passage="fix microwave")) > lift > 0
    assert word_lift(matched("the microwave", passage="the")) == word_lift(matched("fix microwave")) == 0
    assert word_lift(matched("letters microwave", folder="letters")) == 0
    assert word_lift(matched("text microwave", passage="text"), {"text"}) == 0


@pytest.mark.parametrize("evidence", [0.0, 1e-6, 0.02, 0.5, 3.0, 29.0, 31.0, 800.0, EXACT])
def test_a_lift_multiplies_the_odds(evidence: float) -> None:
    assert lifted(evidence, 0.0) == pytest.approx(evidence)
    assert lifted(evidence, 0.5) >= evidence
    if evidence < 30:
        assert math.expm1(lifted(evidence, math.log(3))) == pytest.approx(3 * math.expm1(evidence))
    else:
        assert lifted(evidence, math.log(3)) == pytest.approx(evidence + math.log(3))


def test_what_is_written_in_photos_stands_behind_them_where_photos_alone_are_searched() -> None:
    of_all = named_kind("backpack")
    assert of_all.meaning("image", "text") == of_all.meaning("text", "text") == pytest.approx(0.1)
    assert (of_all.meaning("image", "image"), of_all.meaning("audio", "audio")) == (1.0, 0.5)
    assert replace(of_all, alone="image").meaning("image", "text") == pytest.approx(0.1)
    assert replace(of_all, alone="text").meaning("text", "text") == 1.0
    assert replace(of_all, alone="audio").meaning("audio", "audio") == 1.0


def test_common_words_in_a_row_are_evidence_in_media_from_four_and_in_texts_from_six_on() -> None:
    said = replace(matched("so that who has"), modality="audio")
    assert word_evidence(said) == 0
    assert probability(word_evidence(replace(said, row=Row(3.0, 3)))) == pytest.approx(1 / (1 + math.exp(-0.5 / 0.7)))
    assert row_evidence(replace(said, modality="text", row=Row(4.0, 4))) == 0
    assert probability(row_evidence(replace(said, modality="text", row=Row(5.0, 5)))) > 0.97
    # Half a sentence is a turn of phrase.
    assert probability(row_evidence(replace(said, row=Row(3.0, 6)))) < 0.1
    assert row_evidence(replace(said, row=Row(1.0, 3))) == 0
