"""Applying one batch: a single transaction that leaves items, segments, vectors and the generation in step."""

import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, exists, insert, literal, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from mmsearch.catalog import blobs, group_key
from mmsearch.catalog.records import Batch, KnownItem, NewContent, NewFailure, Placement
from mmsearch.catalog.tables import (
    Base,
    Commit,
    Content,
    Embedding,
    FailureRow,
    Item,
    LibraryRow,
    ListRow,
    Root,
    SegmentRow,
    SpaceRow,
    Tag,
    Tombstone,
)
from mmsearch.core.file_times import INT64
from mmsearch.errors import LibraryError
from mmsearch.types import Metadata

Value = TypeVar("Value")

CHUNK = 500
"""Parameters in one IN list; SQLite's oldest limit is 999."""

_LARGEST = sys.float_info.max

KEYWORDS = "keywords"
"""Metadata that becomes tags: words that a person gave, a list of str."""


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
    ids = _insert_contents(connection, batch.contents, generation)
    embed(connection, [(ids[content.sha256], content) for content in batch.contents], space_id)
    _insert(connection, Tag, [_tag(ids[sha256], tag, confidence) for sha256, tag, confidence in batch.tags])
    touched = set(_place(connection, batch.placements, roots, ids))
    touched |= set(_fail(connection, batch.failures, roots, version))
    touched |= set(_mark_missing(connection, batch.missing))
    for part in chunks(sorted(touched)):
        connection.execute(update(Content).where(Content.id.in_(part)).values(changed=generation))
    return generation


def _tag(content_id: int, tag: str, confidence: float) -> dict[str, object]:
    return {"content_id": content_id, "tag": tag, "confidence": confidence}


def bump(connection: Connection) -> int:
    """The next generation, already written."""
    connection.execute(update(LibraryRow).values(generation=LibraryRow.generation + 1))
    generation = int(connection.execute(select(LibraryRow.generation)).scalar_one())
    connection.execute(insert(Commit).values(generation=generation, mark=secrets.randbits(63)))
    return generation


def chunks(values: Sequence[Value]) -> Iterable[Sequence[Value]]:
    """Pieces short enough for an IN list."""
    return (values[i : i + CHUNK] for i in range(0, len(values), CHUNK))


def _roots(connection: Connection, paths: Iterable[bytes]) -> dict[bytes, int]:
    for path in sorted(paths):
        connection.execute(upsert(Root).values(path=path).on_conflict_do_nothing())
    return {row.path: row.id for row in connection.execute(select(Root.path, Root.id))}


def _insert_contents(connection: Connection, contents: Sequence[NewContent], generation: int) -> dict[str, int]:
    """Ids of contents by their hash; those that are there already (without vectors in some space) stay as they are."""
    ids = content_ids(connection, [content.sha256 for content in contents])
    # One transaction writes, so ids can be handed out here: a few statements for a batch instead of some for each row.
    fresh = {
        content_id: content
        for content_id, content in enumerate(
            (content for content in contents if content.sha256 not in ids), _last_id(connection, "contents") + 1
        )
    }
    rows: list[dict[str, object]] = []
    tags: list[dict[str, object]] = []
    for content_id, content in fresh.items():
        row = {
            "sha256": content.sha256,
            "modality": content.modality,
            "metadata": content.metadata,
            "changed": generation,
        }
        rows.append({"id": content_id, **row, **facts(content.metadata)})
        tags.extend({"content_id": content_id, "tag": tag} for tag in _keywords(content.metadata))
    _insert(connection, Content, rows)
    _insert(connection, Tag, tags)
    return ids | {content.sha256: content_id for content_id, content in fresh.items()}


