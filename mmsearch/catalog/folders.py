"""The tree of folders that present items lie in, and the tags that people gave."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, LargeBinary, cast, func, literal, select

from mmsearch.catalog.constructs import place_of
from mmsearch.catalog.paths import path_range, separator_of
from mmsearch.catalog.statements import Statement, json_numbers, number_list
from mmsearch.catalog.tables import ItemRow, Tag


class FolderCount(NamedTuple):
    """A folder right below another one."""

    path: bytes
    items: int
    """Present ones at any depth."""


def folders_below(connection: Connection, folder: bytes, limit: int) -> list[FolderCount]:
    """The folders right below a folder that hold present items, by name."""
    separator, bounds = separator_of(folder), path_range(folder)
    # SQLite counts the bytes of a BLOB, from 1.
    rest = cast(func.substr(ItemRow.path, len(bounds["after"]) + 1), LargeBinary)
    cut = place_of(rest, literal(separator, LargeBinary))
    name = cast(func.substr(rest, 1, cut - 1), LargeBinary).label("name")
    query: Any = (
        select(name, func.count())
        .where(ItemRow.path > bounds["after"], ItemRow.path < bounds["stop"], ItemRow.status == "present", cut > 0)
        .group_by(name)
        .order_by(name)
        .limit(limit)
    )
    return [FolderCount(bounds["after"] + bytes(part), count) for part, count in connection.execute(query)]


def items_in_folder(connection: Connection, folder: bytes, offset: int, limit: int) -> list[int]:
    """The ids of present items right in a folder, by path."""
    bounds = path_range(folder)
    rest = cast(func.substr(ItemRow.path, len(bounds["after"]) + 1), LargeBinary)
    query = (
        select(ItemRow.id)
        .where(
            ItemRow.path > bounds["after"], ItemRow.path < bounds["stop"], ItemRow.status == "present",
            place_of(rest, literal(separator_of(folder), LargeBinary)) == 0,
        )
        .order_by(ItemRow.path)
        .offset(offset)
        .limit(limit)
    )  # fmt: skip
    return list(connection.execute(query).scalars())


def tag_counts(connection: Connection) -> dict[str, int]:
    """Tag that a person gave -> present items that have it, the most frequent first."""
    count = func.count(ItemRow.id)
    query = (
        select(Tag.tag, count)
        .join(ItemRow, ItemRow.content_id == Tag.content_id)
        .where(Tag.confidence.is_(None), ItemRow.status == "present")
        .group_by(Tag.tag)
        .order_by(count.desc(), Tag.tag)
    )
    return {tag: items for tag, items in connection.execute(query)}


def tags_of_items(connection: Connection, ids: Sequence[int]) -> dict[int, list[str]]:
    """Item id -> the tags that people gave it, sorted; an item without one is left out."""
    found: dict[int, list[str]] = {}
    for item, tag in _TAGS_OF_ITEMS.rows(connection, ids=json_numbers(ids)):
        found.setdefault(item, []).append(tag)
    return found


def change_times(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    """Item id -> when its file last changed, in nanoseconds since 1970, UTC."""
    return {item: time for item, time in _CHANGE_TIMES.rows(connection, ids=json_numbers(ids))}


# Every page of hits asks these.
_CHANGE_TIMES = Statement(select(ItemRow.id, ItemRow.mtime_ns).where(ItemRow.id.in_(number_list("ids"))))
_TAGS_OF_ITEMS = Statement(
    select(ItemRow.id, Tag.tag)
    .join(Tag, Tag.content_id == ItemRow.content_id)
    .where(
        Tag.confidence.is_(None),
        ItemRow.id.in_(number_list("ids")),
    )
    .order_by(ItemRow.id, Tag.tag)
)


def as_folder(path: str | os.PathLike[str]) -> bytes:
    """A folder's path as the catalog keeps paths."""
    return os.fsencode(os.path.normpath(path))
