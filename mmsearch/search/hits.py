"""Ranked items as hits, with their metadata and places in their files."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from mmsearch.catalog import Catalog
from mmsearch.catalog.segments import hit_details
from mmsearch.core.media_paths import is_media_path, media_id
from mmsearch.search.ranking import RankedItem
from mmsearch.types import Hit, Level, Metadata, Span


def resolve_hits(
    ranked: Sequence[RankedItem], catalog: Catalog, level: Callable[[float], Level], first: int = 1
) -> list[Hit]:
    """These places of a ranking as hits, with their metadata and places in their files.

    Args:
        level: What a confidence comes to.
        first: The rank of the first.
    """
    with catalog.reading() as snapshot:
        known = hit_details(
            snapshot, {one.item_id for one in ranked}, {one.segment_id for one in ranked if one.segment_id >= 0}
        )
    return [
        _hit(rank, one, level, known.spans.get(one.segment_id, Span()), known.metadata.get(one.item_id, {}))
        for rank, one in enumerate(ranked, first)
    ]


def _hit(rank: int, one: RankedItem, level: Callable[[float], Level], span: Span, metadata: Metadata) -> Hit:
    confidence, in_memory = one.confidence, is_media_path(one.path)
    return Hit(
        rank=rank,
        path=_path(one.path),
        modality=one.modality,
        confidence=confidence,
        level=None if confidence is None else level(confidence),
        cosine=one.cosine,
        keyword_score=one.keyword_score,
        start=span.start,
        end=span.end,
        page=span.page,
        passage=span.text,
        matched=one.matched,
        item_id=one.item_id,
        segment_id=one.segment_id,
        metadata=metadata,
        by=one.by,
        duplicates=tuple(map(_path, one.duplicates)),
        members=tuple(map(_path, one.members)),
        part=None if one.part is None else _path(one.part),
        media_id=media_id(one.path) if in_memory else None,
        missing=not in_memory and not os.path.lexists(one.path),
        place=span.place,
        source=span.source,
        box=span.box,
    )


def _path(stored: bytes) -> Path:
    return Path(os.fsdecode(stored))
