"""Lists of vectors that are ranked together, and what happens to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, bindparam, select

from mmsearch.catalog import blobs, layouts
from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.contents import FINDABLE
from mmsearch.catalog.embeddings import VECTORS
from mmsearch.catalog.records import Change, ListKey, SpaceRecord
from mmsearch.catalog.segments import IS_REGION, contents_of_segments
from mmsearch.catalog.statements import Statement, json_numbers, number_list
from mmsearch.catalog.tables import Content, Embedding, ItemRow, ListRow, SegmentRow, SpaceRow, Tombstone
from mmsearch.types import Ids, Vectors

ROWS = 8192
"""Vectors handed over at once: memory for one chunk, however large the index."""


@dataclass(frozen=True, slots=True, eq=False)
class ListSample:
    """Some segments of a list: float32 (n, dim) vectors, and int64 (n,) the content of each."""

    vectors: Vectors
    contents: NDArray[np.int64]


def list_keys(connection: Connection, space: str) -> list[ListKey]:
    """Every list that has vectors in the space."""
    return sorted(ListKey(space, item, segment) for item, segment in _LISTS.rows(connection, space=space))


_LISTS = Statement(
    select(ListRow.item, ListRow.segment)
    .join(SpaceRow, SpaceRow.id == ListRow.space_id)
    .where(SpaceRow.name == bindparam("space"))
)


def list_segments(snapshot: Connection, key: ListKey) -> Ids:
    """The ids of all findable segments of a list that have a vector, int64 (n,), ascending."""
    query = (
        select(SegmentRow.id)
        .join(Content, Content.id == SegmentRow.content_id)
        .join(Embedding, Embedding.segment_id == SegmentRow.id)
        .join(SpaceRow, SpaceRow.id == Embedding.space_id)
        .where(SpaceRow.name == key.space, Content.modality == key.item, SegmentRow.modality == key.segment, FINDABLE)
    )
    return np.sort(np.fromiter(snapshot.execute(query).scalars(), np.int64))


def items_of_list(connection: Connection, key: ListKey) -> tuple[Ids, Ids, NDArray[np.bool_]]:
    """Every (segment, present item) pair of a list, by item: segment ids (n,), item ids (n,), and whether the segment
    is a region of a picture, bool (n,)."""
    query = (
        select(SegmentRow.id, ItemRow.id, IS_REGION)
        .join(Content, Content.id == SegmentRow.content_id)
        .join(ItemRow, and_(ItemRow.content_id == Content.id, ItemRow.status == "present"))
        .join(Embedding, Embedding.segment_id == SegmentRow.id)
        .join(SpaceRow, SpaceRow.id == Embedding.space_id)
        .where(Content.modality == key.item, SegmentRow.modality == key.segment, SpaceRow.name == key.space)
        .order_by(ItemRow.id, SegmentRow.id)
    )
    pairs = np.array([tuple(row) for row in connection.execute(query)], np.int64).reshape(-1, 3)
    return pairs[:, 0], pairs[:, 1], pairs[:, 2] > 0


def sample_list(connection: Connection, key: ListKey, dim: int, count: int) -> ListSample:
    """At most `count` findable segments, evenly spaced by id: the same state gives the same sample."""
    listed = (
        select(SegmentRow.id)
        .join(Content, Content.id == SegmentRow.content_id)
        .where(Content.modality == key.item, SegmentRow.modality == key.segment, FINDABLE)
        .where(SegmentRow.layout == layouts.layout_of_space(SpaceRow.name, key.space))
        .order_by(SegmentRow.id)
    )
    ids = np.fromiter(connection.execute(listed).scalars(), np.int64)
    chosen = ids[np.unique(np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(int))] if len(ids) else ids
    contents = contents_of_segments(connection, chosen)
    space = connection.execute(select(SpaceRow.id).where(SpaceRow.name == key.space)).scalar()
    vectors: dict[int, bytes] = dict(VECTORS.rows(connection, space=space, ids=json_numbers(chosen.tolist())))
    kept = [(vectors[segment], contents[segment]) for segment in chosen.tolist() if segment in vectors]
    matrix = blobs.decode([vector for vector, _ in kept], dim)
    return ListSample(matrix, np.array([content for _, content in kept], np.int64))


def copy_lists(connection: Connection, space: SpaceRecord) -> None:
    """Give a projected space the lists of its base."""
    lists = connection.execute(select(ListRow.item, ListRow.segment).where(ListRow.space_id == space.base)).all()
    for item, segment in lists:
        row = {"space_id": space.id, "item": item, "segment": segment}
        connection.execute(upsert(ListRow).values(row).on_conflict_do_nothing())


def list_changes(connection: Connection, key: ListKey, dim: int, since: int) -> Iterator[Change]:
    """What happened to a list after a generation, in chunks. `since` < 0 gives the whole list, nothing gone."""
    if since < 0:
        yield from _whole(connection, key, dim)
        return
    buried = select(Tombstone.segment_id).where(Tombstone.generation > since)
    for rows in connection.execute(buried).scalars().partitions(ROWS):
        yield Change(np.empty(0, np.int64), np.empty((0, dim), np.float32), np.array(rows, np.int64))
    space = connection.execute(select(SpaceRow.id).where(SpaceRow.name == key.space)).scalar()
    for ids, gone in _changed(connection, key, since):
        for start in range(0, max(len(ids), 1), ROWS):
            found = VECTORS.rows(connection, space=space, ids=json_numbers(ids[start : start + ROWS]))
            yield Change(*_vectors(found, dim), np.array(gone if start == 0 else (), np.int64))


def _changed(connection: Connection, key: ListKey, since: int) -> Iterator[tuple[list[int], list[int]]]:
    """Segments of a list that changed after a generation, a page of contents at a time: findable ones, and others."""
    # By the index of changes, and from there by ids: left to choose, SQLite goes through the whole list.
    contents = [content for content, kind in _CHANGED.rows(connection, since=since) if kind == key.item]
    for start in range(0, len(contents), ROWS):
        page = json_numbers(contents[start : start + ROWS])
        found = _SEGMENTS.rows(connection, contents=page, modality=key.segment)
        yield [segment for segment, live in found if live], [segment for segment, live in found if not live]


_CHANGED = Statement(select(Content.id, Content.modality).where(Content.changed > bindparam("since")))

_SEGMENTS = Statement(
    select(SegmentRow.id, FINDABLE)
    .join(Content, Content.id == SegmentRow.content_id)
    .where(SegmentRow.content_id.in_(number_list("contents")), SegmentRow.modality == bindparam("modality"))
)


def _whole(connection: Connection, key: ListKey, dim: int) -> Iterator[Change]:
    query = (
        select(SegmentRow.id, Embedding.vector)
        .join(Content, Content.id == SegmentRow.content_id)
        .join(Embedding, Embedding.segment_id == SegmentRow.id)
        .join(SpaceRow, SpaceRow.id == Embedding.space_id)
        .where(Content.modality == key.item, SegmentRow.modality == key.segment, FINDABLE, SpaceRow.name == key.space)
    )
    for found in connection.execute(query.execution_options(yield_per=ROWS)).partitions(ROWS):
        yield Change(*_vectors(found, dim), np.empty(0, np.int64))


def _vectors(rows: Sequence[Any], dim: int) -> tuple[Ids, Vectors]:
    """Of rows of a segment's id and its vector's BLOB: int64 (n,) and float32 (n, dim)."""
    vectors = blobs.whole([row[1] for row in rows], dim) if len(rows) else np.empty((0, dim), np.float32)
    return np.array([row[0] for row in rows], np.int64), vectors
