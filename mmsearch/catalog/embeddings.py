"""Embeddings: the vectors of segments in the spaces of the library."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, func, insert, not_, select
from sqlalchemy.orm import aliased

from mmsearch.catalog import blobs
from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.contents import FINDABLE
from mmsearch.catalog.paths import checked_paths
from mmsearch.catalog.records import MissingEmbeddings, NewContent, ResolvedSegment, SegmentRows, SpaceRecord
from mmsearch.catalog.segments import DECODED, bury_segments, rows_of, same_cut, segment_rows, segments_by_content
from mmsearch.catalog.sources import of_sources
from mmsearch.catalog.statements import Statement, chunks, insert_rows, json_numbers, new_ids, number_list
from mmsearch.catalog.tables import Content, Embedding, ItemRow, ListRow, SegmentRow, SpaceRow, UnsupportedRow
from mmsearch.core.filters.ast import Filter
from mmsearch.types import Ids, Modality, Vectors

VECTORS = Statement(
    select(Embedding.segment_id, Embedding.vector).where(
        Embedding.space_id == bindparam("space"), Embedding.segment_id.in_(number_list("ids"))
    )
)
"""Segment ids and BLOBs: of a space, those of the ids that have one."""

_BY_CONTENT = Statement(
    select(SegmentRow.content_id, SegmentRow.modality, Embedding.vector)
    .join(Embedding, Embedding.segment_id == SegmentRow.id)
    .where(Embedding.space_id == bindparam("space"), SegmentRow.content_id.in_(number_list("ids")), DECODED)
    .order_by(SegmentRow.content_id, SegmentRow.ordinal)
)

_OF_ITEMS = Statement(
    select(
        SegmentRow.id,
        ItemRow.content_id,
        ItemRow.id,
        ItemRow.path,
        Content.modality,
        SegmentRow.modality,
        Embedding.vector,
    )
    .select_from(ItemRow)
    .join(Content, Content.id == ItemRow.content_id)
    .join(SegmentRow, SegmentRow.content_id == Content.id)
    .join(Embedding, and_(Embedding.segment_id == SegmentRow.id, Embedding.space_id == bindparam("space")))
    .where(ItemRow.id.in_(number_list("ids")))
)


class SegmentVectors(NamedTuple):
    """Segments in the order of their ids."""

    contents: Ids
    """(n,)."""
    kinds: list[Modality]
    """Of the segments."""
    vectors: Vectors
    """(n, dim)."""


def vectors_by_id(snapshot: Connection, space_id: int, dim: int, ids: Ids) -> tuple[Ids, Vectors]:
    """The vectors of segments, and their ids ascending: int64 (m,) and float32 (m, dim), m < n where some have none.

    Args:
        ids: int64 (n,), unique.
    """
    rows = VECTORS.rows(snapshot, space=space_id, ids=json_numbers(ids.tolist()))
    found = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    order = np.argsort(found)
    return found[order], blobs.whole([row[1] for row in rows], dim)[order]


def vectors_of_segments(connection: Connection, space: SpaceRecord, segment_ids: Sequence[int]) -> dict[int, Vectors]:
    """Segment id -> float32 (dim,), for those that have a vector."""
    rows = VECTORS.rows(connection, space=space.id, ids=json_numbers(segment_ids))
    if not rows:
        return {}
    return dict(
        zip((segment for segment, _ in rows), blobs.decode([vector for _, vector in rows], space.dim), strict=True)
    )


def vectors_by_content(
    connection: Connection, space: SpaceRecord, content_ids: Sequence[int]
) -> dict[int, dict[Modality, Vectors]]:
    """Content id -> segment modality -> float32 (n, dim), unit rows in order; nothing for what has no vectors."""
    found: dict[int, dict[Modality, list[bytes]]] = {}
    for content, modality, vector in _BY_CONTENT.rows(connection, space=space.id, ids=json_numbers(content_ids)):
        found.setdefault(content, {}).setdefault(modality, []).append(vector)
    return {
        content: {modality: blobs.decode(rows, space.dim) for modality, rows in by_modality.items()}
        for content, by_modality in found.items()
    }


def item_vectors(
    connection: Connection, space: SpaceRecord, item_ids: Iterable[int], filter: Filter | None = None
) -> tuple[list[ResolvedSegment], Vectors]:
    """Every segment of some items that has a vector, and the vectors, float32 (n, dim); as far as a filter lets
    segments count."""
    rows = _OF_ITEMS.rows(connection, space=space.id, ids=json_numbers(item_ids))
    if (own := of_sources(filter)) is not None:
        kept = select(SegmentRow.id).join(Content, Content.id == SegmentRow.content_id).where(own)
        listed = kept.where(SegmentRow.id.in_(number_list("ids")))
        counting = set(connection.execute(listed, {"ids": json_numbers(row[0] for row in rows)}).scalars())
        rows = [row for row in rows if row[0] in counting]
    found = checked_paths([ResolvedSegment(*row[:-1]) for row in rows])
    return found, blobs.decode([row[-1] for row in rows], space.dim)


def segment_vectors(connection: Connection, space: SpaceRecord, contents: Sequence[int]) -> SegmentVectors:
    """Every segment of some contents."""
    rows: list[tuple[int, int, str, bytes]] = []
    for part in chunks(list(contents)):
        query = (
            select(SegmentRow.id, SegmentRow.content_id, SegmentRow.modality, Embedding.vector)
            .join(Embedding, Embedding.segment_id == SegmentRow.id)
            .where(Embedding.space_id == space.id, SegmentRow.content_id.in_(part), DECODED)
        )
        rows.extend((a, b, c, d) for a, b, c, d in connection.execute(query))
    rows.sort()
    return SegmentVectors(
        np.array([row[1] for row in rows], np.int64),
        [row[2] for row in rows],
        blobs.decode([row[3] for row in rows], space.dim),
    )


def vectors_of_others(
    connection: Connection, space: SpaceRecord, kind: Modality, besides: Collection[int], count: int
) -> Vectors:
    """Vectors of findable segments of a kind in other contents; evenly spaced by id if there are more than `count`."""
    query = (
        select(SegmentRow.id, SegmentRow.content_id)
        .join(Content, Content.id == SegmentRow.content_id)
        .where(SegmentRow.modality == kind, SegmentRow.layout == space.layout, FINDABLE, DECODED)
        .order_by(SegmentRow.id)
    )
    excluded = set(besides)
    ids = np.array([segment for segment, content in connection.execute(query) if content not in excluded], np.int64)
    if len(ids) > count:
        ids = ids[np.linspace(0, len(ids) - 1, count).astype(np.int64)]
    found: dict[int, bytes] = dict(VECTORS.rows(connection, space=space.id, ids=json_numbers(ids.tolist())))
    return blobs.decode([found[segment] for segment in ids.tolist() if segment in found], space.dim)


def vector_counts(connection: Connection) -> dict[int, int]:
    """Space id -> how many vectors there are."""
    query = select(Embedding.space_id, func.count()).group_by(Embedding.space_id)
    return {space_id: n for space_id, n in connection.execute(query)}


def embedded_contents(connection: Connection, contents: Sequence[int], space_id: int) -> set[int]:
    """Those of the contents that have vectors in a space."""
    found: set[int] = set()
    for part in chunks(contents):
        query = (
            select(SegmentRow.content_id)
            .join(Embedding, Embedding.segment_id == SegmentRow.id)
            .where(SegmentRow.content_id.in_(part), Embedding.space_id == space_id, DECODED)
        )
        found.update(connection.execute(query).scalars())
    return found


def is_embedded_or_unsupported(connection: Connection, sha256: str, space_id: int) -> bool:
    """Whether a content is in the catalog with its vectors in the space, or is known to have none there."""
    return any(query.rows(connection, sha256=sha256, space=space_id) for query in (_IS_EMBEDDED, _IS_UNSUPPORTED))


_IS_EMBEDDED = Statement(
    select(Embedding.segment_id)
    .join(SegmentRow, SegmentRow.id == Embedding.segment_id)
    .join(Content, Content.id == SegmentRow.content_id)
    .where(Content.sha256 == bindparam("sha256"), Embedding.space_id == bindparam("space"))
    .limit(1)
)

_IS_UNSUPPORTED = Statement(
    select(UnsupportedRow.content_id)
    .join(Content, Content.id == UnsupportedRow.content_id)
    .where(Content.sha256 == bindparam("sha256"), UnsupportedRow.space_id == bindparam("space"))
)


def _settled(space: SpaceRecord) -> ColumnElement[bool]:
    """Whether a content has its vectors in a space, or can't have any."""
    embedded = (
        exists()
        .where(SegmentRow.content_id == Content.id, SegmentRow.layout == space.layout)
        .where(Embedding.segment_id == SegmentRow.id, Embedding.space_id == space.id)
    )
    unsupported = exists().where(UnsupportedRow.space_id == space.id, UnsupportedRow.content_id == Content.id)
    return embedded | unsupported


