"""The fuse stage: the words that an item holds literally add to what it means; one list, ordered by both together.

What words say and what vectors say is evidence of one kind (`search.word_evidence`, `mmsearch.calibration`): it adds
up. An item that words brought is scored by its vectors too, however far down these would have it: what is shown does
not depend on how deep a search looks.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import count
from typing import Literal, TypeAlias, get_args

from mmsearch.calibration import sentence_share
from mmsearch.catalog import Catalog, group_key
from mmsearch.catalog.records import KeywordMatch
from mmsearch.catalog.words import search_words
from mmsearch.core.filters.ast import Filter
from mmsearch.errors import InvalidInput
from mmsearch.search.kinds import ANY_KIND, OTHER_KIND, KindOfAnswer
from mmsearch.search.ranking import Depth, RankedItem, Ranking, probability
from mmsearch.search.vector import VectorSearch
from mmsearch.search.word_evidence import EXACT, LEAST_LIFT, lifted, word_evidence, word_lift
from mmsearch.types import Modality, Query

Mode: TypeAlias = Literal["hybrid", "keyword", "vector"]
"""Whether a query is looked for by what it means, by its words, or by both."""

FUSED = 100
"""Items that words lift, at most."""

WEAK = -math.log1p(-0.15)
"""Words that are worth less than this evidence, a probability of 0.15, are no reason to pass what meaning found: where
nothing is plainly shown, any text that says the word once would come first. Chosen with `search.kinds.OF_NAMES`."""

VECTOR, KEYWORDS = "vector", "keywords"


def query_text(query: Query) -> str:
    """The words of a query, empty if it isn't just words: a picture beside them, or a minus, changes what is meant."""
    words = [part.value for part in query.parts if part.modality == "text" and part.weight > 0]
    plain = [value for value in words if isinstance(value, str)]
    return " ".join(plain) if len(plain) == len(query.parts) else ""


def match_keywords(
    text: str,
    k: int,
    catalog: Catalog,
    modalities: Collection[Modality] | None = None,
    filter: Filter | None = None,
    kind: KindOfAnswer = ANY_KIND,
) -> list[RankedItem]:
    """Up to k items that hold words of a text literally, the most telling first.

    Args:
        kind: What the text says of the kind of its answers.
    """
    if not text.strip():
        return []
    with catalog.reading() as snapshot:
        matches = search_words(snapshot, text, k, modalities, filter)
    sentence = sentence_share(text)
    return sorted((_keyword_item(match, kind, sentence) for match in matches), key=lambda one: one.place)


def require_mode(mode: str, text: str) -> None:
    """Raises: InvalidInput for an unknown mode, and if only keywords are wanted and there are no words."""
    if mode not in get_args(Mode):
        raise InvalidInput(f"mode can't be {mode!r}", hint="say 'hybrid', 'keyword' or 'vector'")
    if mode == "keyword" and not text.strip():
        raise InvalidInput("a keyword search needs words", hint="give some words and nothing else")


def telling(keywords: Iterable[RankedItem]) -> list[RankedItem]:
    """Those whose words are evidence, by themselves or beside what the item means."""
    return [one for one in keywords if one.evidence or one.lift]


def joint_evidence(meaning: float, words: RankedItem) -> float:
    """The evidence of an item by what it means and by its words."""
    of_words = words.evidence or 0.0
    return lifted(meaning, words.lift) + (of_words if of_words >= WEAK else 0.0)


def fuse_keywords(ranking: Ranking, keywords: Sequence[RankedItem], search: VectorSearch) -> Ranking:
    """The ranking by both, as far as it is certain.

    Args:
        ranking: What `search` found.
        keywords: Items whose words are `telling`.
    """
    known = {item.item_id: item for item in ranking.items}
    missing = [one.item_id for one in keywords if one.item_id not in known]
    if missing and not ranking.complete:
        known |= search.score_items(missing)
    uncalibrated = bool(ranking.items) and ranking.items[0].evidence is None
    # Words that but lift what an item means say nothing where that isn't known.
    held = [one for one in keywords if one.evidence or (one.item_id in known and not uncalibrated)]
    raised = {one.item_id: _both(known.get(one.item_id), one) for one in held}
    rest = [item for item in ranking.items if item.item_id not in raised]
    if uncalibrated:
        # In the order of their places, behind what words brought.
        return Ranking([*sorted(raised.values(), key=lambda one: one.place), *rest], ranking.complete)
    fused = sorted([*raised.values(), *rest], key=lambda one: one.place)
    if ranking.complete:
        return Ranking(fused, complete=True)
    # What is still to come stands behind the last item of the ranking.
    last = ranking.items[-1].place if ranking.items else None
    return Ranking([one for one in fused if last is not None and one.place <= last])


def _both(item: RankedItem | None, words: RankedItem) -> RankedItem:
    """An item as meaning found it, if it did, and as words did."""
    if item is None:
        return words
    if (words.evidence or 0.0) < WEAK and not words.lift:
        return item
    evidence = joint_evidence(item.evidence or 0.0, words)
    both = item._replace(evidence=evidence, keyword_score=words.keyword_score, by=(VECTOR, KEYWORDS))
    if words.segment_id < 0 or not _tells_more(words, item):
        return both
    # Shown is the passage with the words that were asked for.
    return both._replace(matched=words.matched, segment_id=words.segment_id)


def _tells_more(words: RankedItem, item: RankedItem) -> bool:
    """Whether the passage with the words is the place to show: it holds the phrase, or it is what is said or written in
    a medium and more of a reason than what meaning found there, a look, a sound or other words."""
    evidence = words.evidence or 0.0
    in_medium = item.matched is not None and item.modality != "text"
    return evidence >= EXACT * OTHER_KIND or (in_medium and evidence > (item.evidence or 0.0))


def retrieve_keywords(
    text: str,
    depth: Depth,
    catalog: Catalog,
    modalities: Collection[Modality] | None,
    filter: Filter | None,
    kind: KindOfAnswer,
) -> Ranking:
    """The retrieve stage of a search for words alone.

    In blocks, each as long as all before it, so that what comes first does not depend on how many are wanted: what a
    longer look finds comes behind, and is called no surer than what stands before it.
    """
    ranked: dict[int, RankedItem] = {}
    for size in (FUSED * 2**block for block in count()):
        found = match_keywords(text, size, catalog, modalities, filter, kind)
        least = min((one.evidence or 0.0 for one in ranked.values()), default=math.inf)
        for one in found:
            ranked.setdefault(one.item_id, one._replace(evidence=min(one.evidence or 0.0, least)))
        if len(found) < size or len(ranked) >= depth.items:
            break
    return Ranking(list(ranked.values()), complete=len(found) < size)


def _is_said(match: KeywordMatch) -> bool:
    """Whether it is what is said in the film beside it."""
    return match.modality == "text" and group_key.suffix(match.path) in group_key.SUBTITLES


def _keyword_item(match: KeywordMatch, kind: KindOfAnswer, sentence: float) -> RankedItem:
    """An item by its words alone."""
    evidence = word_evidence(match, kind.words)
    weight = kind.weight("video" if _is_said(match) else match.modality)
    # The name of a thing is a word of many items: what shows it needs none.
    lift = word_lift(match, kind.words) * weight * sentence
    return RankedItem(
        item_id=match.item_id,
        segment_id=-1 if match.segment_id is None else match.segment_id,
        path=match.path,
        modality=match.modality,
        matched="text" if match.segment_id is not None else None,
        evidence=evidence * weight,
        keyword_score=probability(evidence),
        by=(KEYWORDS,),
        lift=lift if lift >= LEAST_LIFT else 0.0,
    )
