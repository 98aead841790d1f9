"""Applying one batch: a single transaction that leaves items, segments, vectors and the generation in step."""

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection, delete, exists, insert, literal, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from mmsearch.catalog.models import (
    Content,
    Embedding,
    FailureRow,
    Item,
    LibraryRow,
    ListRow,
    Root,
    SegmentRow,
    Tombstone,
)
from mmsearch.catalog.records import Batch, NewContent, NewFailure, Placement

CHUNK = 500
"""Parameters in one IN list; SQLite's oldest limit is 999."""


def now() -> datetime:
    """UTC without a zone, as SQLite's DATETIME keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def display(path: bytes) -> str:
    """The path as text for people; bytes that are no text become the replacement character."""
    return os.fsdecode(path).encode("utf-8", "replace").decode("utf-8")


def apply(connection: Connection, batch: Batch, space_id: int, version: str) -> int:
    """Write the batch; returns the new generation."""
    generation = bump(connection)
    roots = _roots(connection, {p.root for p in batch.placements} | {f.root for f in batch.failures})
    ids = _insert_contents(connection, batch.contents, space_id, generation)
    touched = set(_place(connection, batch.placements, roots, ids))
    touched |= set(_fail(connection, batch.failures, roots, version))
    touched |= set(_mark_missing(connection, batch.missing))
    for part in chunks(sorted(touched)):
        connection.execute(update(Content).where(Content.id.in_(part)).values(changed=generation))
    return generation


def bump(connection: Connection) -> int:
    """The next generation, already written."""
    connection.execute(update(LibraryRow).values(generation=LibraryRow.generation + 1))
    return int(connection.execute(select(LibraryRow.generation)).scalar_one())


def chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[i : i + CHUNK] for i in range(0, len(ids), CHUNK))


def _roots(connection: Connection, paths: Iterable[bytes]) -> dict[bytes, int]:
    for path in sorted(paths):
        connection.execute(upsert(Root).values(path=path).on_conflict_do_nothing())
    return {row.path: row.id for row in connection.execute(select(Root.path, Root.id))}


def _insert_contents(
    connection: Connection, contents: Sequence[NewContent], space_id: int, generation: int
) -> dict[str, int]:
    ids: dict[str, int] = {}
    # One writer, so ids can be handed out here: two statements for the whole batch instead of one per segment.
    next_segment = _last_id(connection, "segments") + 1
    segments: list[dict[str, object]] = []
    embeddings: list[dict[str, object]] = []
    for content in contents:
        row = {"sha256": content.sha256, "modality": content.modality, "meta": content.metadata, "changed": generation}
        content_id = connection.execute(insert(Content).values(row).returning(Content.id)).scalar_one()
        ids[content.sha256] = content_id
        rows = np.ascontiguousarray(content.vectors, dtype="<f4")
        for ordinal, (modality, span) in enumerate(zip(content.modalities, content.spans, strict=True)):
            segments.append(
                {
                    "id": next_segment, "content_id": content_id, "ordinal": ordinal, "modality": modality,
                    "start": span.start, "end": span.end, "page": span.page,
                    "char_start": span.char_start, "char_end": span.char_end, "text": span.text,
                }
            )  # fmt: skip
            embeddings.append({"space_id": space_id, "segment_id": next_segment, "vector": rows[ordinal].tobytes()})
            next_segment += 1
    if segments:
        connection.execute(insert(SegmentRow), segments)
        connection.execute(insert(Embedding), embeddings)
    for item, segment in sorted({(c.modality, segment) for c in contents for segment in c.modalities}):
        row = {"space_id": space_id, "item": item, "segment": segment}
        connection.execute(upsert(ListRow).values(row).on_conflict_do_nothing())
    return ids


def _last_id(connection: Connection, table: str) -> int:
    query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    return int(connection.execute(query, {"name": table}).scalar() or 0)


def _place(
    connection: Connection, placements: Sequence[Placement], roots: dict[bytes, int], fresh: dict[str, int]
) -> Iterable[int]:
    for place in placements:
        content_id = fresh.get(place.sha256)
        if content_id is None:
            content_id = connection.execute(select(Content.id).where(Content.sha256 == place.sha256)).scalar_one()
        yield content_id
        values = {
            "path": place.path, "display": display(place.path), "root_id": roots[place.root],
            "content_id": content_id, "size": place.size, "mtime_ns": place.mtime_ns,
            "status": "present", "seen_at": now(),
        }  # fmt: skip
        before = connection.execute(select(Item.content_id).where(Item.path == place.path)).scalar()
        if before is not None:
            yield before
        if place.moved is not None and before is None:
            connection.execute(update(Item).where(Item.id == place.moved).values(values))
        else:
            statement = upsert(Item).values(values)
            connection.execute(statement.on_conflict_do_update(index_elements=[Item.path], set_=values))
        connection.execute(delete(FailureRow).where(FailureRow.path == place.path))


def _fail(
    connection: Connection, failures: Sequence[NewFailure], roots: dict[bytes, int], version: str
) -> Iterable[int]:
    for failure in failures:
        # What was known of an earlier file at this path no longer describes it.
        before = connection.execute(delete(Item).where(Item.path == failure.path).returning(Item.content_id)).scalar()
        if before is not None:
            yield before
        values = {
            "path": failure.path, "display": display(failure.path), "root_id": roots[failure.root],
            "size": failure.size, "mtime_ns": failure.mtime_ns, "failure": failure.failure,
            "reason": failure.reason, "attempts": 1, "version": version, "at": now(),
        }  # fmt: skip
        statement = upsert(FailureRow).values(values)
        again = {**values, "attempts": FailureRow.attempts + 1}
        connection.execute(statement.on_conflict_do_update(index_elements=[FailureRow.path], set_=again))


def _mark_missing(connection: Connection, missing: Sequence[tuple[int, bytes]]) -> Iterable[int]:
    for item_id, path in missing:
        statement = update(Item).where(Item.id == item_id, Item.path == path).values(status="missing")
        found = connection.execute(statement.returning(Item.content_id)).scalar()
        if found is not None:
            yield found


def collect(connection: Connection, generation: int) -> int:
    """Delete contents that no path holds any more, leaving tombstones for the indexes. Returns how many."""
    orphan = ~exists().where(Item.content_id == Content.id)
    ids = list(connection.execute(select(Content.id).where(orphan)).scalars())
    for part in chunks(ids):
        buried = select(SegmentRow.id, literal(generation)).where(SegmentRow.content_id.in_(part))
        connection.execute(insert(Tombstone).from_select(["segment_id", "generation"], buried))
        connection.execute(delete(Content).where(Content.id.in_(part)))
    return len(ids)
