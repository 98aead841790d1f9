"""Transactions of many files: what an ingest or a backfill writes at once."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, delete, insert, literal_column, select, update

from mmsearch.catalog.commits import next_generation
from mmsearch.catalog.contents import add_contents, content_ids, mark_changed
from mmsearch.catalog.embeddings import add_embeddings, embedded_contents
from mmsearch.catalog.evidence import add_evidence
from mmsearch.catalog.failures import add_failures
from mmsearch.catalog.items import add_roots, mark_missing, place_items
from mmsearch.catalog.records import Batch, NewContent, NewUnsupported, SpaceRecord
from mmsearch.catalog.segments import same_cut, segments_by_content
from mmsearch.catalog.spaces import base_space, mark_backfilled
from mmsearch.catalog.statements import chunks
from mmsearch.catalog.tables import LibraryRow, SpaceRow, Tombstone, UnsupportedRow
from mmsearch.catalog.tags import add_given_tags, add_model_tags
from mmsearch.errors import LibraryError

RECUT = ("recut", "this release cuts it into other segments than the one that took it in: remove it, then ingest it")


def apply_batch_beside_others(connection: Connection, batch: Batch, space_id: int, version: str) -> int:
    """Write the batch while others write theirs; returns the new generation.

    The one row that all of them change, that of the generation, is written last: until then nobody waits for this one,
    unless for the same file or content. Contents and files come in an order that all follow.
    """
    seen = int(connection.execute(select(LibraryRow.generation)).scalar_one())
    batch = replace(
        batch,
        contents=sorted(batch.contents, key=lambda one: one.sha256),
        placements=sorted(batch.placements, key=lambda one: one.path),
    )
    # What is noted of this commit meanwhile is beyond what anybody may have read by then.
    ids, touched = _write_batch(connection, batch, space_id, version, _PENDING)
    generation = next_generation(connection)
    mark_changed(connection, touched | set(ids.values()), generation)
    connection.execute(
        update(Tombstone)
        .where(Tombstone.generation >= seen, literal_column("tombstones.xmin::text::bigint") == _OWN)
        .values(generation=generation)
    )
    return generation


_PENDING = 2**62
"""In the place of a generation that is not known yet."""

_OWN: ColumnElement[int] = literal_column("(pg_current_xact_id()::text::bigint % 4294967296)")
"""The transaction, as rows that it wrote name it."""


def apply_batch(connection: Connection, batch: Batch, space_id: int, version: str) -> int:
    """Write the batch; returns the new generation."""
    generation = next_generation(connection)
    _, touched = _write_batch(connection, batch, space_id, version, generation)
    mark_changed(connection, touched, generation)
    return generation


def _write_batch(
    connection: Connection, batch: Batch, space_id: int, version: str, generation: int
) -> tuple[dict[str, int], set[int]]:
    """Returns the batch's contents, hash -> id, and those whose files changed."""
    roots = add_roots(connection, {p.root for p in batch.placements} | {f.root for f in batch.failures})
    ids = add_contents(connection, batch.contents, generation)
    add_embeddings(connection, [(ids[content.sha256], content) for content in batch.contents], space_id)
    add_evidence(connection, {ids[one.sha256]: one.evidence for one in batch.contents if one.evidence is not None})
    add_model_tags(connection, [(ids[sha256], tag, confidence) for sha256, tag, confidence in batch.tags])
    touched = set(place_items(connection, batch.placements, roots, ids))
    add_given_tags(connection, batch.given_tags)
    touched |= set(add_failures(connection, batch.failures, roots, version))
    touched |= set(mark_missing(connection, batch.missing))
    return ids, touched


def apply_backfill(
    connection: Connection,
    space: SpaceRecord,
    contents: Sequence[NewContent],
    unsupported: Sequence[NewUnsupported],
    version: str,
) -> int:
    """Write vectors of contents in a space, or why there are none. Returns how many are `RECUT`.

    Raises: LibraryError if the space is gone.
    """
    known = select(SpaceRow.fingerprint).where(SpaceRow.id == space.id)
    if connection.execute(known).scalar() != space.fingerprint:
        raise LibraryError(f"the model {space.name!r} was dropped meanwhile", hint="add it again: mmsearch model add")
    hashes = [*(one.sha256 for one in contents), *(one.sha256 for one in unsupported)]
    ids = content_ids(connection, hashes)
    wanted = [(ids[one.sha256], one) for one in contents if one.sha256 in ids]
    add_evidence(connection, {content_id: one.evidence for content_id, one in wanted if one.evidence is not None})
    there = embedded_contents(connection, [content_id for content_id, _ in wanted], space.id)
    wanted = [(content_id, one) for content_id, one in wanted if content_id not in there]
    same = same_cut(wanted, segments_by_content(connection, [content_id for content_id, _ in wanted], space.layout))
    without = [(content_id, *RECUT) for content_id, _ in wanted if content_id not in same]
    without += [(ids[one.sha256], one.failure, one.reason) for one in unsupported if one.sha256 in ids]
    backfilled = [(content_id, one) for content_id, one in wanted if content_id in same]
    for part in chunks([content_id for content_id, *_ in (*backfilled, *without)]):
        connection.execute(
            delete(UnsupportedRow).where(UnsupportedRow.space_id == space.id, UnsupportedRow.content_id.in_(part))
        )
    if backfilled:
        add_embeddings(connection, backfilled, space.id)
        serving = base_space(connection)
        if serving is not None and serving.id == space.id:
            # Indexes in use replay some contents rather than look through all.
            mark_changed(connection, (content_id for content_id, _ in backfilled), next_generation(connection))
        else:
            mark_backfilled(connection, [space.id])
    if without:
        rows = [
            {"space_id": space.id, "content_id": content_id, "failure": failure, "reason": reason, "version": version}
            for content_id, failure, reason in without
        ]
        connection.execute(insert(UnsupportedRow), rows)
    return len(wanted) - len(backfilled)
