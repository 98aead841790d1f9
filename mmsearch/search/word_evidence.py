"""What the words that an item holds literally are worth as evidence: the keyword half of a hit's confidence.

Evidence is -ln(1 - p), p the probability that the item answers the query by what these words say. It adds up where two
findings are independent, as p itself does not ("noisy or", Pearl, 1988), keeps its order where p is rounded to 1, and
for an exact name or a quoted phrase is beyond what all else can add up to, so that of two such the rest decides.

How telling a word is follows from two things: how common it is in general, by its place in a list of words sorted by
frequency (that frequency falls as one over the rank is Zipf's law), and how common it is in this library. The first
keeps "red" from being telling in a library of ten files, the second "img" in one of photos. A name says what a file is;
a passage may mention a word in passing, so it takes rarer words there, or more of them (bm25's part for frequency and
length, Robertson and Zaragoza, 2009). What is found of the query counts by its share of what is telling in it, so that
one common word of three is next to nothing. A folder that bears a word is a hint, as a filter is: for what lies in
it the word is taken out of the query, and by itself it makes no file a hit.
"""

import math
from collections.abc import Collection, Iterable
from functools import cache
from importlib.resources import files

from mmsearch.catalog.records import KeywordMatch, WordMatch

COMMON_RANKS = 100
"""Words of this rank or less tell nothing."""

UNLISTED = 1.2
"""What a word that is not in the list tells beyond the rarest one that is."""

LETTER = 0.7
"""What a single letter or digit tells."""

REST = 0.5
"""What the other words found count for next to the most telling one: they seldom come independently."""

COVERAGE_POWER = 2.0
"""How steeply the share of the query that was found counts."""

NAME_MIDDLE, NAME_SCALE = 1.9, 0.5
"""How telling a name's words must be for even odds, and what multiplies the odds by e."""

PASSAGE_MIDDLE, PASSAGE_SCALE, PASSAGE_DENSITY = 5.5, 0.54, 0.8
"""The same for a passage that holds a word as densely as usual; and what the logarithm of its density adds to how
telling the words are. A logistic regression on known items among prose texts, words of whom were asked for, and on
names of objects, which ask for none of them (`python -m tests.benchmarks.ranking` has the texts)."""

LIFT, LIFT_FROM = 0.8, 1.0
"""What the words that an item holds add to the log-odds of its meaning, for each step that they tell more than this.
Chosen on headings and first sentences of this project's docs, each asked for in a library of the rest of its section
(`python -m tests.benchmarks.ranking --only docs`)."""

LEAST_LIFT = 0.5
"""A lift below this is none: it changes hardly any order, and every item that is lifted has its vectors read."""

ROW_MIDDLE, ROW_SCALE, ROW_POWER = 2.5, 0.7, 2.0
"""How many pairs of words that follow each other in the query and in a passage alike make even odds, and what
multiplies them by e; and how steeply their share of the query's counts: half a sentence is a turn of phrase."""

DOCUMENT_ROW = 6
"""Words of a query whose row is evidence in a document, where shorter ones stand in passing; what is said or written in
a medium is short, and looked for as it was said."""

FOLDER_MOST = 0.3
"""Confidence of a folder's name alone, at most."""

LEAST = 0.02
"""A probability below this is no evidence."""

MOST = 1 - 1e-9
"""A probability of what is not exact, at most."""

EXACT, VERBATIM = 1e4, 2e4
"""The evidence of an exact name or quoted phrase, and of one with the same signs between its words. Each is far above
any other evidence, and above it still where another kind was asked for; p is 1."""


@cache
def _ranks() -> dict[str, int]:
    listed = files("mmsearch.resources").joinpath("words", "by_frequency.txt").read_text("utf-8").split()
    return {word: rank for rank, word in enumerate(listed, 1)}


@cache
def _rank(word: str) -> int | None:
    """A word's place in the list, or that of what it is the plural of."""
    ranks = _ranks()
    forms = [word, *(word.removesuffix(end) for end in ("s", "es") if word.endswith(end) and len(word) > len(end) + 2)]
    return min((ranks[form] for form in forms if form in ranks), default=None)