def missing_embeddings(connection: Connection, space: SpaceRecord, after: int, limit: int) -> list[MissingEmbeddings]:
    """The next findable contents beyond an id that lack vectors in the space and may get some, by id."""
    query = (
        select(Content.id, Content.sha256)
        .where(Content.id > after, FINDABLE, not_(_settled(space)))
        .order_by(Content.id)
        .limit(limit)
    )
    found = connection.execute(query).all()
    files: dict[int, list[tuple[bytes, int, int]]] = {}
    for part in chunks([content_id for content_id, _ in found]):
        paths = select(ItemRow.content_id, ItemRow.path, ItemRow.size, ItemRow.mtime_ns).order_by(ItemRow.path)
        present = paths.where(ItemRow.content_id.in_(part), ItemRow.status == "present")
        for content_id, path, size, mtime_ns in connection.execute(present):
            files.setdefault(content_id, []).append((path, size, mtime_ns))
    return [MissingEmbeddings(content_id, sha256, tuple(files[content_id])) for content_id, sha256 in found]


def count_missing_embeddings(connection: Connection, space: SpaceRecord) -> int:
    """How many contents `missing_embeddings` has in all."""
    query = select(func.count()).select_from(Content).where(FINDABLE, not_(_settled(space)))
    return int(connection.execute(query).scalar_one())


