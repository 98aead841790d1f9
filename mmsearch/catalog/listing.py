"""Items as apps see them: by id, by path, or page by page, with their tags and own metadata."""

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, func, select

from mmsearch.catalog.filters import filter_clause, row_by_row
from mmsearch.catalog.meta import meta_of
from mmsearch.catalog.sidecars import RATING, SidecarFacts, sidecar_facts
from mmsearch.catalog.statements import chunks
from mmsearch.catalog.tables import Content, ItemRow
from mmsearch.catalog.tags import model_tags, tags_of
from mmsearch.core.filters.ast import Filter
from mmsearch.types import Item, Modality

PAGE = 500
"""Items read at once."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_time(ns: int) -> datetime:
    """Nanoseconds since 1970, which may be before it, or further than the system's own functions go."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


_COLUMNS: Any = select(
    ItemRow.id, ItemRow.path, ItemRow.bundle, ItemRow.status, ItemRow.size, ItemRow.mtime_ns, ItemRow.seen_at,
    ItemRow.content_id, Content.modality, Content.sha256, Content.duration, Content.width, Content.height,
    Content.taken, Content.camera, Content.title, Content.latitude, Content.longitude, Content.meta,
).join(Content, Content.id == ItemRow.content_id)  # fmt: skip


def item_with_id(connection: Connection, item_id: int) -> Item | None:
    """The item of an id, present or missing; None if there is no such."""
    return _first(connection, _COLUMNS.where(ItemRow.id == item_id))


def items_with_ids(connection: Connection, ids: Sequence[int]) -> list[Item]:
    """The items of these ids, present or missing, in no order; ids of none are left out."""
    found: list[Item] = []
    for part in chunks(ids):
        found += _records(connection, connection.execute(_COLUMNS.where(ItemRow.id.in_(part))).all())
    return found


def item_at(connection: Connection, path: bytes) -> Item | None:
    """The item at a path, present or missing; None if there is none."""
    return _first(connection, _COLUMNS.where(ItemRow.path == path))


def _first(connection: Connection, query: Any) -> Item | None:
    return next(iter(_records(connection, connection.execute(query).all())), None)


def next_items(
    connection: Connection,
    after: bytes,
    filter: Filter | None = None,
    modalities: Collection[Modality] | None = None,
    *,
    missing: bool = False,
) -> list[Item]:
    """The next `PAGE` items beyond a path that match, by path; those whose file is missing only if told so."""
    # Conditions row by row: SQLite goes along the paths, and never sorts what it found elsewhere for a page of it.
    clause = [] if filter is None else [filter_clause(filter, few=True)]
    if modalities is not None:
        clause.append(row_by_row(Content.modality.in_(modalities)))
    if not missing:
        clause.append(row_by_row(ItemRow.status == "present"))
    query = _COLUMNS.where(ItemRow.path > after, *clause).order_by(ItemRow.path).limit(PAGE)
    return _records(connection, connection.execute(query).all())


def count_items(
    connection: Connection,
    filter: Filter | None = None,
    modalities: Collection[Modality] | None = None,
    *,
    missing: bool = False,
) -> int:
    """How many items `next_items` goes through in all."""
    query: Select[int] = select(func.count()).select_from(ItemRow).join(Content, Content.id == ItemRow.content_id)
    if filter is not None:
        query = query.where(filter_clause(filter))
    if modalities is not None:
        query = query.where(Content.modality.in_(modalities))
    if not missing:
        query = query.where(ItemRow.status == "present")
    return int(connection.execute(query).scalar_one())


def _records(connection: Connection, rows: Sequence[Any]) -> list[Item]:
    contents = [row.content_id for row in rows]
    tags, labels, meta = tags_of(connection, contents), model_tags(connection, contents), meta_of(connection, contents)
    beside = sidecar_facts(connection, [row.bundle for row in rows if row.modality != "text"])
    return [_completed(_item(row, tags, labels, meta), beside.get(row.bundle)) for row in rows]


def _completed(item: Item, told: SidecarFacts | None) -> Item:
    """With what a sidecar says, where the item's own file says nothing."""
    if told is None or item.modality == "text":
        return item
    return replace(
        item,
        taken=datetime.fromisoformat(told.taken) if item.taken is None and told.taken is not None else item.taken,
        gps=told.gps if item.gps is None else item.gps,
        meta=item.meta if RATING in item.meta or told.rating is None else {**item.meta, RATING: told.rating},
    )


def _item(row: Any, tags: Any, labels: Any, meta: Any) -> Item:
    return Item(
        id=row.id,
        path=Path(os.fsdecode(row.path)),
        modality=row.modality,
        state="present" if row.status == "present" else "missing",
        size=row.size,
        modified=utc_time(row.mtime_ns),
        ingested=row.seen_at.replace(tzinfo=UTC),
        sha256=row.sha256,
        duration=row.duration,
        width=row.width,
        height=row.height,
        taken=None if row.taken is None else datetime.fromisoformat(row.taken),
        camera=row.camera,
        gps=None if row.latitude is None or row.longitude is None else (row.latitude, row.longitude),
        title=row.title,
        tags=tuple(tags.get(row.content_id, ())),
        labels=tuple(labels.get(row.content_id, ())),
        meta=dict(meta.get(row.content_id, {})),
        metadata=row.metadata,
    )