def embed(connection: Connection, contents: Sequence[tuple[int, NewContent]], space_id: int) -> None:
    """Give contents, by their ids, their vectors in a space, and segments where another space's don't serve."""
    layout = str(connection.execute(select(SpaceRow.layout).where(SpaceRow.id == space_id)).scalar_one())
    storage = {row.id: row.storage for row in connection.execute(select(SpaceRow.id, SpaceRow.storage))}
    there = segments(connection, [content_id for content_id, _ in contents], layout)
    done = held_contents(connection, list(there), space_id)
    contents = [(content_id, content) for content_id, content in contents if content_id not in done]
    same = same_cut(contents, there)
    # Another release cut it into other pieces: whoever has vectors of those will lack some.
    bury(connection, [row[0] for content_id, _ in contents if content_id not in same for row in there[content_id]])
    next_segment = _last_id(connection, "segments") + 1
    made: list[dict[str, object]] = []
    embeddings: list[dict[str, object]] = []
    for content_id, content in contents:
        ids = [row[0] for row in there.get(content_id, ())] if content_id in same else []
        if not ids:
            ids = list(range(next_segment, next_segment + len(content.spans)))
            next_segment += len(ids)
            made.extend(_segment_rows(content, content_id, ids, layout))
        by_space = {space_id: content.vectors, **content.derived}
        for space, vectors in by_space.items():
            stored = blobs.encode(vectors, storage[space])
            embeddings.extend(
                {"space_id": space, "segment_id": segment, "vector": blob}
                for segment, blob in zip(ids, stored, strict=True)
            )
    _insert(connection, SegmentRow, made)
    _insert(connection, Embedding, embeddings)
    for item, segment in sorted({(c.modality, segment) for _, c in contents for segment in c.modalities}):
        for space in sorted({space_id, *(space for _, content in contents for space in content.derived)}):
            row = {"space_id": space, "item": item, "segment": segment}
            connection.execute(upsert(ListRow).values(row).on_conflict_do_nothing())


def held_contents(connection: Connection, contents: Sequence[int], space_id: int) -> set[int]:
    """Those of the contents that have vectors in a space."""
    found: set[int] = set()
    for part in chunks(contents):
        query = (
            select(SegmentRow.content_id)
            .join(Embedding, Embedding.segment_id == SegmentRow.id)
            .where(SegmentRow.content_id.in_(part), Embedding.space_id == space_id)
        )
        found.update(connection.execute(query).scalars())
    return found


def same_cut(contents: Sequence[tuple[int, NewContent]], there: dict[int, list[tuple[Any, ...]]]) -> set[int]:
    """Those of the contents whose segments are the ones they have, as `segments` tells, or that have none yet."""
    return {
        content_id
        for content_id, content in contents
        if content_id not in there or [row[1:] for row in there[content_id]] == _cut(content)
    }


