"""Words found literally lift what vectors found by meaning: two ordered lists become one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmsearch.catalog.records import Keyword
from mmsearch.types import Hit

RRF_K = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009)."""

DEPTH = 100
"""Vector hits looked at, at least: a file that both lists know is found in both."""

VECTOR, KEYWORDS = "vector", "keywords"


@dataclass(slots=True)
class _Merged:
    hit: Hit
    weight: float = 0.0
    exact: bool = False


def fuse(vector: Sequence[Hit], keywords: Sequence[Keyword], k: int) -> list[Hit]:
    """The k best of both lists, each best first; scores are not looked at, so their scales don't matter.

    Reciprocal rank fusion with one change: a keyword row counts for the square of the share of the query's words it
    holds, so that one common word of a sentence doesn't outweigh its meaning. An exact file name or quoted phrase
    comes first. Ties are broken by path.
    """
    merged = {hit.item_id: _Merged(replace(hit, by=(VECTOR,)), 1 / (RRF_K + n)) for n, hit in enumerate(vector, 1)}
    for place, row in enumerate(keywords, 1):
        known = merged.setdefault(row.item_id, _Merged(hit_of(row)))
        known.weight += row.share**2 / (RRF_K + place)
        known.exact = row.exact
        if VECTOR in known.hit.by:
            known.hit = _with_passage(known.hit, row)
    ordered = sorted(merged.values(), key=lambda m: (not m.exact, -m.weight, os.fsencode(m.hit.path)))
    return ranked([m.hit for m in ordered[:k]])


def ranked(hits: Sequence[Hit]) -> list[Hit]:
    """The hits with the ranks of their places."""
    return [replace(hit, rank=rank) for rank, hit in enumerate(hits, 1)]


def hit_of(row: Keyword) -> Hit:
    """A hit that words alone brought: its score is the share of the query's words it holds, in [0, 1]."""
    return Hit(
        rank=0,
        path=Path(os.fsdecode(row.path)),
        modality=row.modality,
        score=row.share,
        start=row.span.start,
        end=row.span.end,
        page=row.span.page,
        passage=row.span.text,
        matched="text" if row.segment_id is not None else None,
        item_id=row.item_id,
        segment_id=-1 if row.segment_id is None else row.segment_id,
        metadata=row.metadata,
        by=(KEYWORDS,),
    )


def _with_passage(hit: Hit, row: Keyword) -> Hit:
    """Found both ways: shown is what the vectors chose, or the passage with the phrase that was asked for."""
    hit = replace(hit, by=(VECTOR, KEYWORDS))
    if not row.exact or row.segment_id is None:
        return hit
    words = hit_of(row)
    return replace(
        hit, start=words.start, end=words.end, page=words.page, passage=words.passage, matched=words.matched,
        segment_id=words.segment_id,
    )  # fmt: skip
