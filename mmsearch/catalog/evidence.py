"""Evidence of contents, by which they are told to be the same (`mmsearch.media.sameness`): its bytes, as they were
made."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, exists, select

from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.statements import Statement, chunks, json_numbers, number_list
from mmsearch.catalog.tables import Content, EvidenceRow, ItemRow
from mmsearch.core.file_times import INT64
from mmsearch.types import Modality


class StoredEvidence(NamedTuple):
    """What the catalog has of a content for a proof. Numbers that make no sense are left out."""

    modality: Modality
    width: int
    height: int
    """Pixels; 0 if they are not known."""
    duration: float | None
    """Seconds."""
    taken: str | None
    data: bytes | None
    """None: none was made yet."""


class ContentFile(NamedTuple):
    """A present file that holds a content."""

    content_id: int
    path: bytes
    size: int
    mtime_ns: int


_EVIDENCE = Statement(
    select(
        Content.id, Content.modality, Content.width, Content.height, Content.duration, Content.taken, EvidenceRow.data
    )
    .outerjoin(EvidenceRow, EvidenceRow.content_id == Content.id)
    .where(Content.id.in_(number_list("ids")))
)


def stored_evidence(connection: Connection, content_ids: Sequence[int]) -> dict[int, StoredEvidence]:
    """Content id -> what there is of it, for those that are in the catalog."""
    rows = _EVIDENCE.rows(connection, ids=json_numbers(content_ids))
    return {
        content: StoredEvidence(
            str(modality),
            _pixels(width),
            _pixels(height),
            duration if isinstance(duration, float) and math.isfinite(duration) else None,
            taken if isinstance(taken, str) else None,
            data if isinstance(data, bytes) else None,
        )
        for content, modality, width, height, duration, taken, data in rows
    }


def _pixels(value: object) -> int:
    return value if isinstance(value, int) and 0 < value < 2**31 and value in INT64 else 0


def add_evidence(connection: Connection, evidence: Mapping[int, bytes]) -> None:
    """Keep the evidence of contents, by id, that have none. An empty one says that nothing can be told of it."""
    for part in chunks([{"content_id": content, "data": data} for content, data in evidence.items()]):
        connection.execute(upsert(EvidenceRow).on_conflict_do_nothing(), list(part))


def files_without_evidence(connection: Connection, content_ids: Sequence[int]) -> list[ContentFile]:
    """The first present file, by path, of each content that has no evidence."""
    return first_files(connection, content_ids, ~exists().where(EvidenceRow.content_id == Content.id))


def first_files(connection: Connection, content_ids: Sequence[int], *where: ColumnElement[bool]) -> list[ContentFile]:
    """The first present file, by path, of each content."""
    found: dict[int, ContentFile] = {}
    for part in chunks(content_ids):
        query = (
            select(ItemRow.content_id, ItemRow.path, ItemRow.size, ItemRow.mtime_ns)
            .join(Content, Content.id == ItemRow.content_id)
            .where(Content.id.in_(part), ItemRow.status == "present", *where)
            .order_by(ItemRow.path)
        )
        for content, path, size, mtime_ns in connection.execute(query):
            found.setdefault(content, ContentFile(content, path, size, mtime_ns))
    return list(found.values())