def segments(connection: Connection, contents: Sequence[int], layout: str) -> dict[int, list[tuple[Any, ...]]]:
    """Content id -> (id, then what `_cut` tells) of its segments in a layout, in order."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    row = SegmentRow
    for part in chunks(contents):
        query = (
            select(
                row.content_id, row.id, row.modality, row.start, row.end, row.page, row.char_start, row.char_end,
            )
            .where(row.content_id.in_(part), row.layout == layout)
            .order_by(row.content_id, row.ordinal)
        )  # fmt: skip
        for content_id, *segment in connection.execute(query):
            found.setdefault(content_id, []).append(tuple(segment))
    return found


def _cut(content: NewContent) -> list[tuple[Any, ...]]:
    """Where its segments lie."""
    return [
        (modality, span.start, span.end, span.page, span.char_start, span.char_end)
        for modality, span in zip(content.modalities, content.spans, strict=True)
    ]


def bury(connection: Connection, segment_ids: Sequence[int]) -> None:
    """Delete segments, leaving tombstones for the indexes that hold them."""
    generation = connection.execute(select(LibraryRow.generation)).scalar_one()
    for part in chunks(segment_ids):
        gone = select(SegmentRow.id, literal(generation)).where(SegmentRow.id.in_(part))
        connection.execute(insert(Tombstone).from_select(["segment_id", "generation"], gone))
        connection.execute(delete(SegmentRow).where(SegmentRow.id.in_(part)))


def _segment_rows(content: NewContent, content_id: int, ids: Iterable[int], layout: str) -> Iterator[dict[str, object]]:
    for ordinal, (segment, modality, span) in enumerate(zip(ids, content.modalities, content.spans, strict=True)):
        yield {
            "id": segment, "content_id": content_id, "layout": layout, "ordinal": ordinal, "modality": modality,
            "start": span.start, "end": span.end, "page": span.page,
            "char_start": span.char_start, "char_end": span.char_end, "text": span.text,
        }  # fmt: skip


def facts(metadata: Metadata) -> dict[str, object]:
    """The columns of `contents` that filters ask for, as far as the metadata has them."""
    gps = metadata.get("gps")
    place = gps if isinstance(gps, list | tuple) and len(gps) == 2 else (None, None)
    camera = " ".join(str(metadata[name]) for name in ("make", "model") if metadata.get(name))
    return {
        "duration": _real(metadata.get("duration")),
        "width": _whole(metadata.get("width")),
        "height": _whole(metadata.get("height")),
        "taken": _moment(metadata.get("taken")) or _moment(metadata.get("created")),
        "camera": _words(camera) or None,
        "title": _words(metadata.get("title")),
        "latitude": _real(place[0]),
        "longitude": _real(place[1]),
    }


def _keywords(metadata: Metadata) -> Iterable[str]:
    """Each once."""
    given = metadata.get(KEYWORDS)
    words = map(_words, given) if isinstance(given, list | tuple) else ()
    return dict.fromkeys(word for word in words if word)


# What a file says of itself may be anything: what a column can't hold is not known.


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value in INT64 else None


def _real(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not -_LARGEST <= value <= _LARGEST:
        return None
    return float(value)


def _words(value: object) -> str | None:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _moment(value: object) -> str | None:
    """A time as files tell it, brought to YYYY-MM-DDTHH:MM:SS by the clock it was told by; None for what is no time."""
    try:
        return datetime.fromisoformat(str(value).strip()).replace(tzinfo=None).isoformat(timespec="seconds")
    except ValueError:
        return None


def _insert(connection: Connection, table: type[Base], rows: Sequence[dict[str, object]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _last_id(connection: Connection, table: str) -> int:
    query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    return int(connection.execute(query, {"name": table}).scalar() or 0)


def _place(
    connection: Connection, placements: Sequence[Placement], roots: dict[bytes, int], fresh: dict[str, int]
) -> Iterable[int]:
    known = fresh | content_ids(connection, [p.sha256 for p in placements if p.sha256 not in fresh])
    before = _contents_at(connection, [p.path for p in placements])
    yield from before.values()
    rows: list[dict[str, object]] = []
    for place in placements:
        if place.sha256 not in known:
            raise LibraryError(f"no content {place.sha256} for {display(place.path)}", hint="please report this")
        yield known[place.sha256]
        values: dict[str, object] = {
            "path": place.path, "display": display(place.path), "name": os.path.basename(display(place.path)),
            "bundle": group_key.group_key(place.path), "root_id": roots[place.root], "content_id": known[place.sha256],
            "size": place.size, "mtime_ns": place.mtime_ns, "status": "present", "seen_at": now(),
        }  # fmt: skip
        if place.moved is not None and place.path not in before:
            connection.execute(update(Item).where(Item.id == place.moved).values(values))
        else:
            rows.append(values)
    if rows:
        statement = upsert(Item)
        replaced = {name: statement.excluded[name] for name in rows[0]}
        connection.execute(statement.on_conflict_do_update(index_elements=[Item.path], set_=replaced), rows)
    for part in chunks([p.path for p in placements]):
        connection.execute(delete(FailureRow).where(FailureRow.path.in_(part)))


def content_ids(connection: Connection, hashes: Sequence[str]) -> dict[str, int]:
    """Hash -> id, of the contents that are known."""
    found: dict[str, int] = {}
    for part in chunks(hashes):
        query = select(Content.sha256, Content.id).where(Content.sha256.in_(part))
        found |= {sha256: content_id for sha256, content_id in connection.execute(query)}
    return found


def _contents_at(connection: Connection, paths: Sequence[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for part in chunks(paths):
        query = select(Item.path, Item.content_id).where(Item.path.in_(part))
        found |= {path: content_id for path, content_id in connection.execute(query)}
    return found


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


def forget(connection: Connection, items: Sequence[KnownItem]) -> int:
    """Delete items, and contents that only they held. Returns how many contents."""
    for part in chunks([item.id for item in items]):
        connection.execute(delete(Item).where(Item.id.in_(part)))
    return collect(connection, [item.content_id for item in items])


def collect(connection: Connection, contents: Sequence[int]) -> int:
    """Delete those of the contents that no path holds any more, leaving tombstones for the indexes. Returns how many.

    Those that are still held count as changed.
    """
    if not contents:
        return 0
    generation, collected = bump(connection), 0
    for part in chunks(sorted(set(contents))):
        orphan = Content.id.in_(part), ~exists().where(Item.content_id == Content.id)
        buried = select(SegmentRow.id, literal(generation)).join(Content).where(*orphan)
        connection.execute(insert(Tombstone).from_select(["segment_id", "generation"], buried))
        collected += connection.execute(delete(Content).where(*orphan)).rowcount
        connection.execute(update(Content).where(Content.id.in_(part)).values(changed=generation))
    return collected
