"""The probability that a hit answers its query, by logistic regressions of labelled questions.

Four things tell an answer, each in standard units of what unrelated pairs of the same two encoders score, in Fisher's
z: how high the hit's cosine is; how high the list's rival is, the segment in place 30, which is no answer as a rule
(test normalisation, Auckenthaler et al., "Score Normalization for Text-Independent Speaker Verification Systems",
2000); how near the list's best hit is to words of every kind, since such a hub comes first for whatever isn't there
(Radovanović, Nanopoulos and Ivanović, "Hubs in Space", 2010); and how near it is to the few of them that suit it best:
what shows a windmill plainly is seldom an answer to another name. Three more help where pictures have regions, or ask:
whether the list's best hit is a region, of which there are more to be near to; how near the query itself is to words of
every kind; and how high the fifth segment is, since what is there in number is there. All but the first are the same
for a whole list, so that a higher score is always a higher confidence. The cosine of a region counts a little less than
that of a whole picture (`discounted`). How many items there are is none of them. Names of one or two words and
sentences lie on different scales, so each has numbers of its own.

`answers.json` has these numbers for each pair of encoders that was fitted, by the encoders' identity, made by

    python -m tests.benchmarks.confidence --shared DIR --fit

Other pairs take weights that were fitted on all of these pairs at once, and the backgrounds measured in the library.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from statistics import NormalDist
from typing import Any, NamedTuple

from mmsearch.calibration.fit import TAIL_SLOPE, fisher
from mmsearch.types import Level

FITTED = "answers.json"

NAME_WORDS, SENTENCE_WORDS = 2, 5
"""Content words up to which a query is wholly a name, and from which it is wholly a sentence."""

DEFAULT_FALSE_ACCEPTS = 0.05

RIVAL = 30
"""Place of the segment that stands for what isn't an answer."""

RIVAL_SHARE = 0.4
"""How much of the rival's score is taken off a hit's. With more, right answers are rejected the more, the larger a
library is; with less, the smaller it is."""

SUITING = 5
"""Neutral words that stand for what a segment shows or says."""

COMPANY = 5
"""Place of the segment that says whether a list has several of what is asked for."""

COMMON_SPREAD = 0.03
"""About the standard deviation of queries' mean cosines with neutral words."""

BY_CHANCE, SURELY = 0.4, 0.5
"""Fisher's z up to which a region may score as high for a name by chance, and from which it shows what is named."""

LIKELY_FACTOR = 5
"""How many times as many questions about what isn't there may get a likely first hit as may get a sure one."""

_EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at to with and or is are by for from its his her their this that "
        "photo picture image sound noise recording video",
    )
)


class PairBackground(NamedTuple):
    """What unrelated pairs of two encoders score."""

    median: float
    """In Fisher's z."""
    spread: float
    """95th percentile minus median, in Fisher's z, > 0."""
    rival: float = 0.0
    """What the rival usually scores, in spreads above the median."""
    hubness: float = 0.0
    """Mean cosine of a segment with neutral words."""
    hubness_spread: float = 1.0
    """Its standard deviation over segments, > 0."""
    words: float = 0.0
    """What a list's best hit usually scores with the neutral words that suit it best, in spreads above the median."""
    region: float = 0.0
    """How often a list's best hit is a region."""
    common: float = 0.0
    """What a query's cosine with neutral words usually is, on average."""
    company: float = 0.0
    """What the segment in place `COMPANY` usually scores, in spreads above the median."""
    discount: float = 0.0
    """What is taken off a region's cosine, in Fisher's z, >= 0: the best of several has the higher score by chance
    (`discounted`)."""


class AnswerWeights(NamedTuple):
    """A logistic regression on standard values."""

    intercept: float
    score: float
    """Of the score less the rival's share, > 0: within a list a higher score is a higher confidence."""
    hubness: float = 0.0
    """<= 0."""
    words: float = 0.0
    """<= 0."""
    region: float = 0.0
    """<= 0."""
    common: float = 0.0
    company: float = 0.0


