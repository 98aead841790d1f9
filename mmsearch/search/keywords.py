"""The fuse stage: words found literally lift what vectors found by meaning; two ordered lists become one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mmsearch.catalog import Catalog
from mmsearch.catalog.records import KeywordMatch
from mmsearch.catalog.words import search_words
from mmsearch.errors import InvalidInput
from mmsearch.filters.ast import Filter
from mmsearch.search.ranking import Depth, RankedItem, Ranking
from mmsearch.types import Modality, Query

Mode: TypeAlias = Literal["hybrid", "keyword", "vector"]
"""Whether a query is looked for by what it means, by its words, or by both."""

RRF_K = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009)."""

MIN_SHARE = 0.5
"""Share of the query's words that a file must hold to be lifted: a single word of a sentence says too little."""

WEIGHT = 2.0
"""What the keyword list counts for next to the vector list. This and `MIN_SHARE` were chosen on hand-made cases and on
COCO's and the stamps' captions: `python -m tests.benchmarks.hybrid`."""

FUSED = 100
"""Items of each list that are fused, however few are wanted: a file that both lists know is found in both."""

VECTOR, KEYWORDS = "vector", "keywords"


@dataclass(slots=True)
class _Fused:
    """An item of either list, and its weight in reciprocal rank fusion."""

    item: RankedItem
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
    """What holds the query's words literally, best first: `FUSED` matches, or k of them where they stand alone.

    Empty for a query that isn't just words: a picture beside them, or a minus, changes what is meant.
    Raises: InvalidInput if only keywords are wanted and there are no words.
    """
    words = [part.value for part in query.parts if part.modality == "text" and part.weight > 0]
    plain = [value for value in words if isinstance(value, str)]
    text = " ".join(plain) if len(plain) == len(query.parts) else ""
    if mode == "keyword" and not text.strip():
        raise InvalidInput("a keyword search needs words", hint="give some words and nothing else")
    if mode == "vector" or not text.strip():
        return []
    with catalog.reading() as snapshot:
        return search_words(snapshot, text, k if mode == "keyword" else FUSED, modalities, filter)


def retrieve_keywords(
    query: Query, depth: Depth, catalog: Catalog, modalities: Collection[Modality] | None, filter: Filter | None
) -> Ranking:
    """The retrieve stage of a search for words alone. Raises: InvalidInput if there are none."""
    found = match_keywords(query, depth.items, catalog, modalities, "keyword", filter)
    return Ranking([keyword_item(match) for match in found], len(found) < depth.items)


def vector_depth(keywords: Sequence[KeywordMatch], k: int) -> int:
    """How many items of the vector list k places of the fused one need."""
    return max(k, FUSED) if any(_counts(match) for match in keywords) else k


def fuse_keywords(ranking: Ranking, keywords: Sequence[KeywordMatch]) -> Ranking:
    """The ranking of both lists; empty while the vector list may have more of the items that are fused.

    Args:
        ranking: What vectors found, `vector_depth` deep.
    """
    if not ranking.holds(vector_depth(keywords, 0)):
        return Ranking()
    fused = fuse_rankings(ranking.items, keywords, len(ranking.items) + len(keywords))
    return Ranking(fused, ranking.complete)


def fuse_rankings(vector: Sequence[RankedItem], keywords: Sequence[KeywordMatch], k: int) -> list[RankedItem]:
    """The k best of both lists, each best first; scores are not looked at, so their scales don't matter.

    Weighted reciprocal rank fusion: a keyword match counts from `MIN_SHARE` on, and for the share of the query's words
    that it holds, so that one common word of a sentence doesn't outweigh its meaning. An exact file name or quoted
    phrase comes first. Ties are broken by path.
    """
    fused = {item.item_id: _Fused(item, 1 / (RRF_K + place)) for place, item in enumerate(vector[:FUSED], 1)}
    counting = [match for match in keywords[:FUSED] if _counts(match)]
    for place, match in enumerate(counting, 1):
        known = fused.setdefault(match.item_id, _Fused(keyword_item(match)))
        known.weight += WEIGHT * match.share / (RRF_K + place)
        known.exact = match.exact
        if VECTOR in known.item.by:
            known.item = _with_passage(known.item, match)
    ordered = sorted(fused.values(), key=lambda one: (not one.exact, -one.weight, one.item.path))
    # Beyond the depth nothing is lifted: what comes first must not depend on how many are wanted.
    rest = [item for item in vector[FUSED:] if item.item_id not in fused]
    return [*(one.item for one in ordered), *rest][:k]


def _counts(match: KeywordMatch) -> bool:
    """Whether it holds enough of the query to count."""
    return match.exact or match.share >= MIN_SHARE


def keyword_item(match: KeywordMatch) -> RankedItem:
    """An item that words alone brought: its score is the share of the query's words it holds, in [0, 1]."""
    return RankedItem(
        item_id=match.item_id,
        segment_id=-1 if match.segment_id is None else match.segment_id,
        path=match.path,
        modality=match.modality,
        score=match.share,
        matched="text" if match.segment_id is not None else None,
        by=(KEYWORDS,),
    )


def _with_passage(item: RankedItem, match: KeywordMatch) -> RankedItem:
    """Found both ways: shown is what the vectors chose, or the passage with the phrase that was asked for."""
    # Where every word is there, it is no chance match, whatever the vectors say.
    item = item._replace(by=(VECTOR, KEYWORDS), weak=item.weak and match.share < 1 and not match.exact)
    if not match.exact or match.segment_id is None:
        return item
    return item._replace(matched="text", segment_id=match.segment_id)
