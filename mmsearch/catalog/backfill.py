"""Giving contents that are there already their vectors in another space, while others search and ingest.

What is here needs no writer's lock: a transaction looks at what it finds, and leaves out what is gone by then.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, exists, func, insert, not_, select, update

from mmsearch.catalog import spaces
from mmsearch.catalog.records import MissingEmbeddings, NewContent, NewUnsupported, SpaceRecord
from mmsearch.catalog.tables import Content, Embedding, Item, SegmentRow, SpaceRow, UnsupportedRow
from mmsearch.catalog.write import bump, chunks, content_ids, embed, same_cut, segments
from mmsearch.catalog.write import held_contents as held_contents
from mmsearch.errors import LibraryError
from mmsearch.types import Modality

RECUT = ("recut", "this release cuts it into other pieces than the one that took it in: remove it, then ingest it")


def _settled(space: SpaceRecord) -> ColumnElement[bool]:
    """Whether a content has its vectors in a space, or can't have any."""
    held = (
        exists()
        .where(SegmentRow.content_id == Content.id, SegmentRow.layout == space.layout)
        .where(Embedding.segment_id == SegmentRow.id, Embedding.space_id == space.id)
    )
    refused = exists().where(UnsupportedRow.space_id == space.id, UnsupportedRow.content_id == Content.id)
    return held | refused


_FINDABLE = exists().where(Item.content_id == Content.id, Item.status == "present")


def missing_embeddings(connection: Connection, space: SpaceRecord, after: int, limit: int) -> list[MissingEmbeddings]:
    """The next findable contents beyond an id that lack vectors in the space and may get some, by id."""
    query = (
        select(Content.id, Content.sha256)
        .where(Content.id > after, _FINDABLE, not_(_settled(space)))
        .order_by(Content.id)
        .limit(limit)
    )
    found = connection.execute(query).all()
    files: dict[int, list[tuple[bytes, int, int]]] = {}
    for part in chunks([content_id for content_id, _ in found]):
        paths = select(Item.content_id, Item.path, Item.size, Item.mtime_ns).order_by(Item.path)
        present = paths.where(Item.content_id.in_(part), Item.status == "present")
        for content_id, path, size, mtime_ns in connection.execute(present):
            files.setdefault(content_id, []).append((path, size, mtime_ns))
    return [MissingEmbeddings(content_id, sha256, tuple(files[content_id])) for content_id, sha256 in found]


def count_missing_embeddings(connection: Connection, space: SpaceRecord) -> int:
    """How many contents `lacking` has in all."""
    query = select(func.count()).select_from(Content).where(_FINDABLE, not_(_settled(space)))
    return int(connection.execute(query).scalar_one())


def unsupported(connection: Connection, space: SpaceRecord) -> dict[tuple[Modality, str], int]:
    """(item modality, failure class) -> present items that have no vectors in the space and won't get any."""
    query = (
        select(Content.modality, UnsupportedRow.failure, func.count(Item.id))
        .join(UnsupportedRow, UnsupportedRow.content_id == Content.id)
        .join(Item, and_(Item.content_id == Content.id, Item.status == "present"))
        .where(UnsupportedRow.space_id == space.id)
        .group_by(Content.modality, UnsupportedRow.failure)
    )
    return {(modality, failure): n for modality, failure, n in connection.execute(query)}


def vector_counts(connection: Connection) -> dict[int, int]:
    """Space id -> how many vectors there are."""
    query = select(Embedding.space_id, func.count()).group_by(Embedding.space_id)
    return {space_id: n for space_id, n in connection.execute(query)}


def add_vectors(
    connection: Connection,
    space: SpaceRecord,
    contents: Sequence[NewContent],
    refusals: Sequence[NewUnsupported],
    version: str,
) -> int:
    """Write vectors of contents in a space, or why there are none. Returns how many `RECUT` refuses.

    Raises: LibraryError if the space is gone.
    """
    known = select(SpaceRow.fingerprint).where(SpaceRow.id == space.id)
    if connection.execute(known).scalar() != space.fingerprint:
        raise LibraryError(f"the model {space.name!r} was dropped meanwhile", hint="add it again: mmsearch model add")
    hashes = [*(one.sha256 for one in contents), *(one.sha256 for one in refusals)]
    ids = content_ids(connection, hashes)
    wanted = [(ids[one.sha256], one) for one in contents if one.sha256 in ids]
    there = held_contents(connection, [content_id for content_id, _ in wanted], space.id)
    wanted = [(content_id, one) for content_id, one in wanted if content_id not in there]
    same = same_cut(wanted, segments(connection, [content_id for content_id, _ in wanted], space.layout))
    refused = [(content_id, *RECUT) for content_id, _ in wanted if content_id not in same]
    refused += [(ids[one.sha256], one.failure, one.reason) for one in refusals if one.sha256 in ids]
    filled = [(content_id, one) for content_id, one in wanted if content_id in same]
    for part in chunks([content_id for content_id, *_ in (*filled, *refused)]):
        connection.execute(
            delete(UnsupportedRow).where(UnsupportedRow.space_id == space.id, UnsupportedRow.content_id.in_(part))
        )
    if filled:
        embed(connection, filled, space.id)
        serving = spaces.base(connection)
        if serving is not None and serving.id == space.id:
            # Indexes in use replay some contents rather than look through all.
            generation = bump(connection)
            for part in chunks([content_id for content_id, _ in filled]):
                connection.execute(update(Content).where(Content.id.in_(part)).values(changed=generation))
        else:
            mark_backfilled(connection, [space.id])
    if refused:
        rows = [
            {"space_id": space.id, "content_id": content_id, "failure": failure, "reason": reason, "version": version}
            for content_id, failure, reason in refused
        ]
        connection.execute(insert(UnsupportedRow), rows)
    return len(wanted) - len(filled)


def mark_backfilled(connection: Connection, space_ids: Sequence[int]) -> None:
    """Note that contents got vectors whose `changed` doesn't tell: indexes of before can't be brought up to date."""
    generation = bump(connection)
    connection.execute(update(SpaceRow).where(SpaceRow.id.in_(space_ids)).values(filled=generation))


def backfilled_at(connection: Connection, space_id: int) -> int:
    """Generation at which that was last so."""
    return int(connection.execute(_FILLED, {"space": space_id}).scalar() or 0)


_FILLED = select(SpaceRow.filled).where(SpaceRow.id == bindparam("space"))


def forget_unsupported(connection: Connection, space: SpaceRecord, failure: str) -> None:
    """Let all contents be tried again that a space has refused, but for those of one class."""
    connection.execute(
        delete(UnsupportedRow).where(UnsupportedRow.space_id == space.id, UnsupportedRow.failure != failure)
    )
