"""Which segments of a list a filter selects; what was selected is kept until somebody commits."""

from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, func, select
from sqlalchemy.sql.elements import False_, True_

from mmsearch.catalog import layouts
from mmsearch.catalog.database import driver
from mmsearch.catalog.filters import Clause, filter_clause, row_by_row
from mmsearch.catalog.records import ListKey
from mmsearch.catalog.sources import of_sources
from mmsearch.catalog.statements import chunks
from mmsearch.catalog.tables import Content, ItemRow, SegmentRow, SpaceRow
from mmsearch.filters.ast import Filter
from mmsearch.types import Ids

KEPT_IDS = 2_000_000
"""Ids of selections that a connection keeps, 8 bytes each."""

SAMPLE = 128
"""Segments looked at to guess how much of a list matches."""


def selected_segments(snapshot: Connection, filter: Filter, key: ListKey) -> Ids | None:
    """The segments of a list that have a present item that matches: int64 (n,), sorted, unique. None: all of them.

    An id may be among them that has no vector in the space; an index knows nothing of it and ignores it. Not to be
    changed: it is kept until somebody commits something, since a filter mostly stays while the query changes.
    """
    kept = _kept(snapshot)
    if (filter, key) not in kept:
        found = _selected(snapshot, filter, key)
        while kept and sum(map(_size, kept.values())) + _size(found) > KEPT_IDS:
            del kept[next(iter(kept))]
        kept[filter, key] = found
    return kept[filter, key]


def is_selection_known(snapshot: Connection, filter: Filter, key: ListKey) -> bool:
    """Whether `selected` has the answer at hand."""
    return (filter, key) in _kept(snapshot)


def _kept(snapshot: Connection) -> dict[tuple[Filter, ListKey], Ids | None]:
    """What was selected in the same state of the catalog, oldest first, by the connection that looks at it."""
    # Whatever anybody else commits changes this number, and who reads commits nothing.
    version = driver(snapshot).execute("PRAGMA data_version").fetchone()[0]
    if snapshot.info.get("selected", (None,))[0] != version:
        snapshot.info["selected"] = version, {}
    kept: dict[tuple[Filter, ListKey], Ids | None] = snapshot.info["selected"][1]
    return kept


def _size(ids: Ids | None) -> int:
    return 1000 if ids is None else 1000 + len(ids)  # an entry by itself takes some room


def _selected(snapshot: Connection, filter: Filter, key: ListKey) -> Ids | None:
    clause, own = filter_clause(filter, key.item), of_sources(filter)
    if isinstance(clause, True_) and own is None:
        return None
    if isinstance(clause, False_):
        return np.empty(0, np.int64)
    # First the contents, then their segments: a condition is not tried again for every segment of a long file.
    contents = _present(clause).where(Content.modality == key.item)
    query = select(SegmentRow.id).where(*_listed(key), SegmentRow.content_id.in_(contents))
    if own is not None:
        query = query.join(Content, Content.id == SegmentRow.content_id).where(own)
    # The driver's own rows: SQLAlchemy's would cost a fifth of it all.
    rows: Any = snapshot.execute(query).cursor
    return np.sort(np.fromiter((row[0] for row in rows), np.int64))


def matching_segments(snapshot: Connection, filter: Filter, key: ListKey, segment_ids: Ids) -> Ids:
    """Those of the given segments of a list that `selected` would hold: int64 (n,), sorted, unique."""
    clause, own = filter_clause(filter, key.item, few=True), of_sources(filter)
    if isinstance(clause, False_) or (isinstance(clause, True_) and own is None):
        return np.unique(segment_ids) if isinstance(clause, True_) else np.empty(0, np.int64)
    found: list[int] = []
    for part in chunks(segment_ids.tolist()):
        query = _present(clause).join(SegmentRow, SegmentRow.content_id == Content.id).where(SegmentRow.id.in_(part))
        query = query if own is None else query.where(own)
        found.extend(snapshot.execute(query.with_only_columns(SegmentRow.id)).scalars())
    return np.unique(np.array(found, np.int64))


def selected_share(snapshot: Connection, filter: Filter, key: ListKey) -> float:
    """About what share of a list `selected` holds, in [0, 1], from segments evenly spread over the catalog."""
    last = snapshot.execute(select(func.max(SegmentRow.id))).scalar() or 0
    drawn = np.unique(np.linspace(1, last, SAMPLE, dtype=np.int64))
    in_list = (
        select(SegmentRow.id)
        .join(Content, Content.id == SegmentRow.content_id)
        .where(row_by_row(Content.modality == key.item), *_listed(key), SegmentRow.id.in_(drawn.tolist()))
    )
    listed = np.array(list(snapshot.execute(in_list).scalars()), np.int64)
    return len(matching_segments(snapshot, filter, key, listed)) / max(len(listed), 1)


def _listed(key: ListKey) -> tuple[Clause, Clause]:
    """The segments of a list, among those of contents of its item modality."""
    return SegmentRow.modality == key.segment, SegmentRow.layout == layouts.layout_of_space(SpaceRow.name, key.space)


def _present(clause: Clause) -> Select[int]:
    """Contents that have a present item that matches, once for each."""
    return select(Content.id).join(ItemRow, ItemRow.content_id == Content.id).where(ItemRow.status == "present", clause)
