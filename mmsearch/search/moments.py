"""All moments of a hit that match, not just the best: from its own vectors, whatever the index brought.

A window, a frame or a passage matches if its score alone is confident, by the same measure as a hit's; the best one
and the one that brought the hit always do. Windows or frames that match and adjoin or overlap are one moment, as good
as its best part; passages stay as they are.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from mmsearch.calibration import ScoreCalibrator
from mmsearch.catalog import Catalog, ListKey, SpaceRecord
from mmsearch.catalog.stored_contents import StoredSegment, segments_of_hit
from mmsearch.indexing.lists import Lists
from mmsearch.types import Hit, Modality, Moment, Vectors
from mmsearch.vectors.rank import exact_scores

TOUCHING_S = 0.05
"""Seconds between two windows that still adjoin."""


def with_moments(
    hits: Sequence[Hit],
    vector: Vectors,
    catalog: Catalog,
    space: SpaceRecord,
    indexes: Lists,
    judge: ScoreCalibrator,
    modalities: Collection[Modality] | None = None,
) -> list[Hit]:
    """The hits with their moments, for a query vector float32 (1, dim)."""
    sizes = {key: size for key, size in indexes.sizes(modalities).items() if size}
    known = bool(sizes) and judge.covers(sizes)
    null = judge.null_distribution(list(sizes)) if known else None
    searched = sum(sizes.values())
    made: list[Hit] = []
    for hit in hits:
        with catalog.reading() as snapshot:
            modality, held = segments_of_hit(snapshot, space, hit.item_id, hit.segment_id)
        judged: list[tuple[float, bool, Moment]] = []  # (order, whether it is sure, moment); small orders are good
        for piece in held:
            score = float(exact_scores(vector[0], piece.vector[np.newaxis])[0])
            order, confidence = -score, None
            if null is not None:
                order = judge.tail(ListKey(space.name, modality, piece.modality), score)
                confidence = null.confidence(order, searched)
            sure = piece.segment_id == hit.segment_id or (confidence is not None and confidence >= judge.min_confidence)
            judged.append((order, sure, _moment(piece, score, confidence)))
        best = min((order for order, _, _ in judged), default=math.inf)
        matching = (moment for order, sure, moment in judged if sure or order == best)
        made.append(replace(hit, moments=tuple(joined_moments(one for one in matching if _is_one(one)))))
    return made


def _moment(piece: StoredSegment, score: float, confidence: float | None) -> Moment:
    span = piece.span
    return Moment(span.start, span.end, span.page, span.text, score, confidence, piece.modality)


def _is_one(moment: Moment) -> bool:
    """A picture has none."""
    return moment.start is not None or moment.passage is not None


def joined_moments(moments: Iterable[Moment]) -> list[Moment]:
    """In order of time, or of reading; what adjoins or overlaps, seen or heard alike, is one."""
    found: list[Moment] = []
    for moment in sorted(moments, key=lambda one: (one.matched, one.page or 0, one.start or 0.0)):
        last = found[-1] if found else None
        if last is not None and _touching(last, moment):
            better = max(last, moment, key=lambda one: one.score)
            ends = [one.end for one in (last, moment) if one.end is not None]
            found[-1] = replace(better, start=last.start, end=max(ends))
        else:
            found.append(moment)
    return sorted(found, key=lambda one: (one.page or 0, one.start or 0.0, one.matched))


def _touching(one: Moment, later: Moment) -> bool:
    return (
        one.matched == later.matched
        and one.end is not None
        and later.start is not None
        and later.start <= one.end + TOUCHING_S
    )
