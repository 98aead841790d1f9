"""Items: the paths at which contents were found."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from mmsearch.catalog import blobs, group_key
from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.contents import collect_orphans, content_ids
from mmsearch.catalog.edits import take_over
from mmsearch.catalog.failures import forget_failures_at, forget_failures_under
from mmsearch.catalog.filters import filter_clause
from mmsearch.catalog.paths import checked_paths, display_path, path_range
from mmsearch.catalog.records import KnownItem, Placement
from mmsearch.catalog.statements import Statement, chunks, json_numbers, number_list, replace_rows
from mmsearch.catalog.tables import Content, ItemRow, Root
from mmsearch.catalog.traces import mark_traces
from mmsearch.catalog.values import utc_now
from mmsearch.core.filters.ast import Filter
from mmsearch.core.media_paths import is_media_path
from mmsearch.errors import CatalogDamaged, LibraryError
from mmsearch.types import Modality


class ItemAtPath(NamedTuple):
    """The item at a path."""

    item_id: int
    content_id: int
    sha256: str
    modality: Modality
    status: str
    """present or missing."""
    kept: int = 0
    """1 where the library keeps the bytes."""


@dataclass(frozen=True, slots=True)
class PresentFile:
    """A present item, as a report on duplicates tells it."""

    item_id: int
    path: bytes
    size: int
    mtime_ns: int
    kept: bool
    """Whether the library keeps the bytes of a medium from memory."""
    width: int | None
    height: int | None


def items_under(connection: Connection, root: bytes, after: bytes | None, limit: int) -> list[KnownItem]:
    """The next `limit` known items at or below a path, in byte order of their paths."""
    first = [] if after is not None else _ITEM_AT.rows(connection, root=root)
    rows = _ITEMS_BELOW.rows(connection, **path_range(root, after), limit=limit - len(first))
    return checked_paths([KnownItem._make(row) for row in (*first, *rows)])


def items_with_content(connection: Connection, sha256: str) -> list[KnownItem]:
    """Every item that holds a content; empty for an unknown one or one that no path holds now."""
    return checked_paths([KnownItem._make(row) for row in _ITEMS_WITH_CONTENT.rows(connection, sha256=sha256)])


# Statements that every file of a scan asks, or every page of known ones. The root itself is asked for apart from what
# lies below it: with an OR between them SQLite would read and sort everything below for every page.
_KNOWN: Any = select(
    ItemRow.id, ItemRow.path, ItemRow.size, ItemRow.mtime_ns, ItemRow.status, ItemRow.content_id, ItemRow.kept
)

_ITEMS = _KNOWN.order_by(ItemRow.path)

_ITEM_AT = Statement(_ITEMS.where(ItemRow.path == bindparam("root")))

_ITEMS_BELOW = Statement(
    _ITEMS.where(ItemRow.path > bindparam("after"), ItemRow.path < bindparam("stop")).limit(bindparam("limit"))
)

_ITEMS_WITH_CONTENT = Statement(_ITEMS.join(Content).where(Content.sha256 == bindparam("sha256")))


def items_at(connection: Connection, paths: Sequence[bytes]) -> dict[bytes, ItemAtPath]:
    """The known items, present or missing, at these paths."""
    found: dict[bytes, ItemAtPath] = {}
    for part in chunks(paths):
        query = select(
            ItemRow.path, ItemRow.id, ItemRow.content_id, Content.sha256, Content.modality, ItemRow.status, ItemRow.kept
        )
        rows: Any = connection.execute(
            query.join(Content, Content.id == ItemRow.content_id).where(ItemRow.path.in_(part))
        )
        found.update((row[0], ItemAtPath(*row[1:])) for row in rows)
    return found


def path_of_item(connection: Connection, item_id: int) -> bytes | None:
    """The path of an item; None if there is none of this number."""
    return connection.execute(select(ItemRow.path).where(ItemRow.id == item_id)).scalar()


def paths_of_items(connection: Connection, item_ids: Sequence[int]) -> dict[int, bytes]:
    """Item id -> path, of items that are there. Raises: CatalogDamaged if one is not, or has no path."""
    paths = dict(_PATHS.rows(connection, ids=json_numbers(item_ids)))
    if any(type(paths.get(one)) is not bytes for one in item_ids):
        raise CatalogDamaged("the catalog lacks an item, or its path is none that mmsearch writes", hint=blobs.MEND)
    return paths


_PATHS = Statement(select(ItemRow.id, ItemRow.path).where(ItemRow.id.in_(number_list("ids"))))


def present_items_at(connection: Connection, paths: Sequence[bytes]) -> dict[bytes, ItemAtPath]:
    """The present items at these paths."""
    return {path: item for path, item in items_at(connection, paths).items() if item.status == "present"}


def present_files(
    connection: Connection, content_ids: Sequence[int], filter: Filter | None = None
) -> dict[int, list[PresentFile]]:
    """Content id -> its present items that match, the oldest first."""
    found: dict[int, list[PresentFile]] = {}
    for part in chunks(content_ids):
        query = (
            select(
                ItemRow.content_id, ItemRow.id, ItemRow.path, ItemRow.size, ItemRow.mtime_ns, ItemRow.kept,
                Content.width, Content.height,
            )
            .join(Content, Content.id == ItemRow.content_id)
            .where(
                ItemRow.status == "present",
                Content.id.in_(part),
                *([] if filter is None else [filter_clause(filter, few=True)]),
            )
            .order_by(ItemRow.content_id, ItemRow.mtime_ns, ItemRow.path)
        )  # fmt: skip
        for content, item_id, path, size, mtime_ns, kept, *sides in connection.execute(query):
            found.setdefault(content, []).append(PresentFile(item_id, path, size, mtime_ns, bool(kept), *sides))
    return found


def add_roots(connection: Connection, paths: Iterable[bytes]) -> dict[bytes, int]:
    """Write folders that were handed to ingest. Returns the ids of all there are."""
    for path in sorted(paths):
        connection.execute(upsert(Root).values(path=path).on_conflict_do_nothing())
    return {row.path: row.id for row in connection.execute(select(Root.path, Root.id))}


def place_items(
    connection: Connection, placements: Sequence[Placement], roots: dict[bytes, int], fresh: dict[str, int]
) -> Iterable[int]:
    """Write that contents are at paths. Yields the contents that are there now, and those that were before. What a
    person said of a file stays when the file is changed: a content that was not known before takes it over.

    Args:
        fresh: Ids of contents of the same batch, by their hash.
    """
    known = fresh | content_ids(connection, [p.sha256 for p in placements if p.sha256 not in fresh])
    before = items_at(connection, [p.path for p in placements])
    yield from (item.content_id for item in before.values())
    edited = [
        (before[place.path].content_id, fresh[place.sha256])
        for place in placements
        if place.path in before and place.sha256 in fresh and before[place.path].sha256 != place.sha256
    ]
    take_over(connection, edited)
    if any(before[p.path].content_id != known[p.sha256] for p in placements if p.path in before and p.sha256 in known):
        mark_traces(connection)
    for part in chunks([p.moved for p in placements if p.moved is not None]):
        yield from connection.execute(select(ItemRow.content_id).where(ItemRow.id.in_(part))).scalars()
    rows: list[dict[str, object]] = []
    for place in placements:
        if place.sha256 not in known:
            raise LibraryError(f"no content {place.sha256} for {display_path(place.path)}", hint="please report this")
        yield known[place.sha256]
        values: dict[str, object] = {
            "path": place.path, **words_of(place.path, place.named),
            "bundle": group_key.group_key(place.path), "root_id": roots[place.root], "content_id": known[place.sha256],
            "size": place.size, "mtime_ns": place.mtime_ns, "status": "present", "seen_at": utc_now(),
            "kept": int(place.kept),
        }  # fmt: skip
        if place.moved is not None and place.path not in before:
            connection.execute(update(ItemRow).where(ItemRow.id == place.moved).values(values))
        else:
            rows.append(values)
    replace_rows(connection, ItemRow, rows, "path")
    forget_failures_at(connection, [p.path for p in placements])
    for place in placements:
        if is_media_path(place.path):
            # Under another name, with the same id.
            forget_failures_under(connection, place.path.rpartition(b"/")[0])


def words_of(path: bytes, named: bool = True) -> dict[str, str]:
    """The columns of an item that hold its path as text, for people and for searches; empty where no word is kept."""
    shown = display_path(path) if named else ""
    return {"display": shown, "name": os.path.basename(shown)}


def mark_missing(connection: Connection, missing: Sequence[tuple[int, bytes]]) -> Iterable[int]:
    """Mark items, given with their path, whose file is gone. Yields their contents."""
    for item_id, path in missing:
        statement = update(ItemRow).where(ItemRow.id == item_id, ItemRow.path == path).values(status="missing")
        found = connection.execute(statement.returning(ItemRow.content_id)).scalar()
        if found is not None:
            yield found


def forget_items(connection: Connection, items: Sequence[KnownItem]) -> int:
    """Delete items, and contents that only they held. Returns how many contents."""
    for part in chunks([item.id for item in items]):
        connection.execute(delete(ItemRow).where(ItemRow.id.in_(part)))
    return collect_orphans(connection, [item.content_id for item in items])