def rarity(word: str) -> float:
    """How telling a word is in general, at least 0: the logarithm of its rank by frequency over `COMMON_RANKS`.

    Args:
        word: Case and diacritics folded.
    """
    if len(word) == 1 and word.isascii():
        return LETTER
    rank = _rank(word)
    if rank is None:
        return math.log(len(_ranks()) / COMMON_RANKS) + UNLISTED
    return math.log(max(rank / COMMON_RANKS, 1.0))


def word_evidence(match: KeywordMatch, ignored: Collection[str] = ()) -> float:
    """The evidence of the words that an item holds: at least 0, `EXACT` or more if it is exact.

    Args:
        ignored: Words, folded, that ask for something else than what an item is about.
    """
    exact = VERBATIM if match.verbatim else EXACT if match.exact else 0.0
    return exact + _by_words(match, ignored) + row_evidence(match)


def row_evidence(match: KeywordMatch) -> float:
    """The evidence of a query's words that stand in a passage one after the other, however common each is."""
    row = match.row
    if row.pairs <= 1 or (match.modality == "text" and row.asked < DOCUMENT_ROW - 1):
        return 0.0
    telling = row.pairs * math.pow(row.share, ROW_POWER)
    return _evidence(_logistic((telling - ROW_MIDDLE) / ROW_SCALE))


def word_lift(match: KeywordMatch, ignored: Collection[str] = ()) -> float:
    """What the words that an item holds add to the log-odds of its meaning, at least 0.

    Words that are no evidence by themselves, being few or common, are some where the meaning is near too: of all texts
    about lamps, the one that says "lit" is the likelier answer to who lit a lamp. Evidence of each alone, added up,
    misses that.
    """
    worth = [(one, _worth(one)) for one in match.words if one.word not in ignored]
    found = [w for one, w in worth if one.named or one.density > 0]
    asked = sum(w for _, w in worth)
    if not found or asked <= 0:
        return 0.0
    return LIFT * max(_together(found) * sum(found) / asked - LIFT_FROM, 0.0)


def lifted(evidence: float, lift: float) -> float:
    """Evidence whose log-odds are raised by `lift`, at least 0: e^evidence - 1 are the odds."""
    return evidence + lift if evidence > 30 else math.log1p(math.exp(lift) * math.expm1(evidence))


def _by_words(match: KeywordMatch, ignored: Collection[str]) -> float:
    """What the words are worth that aren't exact."""
    worth = [(one, _worth(one)) for one in match.words if one.word not in ignored]
    named = [w for one, w in worth if one.named]
    in_passage = [w for one, w in worth if one.density > 0]
    if not named and not in_passage:
        return _evidence(FOLDER_MOST * _folder_probability(worth))
    asked = sum(w for one, w in worth if not _by_folder_alone(one))
    found = sum(w for one, w in worth if one.named or one.density > 0)
    share = math.pow(found / asked, COVERAGE_POWER) if asked > 0 else 0.0
    by_name = share * _logistic((_together(named) - NAME_MIDDLE) / NAME_SCALE) if named else 0.0
    return _evidence(by_name) + (_evidence(_by_passage(share, worth)) if in_passage else 0.0)


def _by_passage(share: float, worth: Iterable[tuple[WordMatch, float]]) -> float:
    """The probability that the words of a passage make, where they are this share of what is asked for."""
    held = [(one, w) for one, w in worth if one.density > 0]
    densest = max(one.density for one, _ in held)
    telling = share * _together([w for _, w in held]) + PASSAGE_DENSITY * math.log(densest)
    return _logistic((telling - PASSAGE_MIDDLE) / PASSAGE_SCALE)


def _worth(one: WordMatch) -> float:
    return sum(map(rarity, one.word.split())) * (1 - one.common)


def _by_folder_alone(one: WordMatch) -> bool:
    return one.in_folder and not one.named and not one.density


def _folder_probability(worth: Iterable[tuple[WordMatch, float]]) -> float:
    asked = sum(w for _, w in worth)
    held = [w for one, w in worth if one.in_folder]
    if not held or asked <= 0:
        return 0.0
    return math.pow(sum(held) / asked, COVERAGE_POWER) * _logistic((_together(held) - NAME_MIDDLE) / NAME_SCALE)


def _together(worth: Iterable[float]) -> float:
    """How telling several words are that were found."""
    first, *others = sorted(worth, reverse=True)
    return first + REST * sum(others)


def _evidence(p: float) -> float:
    return -math.log1p(-min(p, MOST)) if p >= LEAST else 0.0


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))
