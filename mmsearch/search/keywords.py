"""Words found literally lift what vectors found by meaning: two ordered lists become one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from mmsearch.catalog import Catalog, words
from mmsearch.catalog.records import KeywordMatch
from mmsearch.errors import InvalidInput
from mmsearch.filters.ast import Filter
from mmsearch.search.ranking import RankedItem
from mmsearch.types import Modality, Query

Mode: TypeAlias = Literal["hybrid", "keyword", "vector"]
"""Whether a query is looked for by what it means, by its words, or by both."""

RRF_K = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009)."""

LEAST = 0.5
"""Share of the query's words that a file must hold to be lifted: a single word of a sentence says too little."""

WEIGHT = 2.0
"""What the keyword list counts for next to the vector list. This and `LEAST` were chosen on hand-made cases and on
COCO's and the stamps' captions: `python -m tests.benchmarks.hybrid`."""

DEPTH = 100
"""Hits of each list that are fused, however few are wanted: a file that both lists know is found in both."""

VECTOR, KEYWORDS = "vector", "keywords"


@dataclass(slots=True)
class _Merged:
    hit: RankedItem
    weight: float = 0.0
    exact: bool = False


def match_keywords(
    query: Query,
    k: int,
    catalog: Catalog,
    modalities: Collection[Modality] | None = None,
    mode: Mode = "hybrid",
    filter: Filter | None = None,
) -> list[KeywordMatch]:
    """What holds the query's words literally, best first: `DEPTH` rows, or k of them where they stand alone.

    Empty for a query that isn't just words: a picture beside them, or a minus, changes what is meant.
    Raises: InvalidInput if only keywords are wanted and there are no words.
    """
    if mode not in get_args(Mode):
        raise InvalidInput(f"mode can't be {mode!r}", hint="say 'hybrid', 'keyword' or 'vector'")
    plain = all(isinstance(part.value, str) and part.modality == "text" and part.weight > 0 for part in query.parts)
    text = " ".join(part.value for part in query.parts) if plain else ""
    if mode == "keyword" and not text.strip():
        raise InvalidInput("a keyword search needs words", hint="give some words and nothing else")
    if mode == "vector" or not text.strip():
        return []
    with catalog.reading() as snapshot:
        return words.search_words(snapshot, text, k if mode == "keyword" else DEPTH, modalities, filter)


def vector_depth(keywords: Sequence[KeywordMatch], k: int) -> int:
    """How many vector hits to fuse with the rows."""
    return max(k, DEPTH) if any(_telling(row) for row in keywords) else k


def fuse_rankings(vector: Sequence[RankedItem], keywords: Sequence[KeywordMatch], k: int) -> list[RankedItem]:
    """The k best of both lists, each best first; scores are not looked at, so their scales don't matter.

    Weighted reciprocal rank fusion: a keyword row counts from `LEAST` on, and for the share of the query's words that
    it holds, so that one common word of a sentence doesn't outweigh its meaning. An exact file name or quoted phrase
    comes first. Ties are broken by path.
    """
    merged = {hit.item_id: _Merged(hit, 1 / (RRF_K + place)) for place, hit in enumerate(vector[:DEPTH], 1)}
    telling = [row for row in keywords[:DEPTH] if row.exact or row.share >= LEAST]
    for place, row in enumerate(telling, 1):
        known = merged.setdefault(row.item_id, _Merged(keyword_item(row)))
        known.weight += WEIGHT * row.share / (RRF_K + place)
        known.exact = row.exact
        if VECTOR in known.hit.by:
            known.hit = _with_passage(known.hit, row)
    ordered = sorted(merged.values(), key=lambda m: (not m.exact, -m.weight, m.hit.path))
    # Beyond the depth nothing is lifted: what comes first must not depend on how many are wanted.
    rest = [hit for hit in vector[DEPTH:] if hit.item_id not in merged]
    return [*(m.hit for m in ordered), *rest][:k]


def _telling(row: KeywordMatch) -> bool:
    """Whether a row holds enough of the query to count."""
    return row.exact or row.share >= LEAST


def keyword_items(keywords: Sequence[KeywordMatch], k: int) -> list[RankedItem]:
    """The k best of the keyword rows alone."""
    return [keyword_item(row) for row in keywords[:k]]


def keyword_item(row: KeywordMatch) -> RankedItem:
    """A hit that words alone brought: its score is the share of the query's words it holds, in [0, 1]."""
    return RankedItem(
        item_id=row.item_id,
        segment_id=-1 if row.segment_id is None else row.segment_id,
        path=row.path,
        modality=row.modality,
        score=row.share,
        matched="text" if row.segment_id is not None else None,
        by=(KEYWORDS,),
    )


def _with_passage(hit: RankedItem, row: KeywordMatch) -> RankedItem:
    """Found both ways: shown is what the vectors chose, or the passage with the phrase that was asked for."""
    # Where every word is there, it is no chance match, whatever the vectors say.
    hit = hit._replace(by=(VECTOR, KEYWORDS), weak=hit.weak and row.share < 1 and not row.exact)
    if not row.exact or row.segment_id is None:
        return hit
    return hit._replace(matched="text", segment_id=row.segment_id)
