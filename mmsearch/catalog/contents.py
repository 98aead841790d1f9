"""Contents: what files hold, whatever their paths, with the columns that filters ask for."""

import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Select, and_, bindparam, delete, exists, func, insert, literal, select, update

from mmsearch.catalog.commits import next_generation
from mmsearch.catalog.facts import told_meta
from mmsearch.catalog.filters import filter_clause
from mmsearch.catalog.layouts import active_layout
from mmsearch.catalog.meta import set_meta
from mmsearch.catalog.records import Counts, NewContent
from mmsearch.catalog.sidecars import RATING
from mmsearch.catalog.statements import chunks, insert_rows, new_ids
from mmsearch.catalog.tables import Content, Embedding, ItemRow, SegmentRow, SpaceRow, Tag, Tombstone
from mmsearch.core.file_times import INT64
from mmsearch.core.filters.ast import Filter
from mmsearch.types import Metadata, MetaValue, Modality

KEYWORDS = "keywords"
"""Metadata that becomes tags: words that a person gave, a list of str."""

_LARGEST = sys.float_info.max

_MOST_STARS = 100
"""Programs give up to five; Windows counts to 99 in places."""

FINDABLE = exists().where(ItemRow.content_id == Content.id, ItemRow.status == "present")
"""Whether a content has a present item."""

_PLACED = exists().where(ItemRow.content_id == Content.id)
"""Whether a content has an item, present or missing."""


def content_ids(connection: Connection, hashes: Sequence[str]) -> dict[str, int]:
    """Hash -> id, of the contents that are known."""
    found: dict[str, int] = {}
    for part in chunks(hashes):
        query = select(Content.sha256, Content.id).where(Content.sha256.in_(part))
        found |= {sha256: content_id for sha256, content_id in connection.execute(query)}
    return found


