"""Which segments of a list a filter selects; what was selected is kept until somebody commits."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, bindparam, func, select
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import False_, True_

from mmsearch.catalog import layouts
from mmsearch.catalog.dialect import dialect_of
from mmsearch.catalog.filters import Clause, filter_clause, names_items, row_by_row
from mmsearch.catalog.records import ListKey
from mmsearch.catalog.sources import of_sources
from mmsearch.catalog.statements import Statement, json_numbers, number_list
from mmsearch.catalog.tables import Content, ItemRow, SegmentRow, SpaceRow
from mmsearch.core.filters.ast import Filter
from mmsearch.types import Ids, Modality

KEPT_IDS = 2_000_000
"""Ids of selections that a connection keeps, 8 bytes each."""

KEPT_STATEMENTS = 64
"""Filters whose statements a process keeps, and a connection their shares."""

SAMPLE = 128
"""Segments looked at to guess how much of a list matches, and items to guess how many are of a kind."""

COMMON = 0.4
"""Share of all items from which on those of a kind are found by going through all."""


def selected_segments(
    snapshot: Connection, filter: Filter, key: ListKey, owned: Callable[[Ids], Ids] | None = None
) -> Ids | None:
    """The segments of a list that have a present item that matches: int64 (n,), sorted, unique. None: all of them.

    An id may be among them that has no vector in the space, or no present item, where those of a content all match; an
    index knows nothing of it and ignores it. Not to be changed: it is kept until somebody commits something, since a
    filter mostly stays while the query changes.

    Args:
        owned: Gives the segments of contents, int64 (n,), that are in the list: SQL takes longer to look them up.
    """
    kept = _of_this_state(snapshot).ids
    if (filter, key) not in kept:
        found = _selected(snapshot, filter, key, owned)
        while kept and sum(map(_size, kept.values())) + _size(found) > KEPT_IDS:
            del kept[next(iter(kept))]
        kept[filter, key] = found
    return kept[filter, key]


def is_selection_known(snapshot: Connection, filter: Filter, key: ListKey) -> bool:
    """Whether `selected` has the answer at hand."""
    return (filter, key) in _of_this_state(snapshot).ids


def is_filter_known(snapshot: Connection, filter: Filter, key: ListKey) -> bool:
    """Whether `selected_share` has the answer at hand."""
    return (filter, key) in _of_this_state(snapshot).shares


@dataclass(slots=True)
class _Selected:
    """What was found out of one state of the catalog, oldest first."""

    version: Hashable
    ids: dict[tuple[Filter, ListKey], Ids | None] = field(default_factory=dict)
    shares: dict[tuple[Filter, ListKey], float] = field(default_factory=dict)


def _of_this_state(snapshot: Connection) -> _Selected:
    """What was found out in the same state of the catalog, by the connection that looks at it."""
    version = dialect_of(snapshot).state(snapshot)
    known: _Selected | None = snapshot.info.get("selected")
    if known is None or known.version != version:
        known = snapshot.info["selected"] = _Selected(version)
    return known


def _size(ids: Ids | None) -> int:
    return 1000 if ids is None else 1000 + len(ids)  # an entry by itself takes some room


def _selected(snapshot: Connection, filter: Filter, key: ListKey, owned: Callable[[Ids], Ids] | None) -> Ids | None:
    clause, own = filter_clause(filter, key.item), of_sources(filter)
    if isinstance(clause, True_) and own is None:
        return None
    if isinstance(clause, False_):
        return np.empty(0, np.int64)
    if owned is not None and own is None:
        kind = _of_kind(snapshot, key.item)
        of_contents = select(Content.id).where(clause, kind)
        return owned(_numbers(snapshot, _present(clause).where(kind) if names_items(clause) else of_contents))
    # First the contents, then their segments: a condition is not tried again for every segment of a long file.
    contents = _present(clause).where(_of_kind(snapshot, key.item))
    query = select(SegmentRow.id).where(*_listed(key), SegmentRow.content_id.in_(contents))
    if own is not None:
        query = query.join(Content, Content.id == SegmentRow.content_id).where(own)
    return np.sort(_numbers(snapshot, query))


def _numbers(snapshot: Connection, query: Select[int]) -> Ids:
    # The driver's own rows: SQLAlchemy's would cost a fifth of it all.
    rows: Any = snapshot.execute(query).cursor
    return np.fromiter(chain.from_iterable(rows), np.int64)


def _of_kind(snapshot: Connection, modality: Modality) -> Clause:
    """Whether a content is of a kind. Where most are, by SQLite's index of kinds each of them would be looked up, and
    its items; to go through the items as they lie, or by the index of their paths, takes half of that or less."""
    wanted: Clause = Content.modality == modality
    kinds = [kind for (kind,) in _DRAWN_KINDS.rows(snapshot, ids=json_numbers(_drawn(snapshot, ItemRow.id)))]
    return row_by_row(wanted) if kinds.count(modality) > COMMON * len(kinds) else wanted


_DRAWN_SEGMENTS = Statement(
    select(SegmentRow.id)
    .join(Content, Content.id == SegmentRow.content_id)
    .where(
        row_by_row(Content.modality == bindparam("item")),
        SegmentRow.modality == bindparam("segment"),
        SegmentRow.layout == layouts.layout_of_space(SpaceRow.name, bindparam("space")),
        SegmentRow.id.in_(number_list("ids")),
    )
)

_DRAWN_KINDS = Statement(
    select(Content.modality).join(ItemRow, ItemRow.content_id == Content.id).where(ItemRow.id.in_(number_list("ids")))
)


def _drawn(snapshot: Connection, column: InstrumentedAttribute[int]) -> list[int]:
    """Numbers evenly spread over the ids of a table, of which not all are in use."""
    last = snapshot.execute(select(func.max(column))).scalar() or 0
    drawn: list[int] = np.unique(np.linspace(1, last, SAMPLE, dtype=np.int64)).tolist()
    return drawn


def matching_segments(snapshot: Connection, filter: Filter, key: ListKey, segment_ids: Ids) -> Ids:
    """Those of the given segments of a list that `selected` would hold: int64 (n,), sorted, unique."""
    statement = _matching(filter, key.item)
    if not isinstance(statement, Statement):
        return np.unique(segment_ids) if statement else np.empty(0, np.int64)
    rows = statement.rows(snapshot, ids=json_numbers(segment_ids.tolist()))
    return np.unique(np.array([number for (number,) in rows], np.int64))


@lru_cache(KEPT_STATEMENTS)
def _matching(filter: Filter, modality: Modality) -> Statement | bool:
    """What finds matches among segments; or whether all of them are."""
    clause, own = filter_clause(filter, modality, few=True), of_sources(filter)
    if isinstance(clause, False_) or (isinstance(clause, True_) and own is None):
        return isinstance(clause, True_)
    query = _present(clause).join(SegmentRow, SegmentRow.content_id == Content.id)
    query = query if own is None else query.where(own)
    return Statement(query.where(SegmentRow.id.in_(number_list("ids"))).with_only_columns(SegmentRow.id))


def selected_share(snapshot: Connection, filter: Filter, key: ListKey) -> float:
    """About what share of a list `selected` holds, in [0, 1], from segments evenly spread over the catalog."""
    shares = _of_this_state(snapshot).shares
    if (filter, key) not in shares:
        asked = {"ids": json_numbers(_drawn(snapshot, SegmentRow.id)), "item": key.item, "segment": key.segment}
        rows = _DRAWN_SEGMENTS.rows(snapshot, space=key.space, **asked)
        listed = np.array([number for (number,) in rows], np.int64)
        shares[filter, key] = len(matching_segments(snapshot, filter, key, listed)) / max(len(listed), 1)
        if len(shares) > KEPT_STATEMENTS:
            del shares[next(iter(shares))]
    return shares[filter, key]


def _listed(key: ListKey) -> tuple[Clause, Clause]:
    """The segments of a list, among those of contents of its item modality."""
    return SegmentRow.modality == key.segment, SegmentRow.layout == layouts.layout_of_space(SpaceRow.name, key.space)


def _present(clause: Clause) -> Select[int]:
    """Contents that have a present item that matches, once for each."""
    return select(Content.id).join(ItemRow, ItemRow.content_id == Content.id).where(ItemRow.status == "present", clause)
