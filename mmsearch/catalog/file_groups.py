"""File groups: files of one folder and stem, what is in them and what describes them."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Text, and_, exists, func, select, true, type_coerce
from sqlalchemy.orm import aliased

from mmsearch.catalog import blobs, layouts
from mmsearch.catalog.filters import filter_clause
from mmsearch.catalog.paths import checked_paths
from mmsearch.catalog.records import GroupFile, GroupSegment
from mmsearch.catalog.segments import KEPT_FILTERS
from mmsearch.catalog.statements import Statement, chunks, json_numbers, number_list
from mmsearch.catalog.tables import Content, Embedding, ItemRow, SegmentRow, SpaceRow, Tag
from mmsearch.core.filters.ast import Filter
from mmsearch.errors import CatalogDamaged
from mmsearch.types import Modality, Vectors


@dataclass(frozen=True, slots=True)
class FileText:
    """A present file that something other than text was seen or heard in."""

    path: bytes
    content_id: int
    kinds: frozenset[Modality]
    """Of its segments."""
    texts: tuple[str, ...]
    """The first passage of each text file of its file group."""
    tags: tuple[str, ...]
    """A person's, of its file group."""


def group_members(
    connection: Connection,
    item_ids: Iterable[int],
    modalities: Collection[Modality] | None = None,
    filter: Filter | None = None,
) -> dict[bytes, list[GroupFile]]:
    """Group key -> its present files by path, for every file group of two or more that one of these items belongs to.

    Args:
        filter, modalities: What a member meets if it is `wanted`.
    """
    asked = _members_of(None if modalities is None else tuple(sorted(modalities)), filter)
    found: dict[bytes, list[GroupFile]] = defaultdict(list)
    for key, *row in asked.rows(connection, ids=json_numbers(sorted(set(item_ids)))):
        found[key].append(_member(row))
    for files in found.values():
        checked_paths(files)
    return dict(found)


def _member(row: Sequence[Any]) -> GroupFile:
    """Raises: CatalogDamaged: SQLite keeps any type in any column."""
    (item_id, content_id, path, modality, text, wanted) = row
    metadata = json.loads(text)
    if type(metadata) is not dict or type(modality) is not str or type(content_id) is not int:
        raise CatalogDamaged("the catalog holds a file that mmsearch never writes", hint=blobs.MEND)
    return GroupFile(item_id, content_id, path, modality, metadata, bool(wanted))


@lru_cache(KEPT_FILTERS)
def _members_of(modalities: tuple[Modality, ...] | None, filter: Filter | None) -> Statement:
    """What finds the present files of the group keys of some items that hold other present files too."""
    asked = true() if filter is None else filter_clause(filter, few=True)
    if modalities is not None:
        asked = and_(Content.modality.in_(modalities), asked)
    return Statement(
        select(
            ItemRow.bundle, ItemRow.id, ItemRow.content_id, ItemRow.path, Content.modality,
            type_coerce(Content.meta, Text), asked.label("wanted"),
        )
        .select_from(_SHARED)
        .join(ItemRow, ItemRow.bundle == _SHARED.c.bundle)
        .join(Content, Content.id == ItemRow.content_id)
        .where(ItemRow.status == "present")
        .order_by(ItemRow.path)
    )  # fmt: skip


_found, _near = aliased(ItemRow), aliased(ItemRow)

# Joined, not `in_`: of how many rows that leaves PostgreSQL has no idea, and reads all contents.
_SHARED = (
    select(_found.bundle)
    .where(
        _found.id.in_(number_list("ids")),
        exists().where(_near.bundle == _found.bundle, _near.id != _found.id, _near.status == "present"),
    )
    .distinct()
    .subquery("shared")
)


def group_segments(
    connection: Connection, space: str, dim: int, files: Sequence[GroupFile]
) -> tuple[list[GroupSegment], Vectors]:
    """Every segment of these files that has a vector, by item and place in it; and the vectors, float32 (n, dim)."""
    by_content: dict[int, list[GroupFile]] = defaultdict(list)
    for member in files:
        by_content[member.content_id].append(member)
    found: list[GroupSegment] = []
    vectors: list[bytes] = []
    segment = SegmentRow
    query = (
        select(segment.content_id, segment.modality, Embedding.vector)
        .join(Embedding, Embedding.segment_id == segment.id)
        .join(SpaceRow, SpaceRow.id == Embedding.space_id)
        .order_by(segment.content_id, segment.ordinal)
    )
    for part in chunks(sorted(by_content)):
        rows: Any = connection.execute(query.where(SpaceRow.name == space, segment.content_id.in_(part)))
        for content_id, modality, vector in rows:
            for file in by_content[content_id]:
                found.append(GroupSegment(file.item_id, file.modality, modality))
                vectors.append(vector)
    return found, blobs.decode(vectors, dim)


def count_groups(connection: Connection) -> int:
    """How many group keys are shared by two present files or more."""
    shared = select(ItemRow.bundle).where(ItemRow.status == "present").group_by(ItemRow.bundle).having(func.count() > 1)
    return int(connection.execute(select(func.count()).select_from(shared.subquery())).scalar_one())


def file_texts(connection: Connection) -> list[FileText]:
    """By path. Text files describe others; they are not among them."""
    here = SegmentRow.layout == layouts.active_layout()
    kinds: dict[int, set[Modality]] = defaultdict(set)
    seen = select(SegmentRow.content_id, SegmentRow.modality).where(here, SegmentRow.modality != "text").distinct()
    for content, kind in connection.execute(seen):
        kinds[content].add(kind)
    first: dict[int, str] = {}
    passages = select(SegmentRow.content_id, SegmentRow.text).join(Content, Content.id == SegmentRow.content_id)
    passages = passages.where(here, SegmentRow.ordinal == 0, SegmentRow.text.is_not(None), Content.modality == "text")
    first = {content: text for content, text in connection.execute(passages) if text}
    tagged: dict[int, list[str]] = defaultdict(list)
    for content, tag in connection.execute(
        select(Tag.content_id, Tag.tag).where(Tag.confidence.is_(None)).order_by(Tag.tag)
    ):
        tagged[content].append(tag)
    rows = connection.execute(
        select(ItemRow.path, ItemRow.bundle, ItemRow.content_id, Content.modality)
        .join(Content, Content.id == ItemRow.content_id)
        .where(ItemRow.status == "present")
        .order_by(ItemRow.path)
    ).all()
    texts: dict[bytes, dict[str, None]] = defaultdict(dict)
    tags: dict[bytes, dict[str, None]] = defaultdict(dict)
    for _, bundle, content, _ in rows:
        texts[bundle] |= dict.fromkeys([first[content]] if content in first else [])
        tags[bundle] |= dict.fromkeys(tagged.get(content, ()))
    return [
        FileText(path, content, frozenset(kinds[content]), tuple(texts[bundle]), tuple(tags[bundle]))
        for path, bundle, content, modality in rows
        if kinds[content]
    ]