def existing_contents(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Those of the ids that a content has."""
    found: set[int] = set()
    for part in chunks(ids):
        found.update(connection.execute(select(Content.id).where(Content.id.in_(part))).scalars())
    return found


def sha256_of(connection: Connection, content_id: int) -> str:
    """The hash of a content that is there."""
    return str(connection.execute(_SHA256_OF, {"id": content_id}).scalar_one())


_SHA256_OF = select(Content.sha256).where(Content.id == bindparam("id"))


def counts_by_modality(connection: Connection, space: str) -> list[Counts]:
    """Items, segments and vectors of each item modality."""
    items = {
        (modality, status): n
        for modality, status, n in connection.execute(
            select(Content.modality, ItemRow.status, func.count())
            .select_from(Content)
            .join(ItemRow, ItemRow.content_id == Content.id)
            .group_by(Content.modality, ItemRow.status)
        )
    }
    sized = (
        select(Content.modality, func.count(SegmentRow.id), func.count(Embedding.segment_id))
        .select_from(Content)
        .outerjoin(SpaceRow, SpaceRow.name == space)
        .outerjoin(SegmentRow, and_(SegmentRow.content_id == Content.id, SegmentRow.layout == SpaceRow.layout))
        .outerjoin(Embedding, and_(Embedding.segment_id == SegmentRow.id, Embedding.space_id == SpaceRow.id))
        .group_by(Content.modality)
    )
    return [
        Counts(m, items.get((m, "present"), 0), items.get((m, "missing"), 0), segments, vectors)
        for m, segments, vectors in connection.execute(sized.order_by(Content.modality))
    ]


def lengths_by_modality(connection: Connection) -> dict[str, tuple[int, float]]:
    """Item modality -> contents of present items, and seconds of them all."""
    held = select(ItemRow.content_id).where(ItemRow.status == "present")
    rows = connection.execute(
        select(Content.modality, func.count(), func.coalesce(func.sum(Content.duration), 0.0))
        .where(Content.id.in_(held))
        .group_by(Content.modality)
    )
    return {modality: (count, float(seconds or 0)) for modality, count, seconds in rows}


def length_of_texts(connection: Connection) -> tuple[int, int]:
    """(pages of documents, and documents without such; characters of them all), as they are cut for searches now."""
    texts = (
        select(func.max(SegmentRow.char_end).label("length"))
        .where(SegmentRow.modality == "text", SegmentRow.source.is_(None), SegmentRow.layout == active_layout())
        .group_by(SegmentRow.content_id, SegmentRow.page)
        .subquery()
    )
    count, letters = connection.execute(select(func.count(), func.coalesce(func.sum(texts.c.length), 0))).one()
    return count, int(letters)


def contents_to_keep_first(
    connection: Connection, modalities: Collection[Modality] | None = None, filter: Filter | None = None
) -> list[tuple[Modality, int]]:
    """(item modality, content id) of all that have a present item that matches, by modality, the one to keep first.

    That is the one with more pixels, then more bytes, then the one that changed longer ago, then the first by path.
    """
    query = _present_contents(modalities, filter).order_by(
        Content.modality,
        func.coalesce(Content.width * Content.height, 0).desc(),
        func.max(ItemRow.size).desc(),
        func.min(ItemRow.mtime_ns),
        func.min(ItemRow.path),
    )
    return [(modality, content) for modality, content in connection.execute(query)]


def copied_contents(
    connection: Connection, modalities: Collection[Modality] | None = None, filter: Filter | None = None
) -> set[int]:
    """Contents that several present items hold that match."""
    query = _present_contents(modalities, filter).having(func.count() > 1)
    return {content for _, content in connection.execute(query)}


def _present_contents(modalities: Collection[Modality] | None, filter: Filter | None) -> Select[str, int]:
    """(modality, id) of the contents with a present item that matches, each once."""
    query = select(Content.modality, Content.id).join(ItemRow, ItemRow.content_id == Content.id)
    query = query.where(ItemRow.status == "present", *([] if filter is None else [filter_clause(filter)]))
    if modalities is not None:
        query = query.where(Content.modality.in_(modalities))
    return query.group_by(Content.id)


def orphaned_contents(connection: Connection, after: int, limit: int) -> list[int]:
    """The next `limit` contents beyond an id that no path holds, by id."""
    query = select(Content.id).where(Content.id > after, ~_PLACED).order_by(Content.id).limit(limit)
    return list(connection.execute(query).scalars())


def add_contents(connection: Connection, contents: Sequence[NewContent], generation: int) -> dict[str, int]:
    """Ids of contents by their hash; those that are there already (without vectors in some space) stay as they are."""
    ids = content_ids(connection, [content.sha256 for content in contents])
    new = [content for content in contents if content.sha256 not in ids]
    # A few statements for a batch instead of some for each row.
    fresh = dict(zip(new_ids(connection, "contents", len(new)), new, strict=True))
    rows: list[dict[str, object]] = []
    tags: list[dict[str, object]] = []
    for content_id, content in fresh.items():
        row = {
            "sha256": content.sha256,
            "modality": content.modality,
            "metadata": content.metadata,
            "changed": generation,
        }
        rows.append({"id": content_id, **row, **filter_columns(content.metadata)})
        given = _keywords(content.metadata) if content.tags is None else content.tags
        tags.extend({"content_id": content_id, "tag": tag} for tag in given)
    insert_rows(connection, Content, rows)
    insert_rows(connection, Tag, tags)
    for content_id, content in fresh.items():
        # What is imported brings its own.
        told = told_meta(content.metadata) | _stars(content.metadata) if content.tags is None else {}
        set_meta(connection, [content_id], {**told, **content.meta})
    return ids | {content.sha256: content_id for content_id, content in fresh.items()}


def collect_orphans(connection: Connection, contents: Sequence[int]) -> int:
    """Delete those of the contents that no path holds any more, leaving tombstones for the indexes. Returns how many.

    Those that are still held count as changed.
    """
    if not contents:
        return 0
    generation, collected = next_generation(connection), 0
    for part in chunks(sorted(set(contents))):
        orphan = Content.id.in_(part), ~_PLACED
        buried = select(SegmentRow.id, literal(generation)).join(Content).where(*orphan)
        connection.execute(insert(Tombstone).from_select(["segment_id", "generation"], buried))
        collected += connection.execute(delete(Content).where(*orphan)).rowcount
    mark_changed(connection, contents, generation)
    return collected


def mark_changed(connection: Connection, contents: Iterable[int], generation: int) -> None:
    """Note that contents changed with a generation: indexes of before look at them again."""
    for part in chunks(sorted(set(contents))):
        connection.execute(update(Content).where(Content.id.in_(part)).values(changed=generation))


def filter_columns(metadata: Metadata) -> dict[str, object]:
    """The columns of `contents` that filters ask for, as far as the metadata has them."""
    gps = metadata.get("gps")
    place = gps if isinstance(gps, list | tuple) and len(gps) == 2 else (None, None)
    camera = " ".join(str(metadata[name]) for name in ("make", "model") if metadata.get(name))
    return {
        "duration": _real(metadata.get("duration")),
        "width": _int64(metadata.get("width")),
        "height": _int64(metadata.get("height")),
        "taken": _local_time(metadata.get("taken")) or _local_time(metadata.get("created")),
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


def _stars(metadata: Metadata) -> dict[str, MetaValue]:
    """A rating in a file is a person's; 0 is none."""
    stars = _real(metadata.get(RATING))
    return {} if not stars or abs(stars) > _MOST_STARS else {RATING: int(stars) if stars.is_integer() else stars}


# What a file says of itself may be anything: what a column can't hold is not known.


def _int64(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value in INT64 else None


def _real(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not -_LARGEST <= value <= _LARGEST:
        return None
    return float(value)


def _words(value: object) -> str | None:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _local_time(value: object) -> str | None:
    """A time as files tell it, brought to YYYY-MM-DDTHH:MM:SS by the clock it was told by; None for what is no time."""
    try:
        return datetime.fromisoformat(str(value).strip()).replace(tzinfo=None).isoformat(timespec="seconds")
    except ValueError:
        return None