class ListFacts(NamedTuple):
    """What a list says of a query, the same for all its hits; None: not known."""

    rival: float | None = None
    """What the rival scores, in spreads above the median (`rival_level`)."""
    hubness: float | None = None
    """Mean cosine with neutral words of the list's best hit."""
    words: float | None = None
    """Mean cosine of that hit with the `SUITING` neutral words that suit it best."""
    region: bool | None = None
    """Whether that hit is a region."""
    common: float | None = None
    """Mean cosine of the query with neutral words."""
    company: float | None = None
    """What the segment in place `COMPANY` scores, a cosine."""


NOTHING_KNOWN = ListFacts()


def rival_level(cosine: float, segments: int, background: PairBackground) -> float:
    """What a list's rival scores, in spreads above the median of unrelated pairs.

    A list that is too short for one has it where the tail of unrelated pairs, continued, would put it: the fewer there
    are, the less does the best of what is unrelated score.

    Args:
        cosine: Of the segment in place `RIVAL`, if there is one.
        segments: Of the list, or `RIVAL` if there are more.
    """
    if segments < RIVAL:
        return math.log(max(segments, 1) / RIVAL) / TAIL_SLOPE
    return max((fisher(cosine) - background.median) / background.spread, 0.0)


def discounted(cosine: float, discount: float, sentence: float = 1.0) -> float:
    """What a region's cosine counts as next to those of whole pictures; strictly increasing in it.

    A sentence is about the whole, so a region that suits it better does so by chance, however well. A thing that has a
    name may be small, and a region that scores high for it shows it: that one counts in full.

    Args:
        discount: In Fisher's z, >= 0.
        sentence: How much of a sentence the query is, in [0, 1].
    """
    score = fisher(cosine)
    chance = min(max((SURELY - score) / (SURELY - BY_CHANCE), 0.0), 1.0)
    off = discount * (sentence + (1 - sentence) * chance)
    return math.tanh(score - off) if off else cosine


@dataclass(frozen=True, slots=True)
class AnswerModel:
    """What makes a confidence of a score, for one kind of query and one list."""

    background: PairBackground
    name: AnswerWeights
    sentence: AnswerWeights
    absent: tuple[NormalDist, NormalDist] | None = None
    """Of names and of sentences: log-odds of first hits of questions about what isn't there. None: as of all."""

    @property
    def uses_best(self) -> bool:
        """Whether it makes a difference what the list's best hit is."""
        return any((self.name.hubness, self.sentence.hubness, self.name.words, self.sentence.words))

    @property
    def uses_regions(self) -> bool:
        """Whether it makes a difference which of a list's segments are regions."""
        return self.background.discount > 0 or bool(self.name.region or self.sentence.region)

    def logit(self, score: float, sentence: float, facts: ListFacts = NOTHING_KNOWN) -> float:
        """Log-odds that a hit of this cosine answers the query; strictly increasing in the cosine.

        Args:
            sentence: How much of a sentence the query is, in [0, 1].
        """
        intercept, slope = self.line(sentence, facts)
        return intercept + slope * fisher(score)

    def line(self, sentence: float, facts: ListFacts) -> tuple[float, float]:
        """The log-odds as a line over Fisher's z of a cosine, the same for all hits of a list: intercept, slope."""
        usual = self.background
        rival = usual.rival if facts.rival is None else facts.rival
        hubness = 0.0 if facts.hubness is None else (facts.hubness - usual.hubness) / usual.hubness_spread
        suited = usual.words if facts.words is None else self._level(facts.words)
        region = usual.region if facts.region is None else float(facts.region)
        # Where nothing is known of them, they are as usual.
        common = 0.0 if facts.common is None else (facts.common - usual.common) / COMMON_SPREAD
        company = 0.0 if facts.company is None else self._level(facts.company) - usual.company
        intercept = slope = 0.0
        for share, one in ((1 - sentence, self.name), (sentence, self.sentence)):
            off = usual.median / usual.spread + RIVAL_SHARE * rival
            said = one.hubness * hubness + one.words * suited + one.region * region
            said += one.common * common + one.company * company
            intercept += share * (one.intercept - one.score * off + said)
            slope += share * one.score / usual.spread
        return intercept, slope

    def _level(self, cosine: float) -> float:
        """In spreads above the median."""
        return (fisher(cosine) - self.background.median) / self.background.spread


