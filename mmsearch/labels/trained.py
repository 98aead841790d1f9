"""Naming a library's items with a trained head."""

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from mmsearch.catalog import NewTag, ResolvedSegment, Snapshot, SpaceRecord
from mmsearch.catalog.embeddings import SegmentVectors, segment_vectors
from mmsearch.catalog.lists import list_changes, list_keys
from mmsearch.catalog.segments import contents_of_segments, resolve_segments
from mmsearch.catalog.selections import selected_segments
from mmsearch.context.context import LibraryContext
from mmsearch.core.filters.ast import Filter
from mmsearch.encoders.head import Head
from mmsearch.training.serving import units
from mmsearch.types import Ids, Label, Modality


def label_with_head(
    context: LibraryContext,
    head: Head,
    *,
    modalities: Collection[Modality] | None = None,
    filter: Filter | None = None,
    min_confidence: float = 0.0,
) -> tuple[list[Label], list[NewTag]]:
    """Every matching present item with its label, by path; and the tags that say the same.

    Memory: one vector of each segment looked at.

    Args:
        min_confidence: Confidence in [0, 1] below which no name is said to fit.
    """
    _, record = context.base()
    with context.catalog().reading() as snapshot:
        segments, ids = _segments(snapshot, record, modalities, filter)
        # Any segment of a content stands for it.
        first = ids[np.unique(segments.contents, return_index=True)[1]]
        found = resolve_segments(snapshot, first, filter)
        own = units.units_of_items(snapshot, {one.item_id: one.content_id for one in found}, bool(head.fusion))
        if head.fusion:
            segments = segment_vectors(snapshot, record, units.contents_of_units(own.values()))
    if not found:
        return [], []
    known, vectors = units.unit_vectors(set(own.values()), head.fusion, segments)
    said = head.judge(vectors)
    at = {whole: row for row, whole in enumerate(known)}
    rows = {one.item_id: at[own[one.item_id]] for one in found}
    fits = said.fits & (said.sure >= min_confidence)
    names = head.facts.classes

    def one(item: ResolvedSegment) -> Label:
        row = rows[item.item_id]
        best, second = names[said.best[row]], names[said.second[row]]
        path, fitting = Path(os.fsdecode(item.path)), bool(fits[row])
        return Label(path, item.modality, best if fitting else None, float(said.sure[row]), second if fitting else best)

    labelled = [one(item) for item in sorted(found, key=lambda item: item.path)]
    # A content in several file groups may have several names: what is surest counts.
    surest: dict[int, int] = {}
    for item in found:
        rivals = rows[item.item_id], surest.get(item.content_id, rows[item.item_id])
        surest[item.content_id] = max(rivals, key=lambda row: (fits[row], said.sure[row], -row))
    tags = [
        NewTag(content, names[said.best[row]], float(said.sure[row])) if fits[row] else NewTag(content, None, 0.0)
        for content, row in sorted(surest.items())
    ]
    return labelled, tags


def _segments(
    snapshot: Snapshot, record: SpaceRecord, modalities: Collection[Modality] | None, filter: Filter | None
) -> tuple[SegmentVectors, Ids]:
    """All segments of the items that match, of all lists; and their ids."""
    owners, kinds, rows, ids = list[Ids](), list[Modality](), [np.zeros((0, record.dim), np.float32)], list[Ids]()
    for key in list_keys(snapshot, record.name):
        if modalities is not None and key.item not in modalities:
            continue
        wanted = None if filter is None else selected_segments(snapshot, filter, key)
        for change in list_changes(snapshot, key, record.dim, -1):
            kept = np.flatnonzero(np.isin(change.ids, wanted)) if wanted is not None else np.arange(len(change.ids))
            content = contents_of_segments(snapshot, change.ids[kept])
            owners.append(np.array([content[segment] for segment in change.ids[kept].tolist()], np.int64))
            ids.append(change.ids[kept])
            rows.append(change.vectors[kept])
            kinds += [key.segment] * len(kept)
    nothing = np.zeros(0, np.int64)
    return SegmentVectors(np.concatenate([nothing, *owners]), kinds, np.concatenate(rows)), np.concatenate(
        [nothing, *ids]
    )
