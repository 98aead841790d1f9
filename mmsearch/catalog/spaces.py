"""The spaces of a library: bases, whose vectors encoders made, and what projections make of those."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, exists, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import aliased

from mmsearch.catalog import blobs
from mmsearch.catalog.records import SegmentRows, SpaceRecord
from mmsearch.catalog.statements import Statement
from mmsearch.catalog.tables import Embedding, LibraryRow, ListRow, ProjectionRow, SegmentRow, SpaceRow
from mmsearch.errors import CatalogDamaged
from mmsearch.types import Ids, Vectors

WIDEST = 2**20
"""Dimensions that a space may have; the widest models have some thousands."""


def active(connection: Connection) -> SpaceRecord | None:
    """The space that searches use; None before the first ingest."""
    rows = _ACTIVE.rows(connection)
    return _record(rows[0]) if rows else None


def base(connection: Connection) -> SpaceRecord | None:
    """The space whose vectors encoders make for the active one: itself, or what its projection takes."""
    record = active(connection)
    if record is None or record.base is None:
        return record
    return _record(connection.execute(_RECORDS.where(SpaceRow.id == record.base)).one())


def every(connection: Connection) -> list[SpaceRecord]:
    """All spaces, in the order in which they came."""
    return [_record(row) for row in connection.execute(_RECORDS.order_by(SpaceRow.id))]


def _record(row: Sequence[Any]) -> SpaceRecord:
    """Raises: CatalogDamaged for values that no release wrote."""
    record = SpaceRecord(*row)
    words = (record.name, record.target, record.fingerprint)
    whole = isinstance(record.dim, int) and 1 <= record.dim <= WIDEST
    if not (
        whole
        and all(isinstance(word, str) and word for word in words)
        and isinstance(record.layout, str)
        and record.storage in blobs.TYPES
    ):
        raise CatalogDamaged("what the catalog says of its models makes no sense", hint=blobs.MEND)
    return record


_RECORDS: Any = select(
    SpaceRow.id, SpaceRow.name, SpaceRow.target, SpaceRow.dim, SpaceRow.fingerprint, SpaceRow.layout,
    ProjectionRow.base_id, SpaceRow.storage,
).outerjoin(ProjectionRow, ProjectionRow.space_id == SpaceRow.id)  # fmt: skip
_ACTIVE = Statement(_RECORDS.join(LibraryRow, LibraryRow.space_id == SpaceRow.id))


def add(connection: Connection, made: SpaceRecord) -> SpaceRecord:
    """A new space; the first one is active at once. Returns the record with its id."""
    row = {
        "name": made.name, "target": made.target, "dim": made.dim, "fingerprint": made.fingerprint,
        "layout": made.layout, "filled": 0, "storage": made.storage,
    }  # fmt: skip
    space_id = int(connection.execute(insert(SpaceRow).values(row).returning(SpaceRow.id)).scalar_one())
    connection.execute(update(LibraryRow).where(LibraryRow.space_id.is_(None)).values(space_id=space_id))
    return replace(made, id=space_id)


def keep_projection(connection: Connection, space_id: int, base_id: int, weights: bytes) -> None:
    connection.execute(insert(ProjectionRow).values(space_id=space_id, base_id=base_id, weights=weights))


def projection(connection: Connection, space_id: int) -> bytes | None:
    """The projection that makes a space out of its base, a safetensors file; None for the base."""
    return connection.execute(select(ProjectionRow.weights).where(ProjectionRow.space_id == space_id)).scalar()


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


def copy_lists(connection: Connection, space: SpaceRecord) -> None:
    """Give a projected space the lists of its base."""
    lists = connection.execute(select(ListRow.item, ListRow.segment).where(ListRow.space_id == space.base)).all()
    for item, segment in lists:
        row = {"space_id": space.id, "item": item, "segment": segment}
        connection.execute(upsert(ListRow).values(row).on_conflict_do_nothing())


def activate(connection: Connection, space_id: int) -> None:
    """Let searches use another space from now on."""
    connection.execute(update(LibraryRow).values(space_id=space_id))


def drop(connection: Connection, space_ids: Sequence[int]) -> None:
    """Forget spaces, their vectors, and segments that no other space uses; none of them may be active."""
    ids = list(space_ids)
    connection.execute(delete(ProjectionRow).where(ProjectionRow.space_id.in_(ids)))
    connection.execute(delete(SpaceRow).where(SpaceRow.id.in_(ids)))
    # No tombstones: only indexes of these spaces knew them, and ids are never used again.
    connection.execute(delete(SegmentRow).where(SegmentRow.layout.not_in(select(SpaceRow.layout))))
