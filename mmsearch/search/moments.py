"""All moments of a hit that match, not just the best: from its own vectors, whatever the index brought.

A window, a frame or a passage matches if its score alone would make a hit sure; the best one and the one that brought
the hit always do. Windows or frames that match and adjoin or overlap are one moment, as good
as its best part; passages stay as they are.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from mmsearch.catalog import Catalog, ListKey
from mmsearch.catalog.segments import REGION
from mmsearch.catalog.stored_contents import StoredSegment, segments_of_hit
from mmsearch.search.query import EmbeddedQuery
from mmsearch.types import Hit, Modality, Moment
from mmsearch.vectors.rank import exact_scores

TOUCHING_S = 0.05
"""Seconds between two windows that still adjoin."""


def with_moments(
    hits: Sequence[Hit], embedded: EmbeddedQuery, catalog: Catalog, modalities: Collection[Modality] | None = None
) -> list[Hit]:
    """The hits with their moments.

    Args:
        embedded: The query that found them.
        modalities: Item modalities that were searched; None: all.
    """
    calibrator = embedded.calibrator
    filled = [key for key, size in embedded.lists.sizes(modalities).items() if size]
    calibrated = bool(filled) and calibrator.covers(filled)
    made: list[Hit] = []
    for hit in hits:
        with catalog.reading() as snapshot:
            modality, stored = segments_of_hit(snapshot, embedded.space, hit.item_id, hit.segment_id)
        judged: list[tuple[float, bool, Moment]] = []  # (order, whether it matches, moment); small orders are good
        for segment in stored:
            cosine = float(exact_scores(embedded.vector[0], segment.vector[np.newaxis])[0])
            order, confidence = -cosine, None
            if calibrated:
                key = ListKey(embedded.space.name, modality, segment.modality)
                counted = calibrator.counted(key, cosine, segment.span.source == REGION)
                order, confidence = -calibrator.logit(key, counted), calibrator.confidence(key, counted)
            sure = confidence is not None and calibrator.level(confidence) == "sure"
            judged.append((order, sure or segment.segment_id == hit.segment_id, _moment(segment, cosine, confidence)))
        best = min((order for order, _, _ in judged), default=math.inf)
        matching = (moment for order, matches, moment in judged if matches or order == best)
        made.append(replace(hit, moments=tuple(join_moments(one for one in matching if _has_place(one)))))
    return made


def _moment(segment: StoredSegment, cosine: float, confidence: float | None) -> Moment:
    span = segment.span
    return Moment(
        span.start,
        span.end,
        span.page,
        span.text,
        cosine,
        confidence,
        segment.modality,
        span.place,
        span.source,
        span.box,
    )


def _has_place(moment: Moment) -> bool:
    """Whether it is a stretch, a passage, or a part of a document or a picture: a picture by itself is none."""
    return any(part is not None for part in (moment.start, moment.passage, moment.place, moment.box))


def join_moments(moments: Iterable[Moment]) -> list[Moment]:
    """In order of time, or of reading; what adjoins or overlaps, seen or heard alike, is one."""
    found: list[Moment] = []
    for moment in sorted(moments, key=lambda one: (one.matched, one.page or 0, one.start or 0.0)):
        last = found[-1] if found else None
        if last is not None and _touching(last, moment):
            better = max(last, moment, key=lambda one: one.cosine)
            ends = [one.end for one in (last, moment) if one.end is not None]
            found[-1] = replace(better, start=last.start, end=max(ends))
        else:
            found.append(moment)
    return sorted(found, key=lambda one: (one.page or 0, one.start or 0.0, one.matched))


def _touching(one: Moment, later: Moment) -> bool:
    return (
        one.matched == later.matched != "text"
        and one.end is not None
        and later.start is not None
        and later.start <= one.end + TOUCHING_S
    )