def add_embeddings(connection: Connection, contents: Sequence[tuple[int, NewContent]], space_id: int) -> None:
    """Give contents, by their ids, their vectors in a space, and segments where another space's don't serve."""
    layout = str(connection.execute(select(SpaceRow.layout).where(SpaceRow.id == space_id)).scalar_one())
    storage = {row.id: row.storage for row in connection.execute(select(SpaceRow.id, SpaceRow.storage))}
    there = segments_by_content(connection, [content_id for content_id, _ in contents], layout)
    done = embedded_contents(connection, list(there), space_id)
    contents = [(content_id, content) for content_id, content in contents if content_id not in done]
    same = same_cut(contents, there)
    # Another release cut it into other segments: an index of those would lack some.
    there = {content_id: list(rows_of(content, there.get(content_id, ()))) for content_id, content in contents}
    bury_segments(
        connection, [row[0] for content_id, _ in contents if content_id not in same for row in there[content_id]]
    )
    held = {content_id: [row[0] for row in there[content_id]] for content_id, _ in contents if content_id in same}
    lacking = sum(len(content.spans) for content_id, content in contents if not held.get(content_id))
    new = iter(new_ids(connection, "segments", lacking))
    made: list[dict[str, object]] = []
    embeddings: list[dict[str, object]] = []
    for content_id, content in contents:
        ids = held.get(content_id)
        if not ids:
            ids = list(islice(new, len(content.spans)))
            made.extend(segment_rows(content, content_id, ids, layout))
        by_space = {space_id: content.vectors, **content.derived}
        for space, vectors in by_space.items():
            stored = blobs.encode(vectors, storage[space])
            embeddings.extend(
                {"space_id": space, "segment_id": segment, "vector": blob}
                for segment, blob in zip(ids, stored, strict=True)
            )
    insert_rows(connection, SegmentRow, made)
    insert_rows(connection, Embedding, embeddings)
    for item, segment in sorted({(c.modality, segment) for _, c in contents for segment in c.modalities}):
        for space in sorted({space_id, *(space for _, content in contents for space in content.derived)}):
            row = {"space_id": space, "item": item, "segment": segment}
            connection.execute(upsert(ListRow).values(row).on_conflict_do_nothing())


def segments_without_vectors(
    connection: Connection, space: SpaceRecord, after: int, limit: int
) -> Iterator[SegmentRows]:
    """The next `limit` segments beyond an id whose vector the space lacks, with that of its base, by modality."""
    own = aliased(Embedding)
    there = exists().where(own.space_id == space.id, own.segment_id == Embedding.segment_id)
    query = (
        select(SegmentRow.modality, SegmentRow.id, Embedding.vector)
        .join(Embedding, Embedding.segment_id == SegmentRow.id)
        .where(Embedding.space_id == space.base, Embedding.segment_id > after, ~there)
        .order_by(Embedding.segment_id)
        .limit(limit)
    )
    found: dict[str, list[tuple[int, bytes]]] = {}
    for modality, segment, vector in connection.execute(query):
        found.setdefault(modality, []).append((segment, vector))
    for modality, rows in sorted(found.items()):
        matrix = blobs.decode([vector for _, vector in rows], space.dim)
        yield SegmentRows(modality, np.array([segment for segment, _ in rows], np.int64), matrix)


def add_derived_vectors(connection: Connection, space: SpaceRecord, ids: Ids, vectors: Vectors) -> None:
    """Add the vectors, float32 (n, dim), of segments to a space."""
    stored = blobs.encode(vectors, space.storage)
    values = [
        {"space_id": space.id, "segment_id": i, "vector": blob} for i, blob in zip(ids.tolist(), stored, strict=True)
    ]
    if values:
        connection.execute(insert(Embedding), values)