def probability(logit: float) -> float:
    """In [0, 1], without overflow."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    odds = math.exp(logit)
    return odds / (1 + odds)


def sentence_share(words: str) -> float:
    """How much of a sentence words are, in [0, 1]: 0 for a name, 1 for a sentence, by their content words."""
    content = sum(word not in _EMPTY_WORDS for word in re.findall(r"\w+", words.lower()))
    return min(max((content - NAME_WORDS) / (SENTENCE_WORDS - NAME_WORDS), 0.0), 1.0)


class Levels(NamedTuple):
    """Where a confidence becomes likely, and sure."""

    likely: float
    sure: float

    def level(self, confidence: float) -> Level:
        if confidence >= self.sure:
            return "sure"
        return "likely" if confidence >= self.likely else "unlikely"


@dataclass(frozen=True, slots=True)
class FittedAnswers:
    """All that was fitted."""

    pairs: Mapping[tuple[str, str], AnswerModel]
    """By the identities of the query's and the segment's encoder."""
    other: tuple[AnswerWeights, AnswerWeights]
    """Of names and of sentences, for pairs that were not fitted."""
    absent: NormalDist
    """Log-odds of first hits of questions about what isn't there."""

    other_rival: float
    """What rivals usually score, for such pairs."""

    def model(self, query: str, segment: str, median: float, spread: float) -> AnswerModel:
        """For two encoders; median and spread are those of the library, for pairs that were not fitted."""
        known = self.pairs.get((query, segment))
        return known or AnswerModel(PairBackground(median, spread, self.other_rival), *self.other)

    def levels(self, false_accepts: float, pair: tuple[str, str] = ("", ""), sentence: float = 0.0) -> Levels:
        """Where levels begin for a query; the same for all lists, so that the order and the levels agree.

        Args:
            false_accepts: Share of questions about what isn't there, in [0, 1], whose first hit may be called sure.
            pair: What reads the query, and the encoder of pictures, which most is asked of.
            sentence: How much of a sentence the query is, in [0, 1].
        """
        model = self.pairs.get(pair)
        name, whole = (model and model.absent) or (self.absent, self.absent)
        mean, spread = (
            (1 - sentence) * one + sentence * other
            for one, other in ((name.mean, whole.mean), (name.stdev, whole.stdev))
        )
        absent = NormalDist(mean, spread)
        return Levels(_exceeded(absent, LIKELY_FACTOR * false_accepts), _exceeded(absent, false_accepts))


def _exceeded(absent: NormalDist, share: float) -> float:
    """The confidence that this share of first hits of questions about what isn't there exceeds."""
    if share <= 0:
        return math.inf
    return 0.0 if share >= 1 else probability(absent.inv_cdf(1 - share))


@lru_cache(maxsize=64)
def fitted_levels(false_accepts: float, pair: tuple[str, str] = ("", ""), sentence: float = 0.0) -> Levels:
    """As `FittedAnswers.levels`, of what is packaged."""
    return fitted_answers().levels(false_accepts, pair, sentence)


@lru_cache(maxsize=1)
def fitted_answers() -> FittedAnswers:
    """What is packaged."""
    return parse_answers(json.loads(files("mmsearch.calibration").joinpath(FITTED).read_text("utf-8")))


def default_level(confidence: float) -> Level:
    """What a user is told of a confidence, by the default of the setting `false_accepts`."""
    return fitted_levels(DEFAULT_FALSE_ACCEPTS).level(confidence)


def parse_answers(stored: Mapping[str, Any]) -> FittedAnswers:
    """Of the content of `answers.json`."""
    pairs = {
        (one["query"], one["segment"]): AnswerModel(
            PairBackground(*one["background"]),
            AnswerWeights(*one["name"]),
            AnswerWeights(*one["sentence"]),
            (NormalDist(*one["absent"][0]), NormalDist(*one["absent"][1])) if "absent" in one else None,
        )
        for one in stored["pairs"]
    }
    other = stored["other"]
    return FittedAnswers(
        pairs,
        (AnswerWeights(*other["name"]), AnswerWeights(*other["sentence"])),
        NormalDist(*stored["absent"]),
        other["rival"],
    )
