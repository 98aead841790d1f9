"""What calibration reads and keeps: samples of lists, and the measured backgrounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert, select

from mmsearch.catalog import blobs, layouts
from mmsearch.catalog.records import ListKey
from mmsearch.catalog.tables import Background, Content, Embedding, Item, SegmentRow, SpaceRow
from mmsearch.catalog.write import chunks
from mmsearch.types import Ids, Modality, Vectors


@dataclass(frozen=True, slots=True, eq=False)
class ListSample:
    """Some segments of a list: float32 (n, dim) vectors, and int64 (n,) the content of each."""

    vectors: Vectors
    contents: NDArray[np.int64]


def sample_list(connection: Connection, key: ListKey, dim: int, count: int) -> ListSample:
    """At most `count` findable segments, evenly spaced by id: the same state gives the same sample."""
    live = select(Item.id).where(Item.content_id == Content.id, Item.status == "present").exists()
    listed = (
        select(SegmentRow.id)
        .join(Content, Content.id == SegmentRow.content_id)
        .where(Content.modality == key.item, SegmentRow.modality == key.segment, live)
        .where(SegmentRow.layout == layouts.layout_of_space(SpaceRow.name, key.space))
        .order_by(SegmentRow.id)
    )
    ids = np.fromiter(connection.execute(listed).scalars(), np.int64)
    chosen = ids[np.unique(np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(int))] if len(ids) else ids
    owners = contents_of(connection, chosen)
    vectors: dict[int, bytes] = {}
    for part in chunks(chosen.tolist()):
        query = (
            select(Embedding.segment_id, Embedding.vector)
            .join(SpaceRow, SpaceRow.id == Embedding.space_id)
            .where(SpaceRow.name == key.space, Embedding.segment_id.in_(part))
        )
        vectors |= {segment: vector for segment, vector in connection.execute(query)}
    kept = [(vectors[segment], owners[segment]) for segment in chosen.tolist() if segment in vectors]
    matrix = blobs.decode([vector for vector, _ in kept], dim)
    return ListSample(matrix, np.array([content for _, content in kept], np.int64))


def contents_of(connection: Connection, segment_ids: Ids) -> dict[int, int]:
    """Segment id -> content id; ids that are gone are left out."""
    found: dict[int, int] = {}
    for part in chunks(segment_ids.tolist()):
        query = select(SegmentRow.id, SegmentRow.content_id).where(SegmentRow.id.in_(part))
        found |= {segment: content for segment, content in connection.execute(query)}
    return found


def load_backgrounds(connection: Connection, space: str) -> dict[tuple[Modality, ListKey], dict[str, Any]]:
    """(query modality, list) -> what was measured."""
    query = (
        select(Background.query, Background.item, Background.segment, Background.fitted)
        .join(SpaceRow, SpaceRow.id == Background.space_id)
        .where(SpaceRow.name == space)
    )
    return {
        (modality, ListKey(space, item, segment)): fitted
        for modality, item, segment, fitted in connection.execute(query)
    }


def store_backgrounds(
    connection: Connection,
    space_id: int,
    generation: int,
    measured: Mapping[tuple[Modality, ListKey], Mapping[str, Any]],
) -> None:
    """Put the measured backgrounds in the place of all earlier ones of the space."""
    connection.execute(delete(Background).where(Background.space_id == space_id))
    rows = [
        {"space_id": space_id, "query": modality, "item": key.item, "segment": key.segment,
         "generation": generation, "fitted": dict(fitted)}
        for (modality, key), fitted in measured.items()
    ]  # fmt: skip
    if rows:
        connection.execute(insert(Background), rows)
