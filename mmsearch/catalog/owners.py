"""Of the segments of a list, which contents and items they belong to: what a ranking needs of each, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy.orm import aliased

from mmsearch.catalog import layouts
from mmsearch.catalog.records import ListKey
from mmsearch.catalog.segments import DECODED
from mmsearch.catalog.statements import Statement, json_numbers, number_list
from mmsearch.catalog.tables import Content, ItemRow, SegmentRow, SpaceRow
from mmsearch.types import Ids

ROWS = 50_000
"""Rows taken from SQLite at once."""


@dataclass(frozen=True, slots=True, eq=False)
class OwnerRows:
    """Segments of a list, by ascending id, and whose they are; each array is (n,)."""

    segments: Ids
    contents: Ids
    items: Ids
    """The one present item that holds the content; below 0 where there are several, or none."""
    alone: NDArray[np.bool_]
    """Whether no other present item has the item's group key."""
    single: NDArray[np.bool_]
    """Whether a decoder made of the content this segment and no other."""

    def __len__(self) -> int:
        return len(self.segments)


def list_owners(connection: Connection, key: ListKey) -> OwnerRows:
    """Of every segment of a list, and maybe of some that have no vector."""
    shared = _numbers(connection, _SHARING, 1)[:, 0]
    return _composed(connection, _EVERY, key, {}, shared)


def changed_owners(connection: Connection, key: ListKey, since: int) -> tuple[OwnerRows, Ids]:
    """Of the segments of a list whose content changed after a generation; and all items (n,), of whatever list, that
    share their group key with an item of such a content: what was known of them by then may be of the past."""
    changed = json_numbers(row[0] for row in _CHANGED.rows(connection, since=since))
    shared = _numbers(connection, _SHARING_CHANGED, 1, contents=changed)[:, 0]
    return _composed(connection, _AMONG, key, {"contents": changed}, shared), shared


_CHANGED = Statement(select(Content.id).where(Content.changed > bindparam("since")))

_OWN_LAYOUT = SegmentRow.layout == layouts.layout_of_space(SpaceRow.name, bindparam("space"))

_PARTS: Any = select(SegmentRow.id, SegmentRow.content_id, SegmentRow.modality == bindparam("segment"), DECODED).where(
    _OWN_LAYOUT
)
_KINDS: Any = select(Content.id).where(Content.modality == bindparam("item"))
_HOLDERS: Any = (
    select(ItemRow.content_id, func.count(), func.min(ItemRow.id))
    .where(ItemRow.status == "present")
    .group_by(ItemRow.content_id)
)


def _paged(query: Any, first: Any) -> Statement:
    """By pages in the order of the first column."""
    return Statement(query.where(first > bindparam("after")).order_by(first).limit(bindparam("limit")))


_COLUMNS = SegmentRow.id, Content.id, ItemRow.content_id

_EVERY = tuple(map(_paged, (_PARTS, _KINDS, _HOLDERS), _COLUMNS))

_CONTENTS = number_list("contents")

_AMONG = (
    _paged(_PARTS.where(SegmentRow.content_id.in_(_CONTENTS)), SegmentRow.id),
    _paged(_KINDS.where(Content.id.in_(_CONTENTS)), Content.id),
    _paged(_HOLDERS.where(ItemRow.content_id.in_(_CONTENTS)), ItemRow.content_id),
)

_near = aliased(ItemRow)

_SHARING = _paged(
    select(ItemRow.id).where(
        ItemRow.status == "present",
        ItemRow.bundle.in_(
            select(_near.bundle).where(_near.status == "present").group_by(_near.bundle).having(func.count() > 1)
        ),
    ),
    ItemRow.id,
)

_changed = aliased(ItemRow)

_SHARING_CHANGED = _paged(
    select(ItemRow.id)
    .where(ItemRow.status == "present")
    .where(
        ItemRow.bundle.in_(
            select(_changed.bundle)
            .where(_changed.content_id.in_(_CONTENTS), _changed.status == "present")
            .where(
                select(_near.id)
                .where(_near.bundle == _changed.bundle, _near.id != _changed.id, _near.status == "present")
                .exists()
            )
        )
    ),
    ItemRow.id,
)


def _composed(
    connection: Connection,
    statements: Sequence[Statement],
    key: ListKey,
    asked: dict[str, object],
    shared: Ids,
) -> OwnerRows:
    parts_of, kinds_of, holders_of = statements
    parts = _numbers(connection, parts_of, 4, space=key.space, segment=key.segment, **asked)
    kinds = _numbers(connection, kinds_of, 1, item=key.item, **asked)[:, 0]
    holders = _numbers(connection, holders_of, 3, **asked)
    made, counts = np.unique(parts[parts[:, 3] == 1, 1], return_counts=True)
    own = parts[(parts[:, 2] == 1) & np.isin(parts[:, 1], kinds)]
    contents = own[:, 1].copy()
    held, items = _at(holders[:, 0], contents), np.full(len(own), -1, np.int64)
    one = held >= 0
    one[one] = holders[held[one], 1] == 1
    items[one] = holders[held[one], 2]
    single = (own[:, 3] == 1) & np.isin(contents, made[counts == 1])
    return OwnerRows(own[:, 0].copy(), contents, items, ~np.isin(items, shared), single)


def _at(ascending: Ids, wanted: Ids) -> Ids:
    """(n,), the place of each; -1 for what is not there."""
    if not len(ascending):
        return np.full(len(wanted), -1, np.int64)
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[places] == wanted, places, -1)


def _numbers(connection: Connection, statement: Statement, columns: int, **asked: object) -> NDArray[np.int64]:
    """int64 (n, columns), by a page of rows at a time."""
    made, after = [np.empty((0, columns), np.int64)], -1
    while True:
        rows = statement.rows(connection, after=after, limit=ROWS, **asked)
        made.append(np.array(rows, np.int64).reshape(-1, columns))
        if len(rows) < ROWS:
            return np.concatenate(made)
        after = rows[-1][0]
