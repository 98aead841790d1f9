"""The spaces of a library: bases, whose vectors encoders made, and what projections make of those."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mmsearch.catalog import blobs
from mmsearch.catalog.commits import next_generation
from mmsearch.catalog.records import SpaceRecord
from mmsearch.catalog.statements import Statement
from mmsearch.catalog.tables import LibraryRow, ProjectionRow, SegmentRow, SpaceRow
from mmsearch.errors import CatalogDamaged

MAX_DIM = 2**20
"""Dimensions that a space may have; the widest models have some thousands."""


def active_space(connection: Connection) -> SpaceRecord | None:
    """The space that searches use; None before the first ingest."""
    rows = _ACTIVE.rows(connection)
    return _record(rows[0]) if rows else None


def base_space(connection: Connection) -> SpaceRecord | None:
    """The space whose vectors encoders make for the active one: itself, or what its projection takes."""
    record = active_space(connection)
    if record is None or record.base is None:
        return record
    return _record(connection.execute(_RECORDS.where(SpaceRow.id == record.base)).one())


def all_spaces(connection: Connection) -> list[SpaceRecord]:
    """All spaces, in the order in which they came."""
    return [_record(row) for row in connection.execute(_RECORDS.order_by(SpaceRow.id))]


def _record(row: Sequence[Any]) -> SpaceRecord:
    """Raises: CatalogDamaged for values that no release wrote."""
    record = SpaceRecord(*row)
    words = (record.name, record.target, record.fingerprint)
    whole = isinstance(record.dim, int) and 1 <= record.dim <= MAX_DIM
    if not (
        whole
        and all(isinstance(word, str) and word for word in words)
        and isinstance(record.layout, str)
        and record.storage in blobs.TYPES
    ):
        raise CatalogDamaged("the catalog's description of its models is not valid", hint=blobs.MEND)
    return record


_RECORDS: Any = select(
    SpaceRow.id, SpaceRow.name, SpaceRow.target, SpaceRow.dim, SpaceRow.fingerprint, SpaceRow.layout,
    ProjectionRow.base_id, SpaceRow.storage,
).outerjoin(ProjectionRow, ProjectionRow.space_id == SpaceRow.id)  # fmt: skip

_ACTIVE = Statement(_RECORDS.join(LibraryRow, LibraryRow.space_id == SpaceRow.id))


def add_space(connection: Connection, made: SpaceRecord) -> SpaceRecord:
    """A new space; the first one is active at once. Returns the record with its id."""
    row = {
        "name": made.name, "target": made.target, "dim": made.dim, "fingerprint": made.fingerprint,
        "layout": made.layout, "filled": 0, "storage": made.storage,
    }  # fmt: skip
    space_id = int(connection.execute(insert(SpaceRow).values(row).returning(SpaceRow.id)).scalar_one())
    connection.execute(update(LibraryRow).where(LibraryRow.space_id.is_(None)).values(space_id=space_id))
    return replace(made, id=space_id)


def add_projection(connection: Connection, space_id: int, base_id: int, weights: bytes) -> None:
    """Keep what makes a space out of its base: a safetensors file."""
    connection.execute(insert(ProjectionRow).values(space_id=space_id, base_id=base_id, weights=weights))


def projection_weights(connection: Connection, space: SpaceRecord) -> bytes:
    """The projection that makes a projected space out of its base, a safetensors file.

    Raises: CatalogDamaged if it isn't there.
    """
    weights = connection.execute(select(ProjectionRow.weights).where(ProjectionRow.space_id == space.id)).scalar()
    if weights is None:
        raise CatalogDamaged(
            f"the projection of the space {space.name!r} is gone",
            hint="go back to the base space: mmsearch train apply --base",
        )
    return weights


def activate_space(connection: Connection, space_id: int) -> None:
    """Let searches use another space from now on."""
    connection.execute(update(LibraryRow).values(space_id=space_id))


def drop_spaces(connection: Connection, space_ids: Sequence[int]) -> None:
    """Forget spaces, their vectors, and segments that no other space uses; none of them may be active."""
    ids = list(space_ids)
    connection.execute(delete(ProjectionRow).where(ProjectionRow.space_id.in_(ids)))
    connection.execute(delete(SpaceRow).where(SpaceRow.id.in_(ids)))
    # No tombstones: only indexes of these spaces knew them, and ids are never used again.
    connection.execute(delete(SegmentRow).where(SegmentRow.layout.not_in(select(SpaceRow.layout))))


def mark_backfilled(connection: Connection, space_ids: Sequence[int]) -> None:
    """Note that contents got vectors whose `changed` doesn't tell: indexes of before can't be brought up to date."""
    generation = next_generation(connection)
    connection.execute(update(SpaceRow).where(SpaceRow.id.in_(space_ids)).values(filled=generation))


def backfilled_at(connection: Connection, space_id: int) -> int:
    """Generation at which that was last so."""
    return int(connection.execute(_BACKFILLED_AT, {"space": space_id}).scalar() or 0)


_BACKFILLED_AT = select(SpaceRow.filled).where(SpaceRow.id == bindparam("space"))
