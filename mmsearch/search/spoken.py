"""The moment of a hit that was said: of a segment, which may last half a minute, the lines with the query's words."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import combinations

from mmsearch.catalog import Catalog
from mmsearch.catalog.extractions import lines_of_items
from mmsearch.catalog.word_candidates import fold_case
from mmsearch.catalog.words import row_of
from mmsearch.core.spoken_numbers import with_numbers
from mmsearch.search.word_evidence import rarity
from mmsearch.types import Hit, TextLine

LEAST_SHARE = 0.3
"""Of what is telling in the query, what lines hold at least; else the whole segment is the moment."""

LINE_COST = 0.1
"""A further line is taken in if it adds more than this share."""

IN_A_ROW = 0.2
"""What the words count for that follow each other as in the query, next to 1 for all words: of two sentences that say
"please try again", the one behind the other words that were asked for."""

COMMON = 0.1
"""What a word that tells nothing counts for: queries of such words have a moment, too."""

ROUNDED_S = 0.01
"""Seconds by which times may be rounded."""


def with_spoken_moments(hits: Sequence[Hit], text: str, catalog: Catalog) -> list[Hit]:
    """The hits, those that were said with start and end of the lines that hold the words of `text`; their passage stays
    the segment's, as the words around it."""
    said = [hit.item_id for hit in hits if _is_said(hit)]
    asked = _Asked(fold_case(text))
    if not said or not asked.words:
        return list(hits)
    with catalog.reading() as snapshot:
        lines = lines_of_items(snapshot, said, "said")
    return [_narrowed(hit, asked, lines.get(hit.item_id, ())) if _is_said(hit) else hit for hit in hits]


def _is_said(hit: Hit) -> bool:
    return hit.source == "said" and hit.start is not None and hit.end is not None


class _Asked:
    """The words of a query, and what lines hold of them."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self._weights = {word: rarity(word) + COMMON for word in words}
        self._total = sum(self._weights.values())

    def share(self, words: Collection[str]) -> float:
        """Of what is telling, in [0, 1]."""
        return sum(weight for word, weight in self._weights.items() if word in words) / self._total

    def in_a_row(self, words: Sequence[str]) -> float:
        """What they add by standing one after the other."""
        return IN_A_ROW * row_of(self.words, words).share


def _narrowed(hit: Hit, asked: _Asked, lines: Sequence[TextLine]) -> Hit:
    own = _lines_within(hit, lines)
    words = [fold_case(" ".join(with_numbers(line.text, line.language))) for line in own]
    best, chosen = 0.0, None
    for first, end in combinations(range(len(own) + 1), 2):
        held = [word for line in words[first:end] for word in line]
        share = asked.share(set(held))
        worth = share + asked.in_a_row(held) - LINE_COST * (end - first - 1)
        if share >= LEAST_SHARE and worth > best:
            best, chosen = worth, (own[first], own[end - 1])
    return hit if chosen is None else replace(hit, start=chosen[0].start, end=chosen[1].end)


def _lines_within(hit: Hit, lines: Sequence[TextLine]) -> list[TextLine]:
    """Those that the hit's segment was cut from: in its time, with no word that it lacks."""
    start, end, words = hit.start or 0.0, hit.end or 0.0, set(fold_case(hit.passage or ""))
    return [
        line
        for line in lines
        if line.start is not None
        and line.end is not None
        and start - ROUNDED_S <= line.start
        and line.end <= end + ROUNDED_S
        and words.issuperset(fold_case(line.text))
    ]
