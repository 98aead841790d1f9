"""Tags that a model gave: written beside those of people, never over them."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from mmsearch.catalog.commits import next_generation
from mmsearch.catalog.contents import content_ids
from mmsearch.catalog.records import NewTag
from mmsearch.catalog.statements import chunks, insert_rows
from mmsearch.catalog.tables import Tag


def replace_model_tags(connection: Connection, names: Sequence[str], tags: Sequence[NewTag]) -> int:
    """Of the contents in `tags`, forget what a model said before with any of these names, then write what it says now.

    A person's tag (without a confidence) stays as it is. Returns how many tags a model's word stands in now.
    Triggers keep the words that are searched in step.
    """
    for part in chunks([tag.content_id for tag in tags]):
        for some in chunks(list(names)):
            connection.execute(
                delete(Tag).where(Tag.content_id.in_(part), Tag.tag.in_(some), Tag.confidence.is_not(None))
            )
    rows = [
        {"content_id": tag.content_id, "tag": tag.tag, "confidence": tag.confidence}
        for tag in tags
        if tag.tag is not None
    ]
    written = 0
    for row in rows:
        written += connection.execute(upsert(Tag).values(row).on_conflict_do_nothing()).rowcount
    next_generation(connection)
    return written


def model_tags(connection: Connection, ids: Sequence[int]) -> dict[int, list[tuple[str, float]]]:
    found: dict[int, list[tuple[str, float]]] = defaultdict(list)
    query = select(Tag.content_id, Tag.tag, Tag.confidence).where(Tag.content_id.in_(ids), Tag.confidence.is_not(None))
    for content, tag, confidence in connection.execute(query.order_by(Tag.content_id, Tag.tag)):
        found[content].append((tag, float(confidence or 0)))
    return found


def add_model_tags(connection: Connection, tags: Sequence[tuple[int, str, float]]) -> None:
    """Write tags of new contents: (content id, tag, confidence)."""
    insert_rows(connection, Tag, [dict(zip(("content_id", "tag", "confidence"), tag, strict=True)) for tag in tags])


def add_given_tags(connection: Connection, tags: Sequence[tuple[str, str]]) -> None:
    """Write tags, (hash, tag), that a person or an application gave to contents that are there; over a model's."""
    known = content_ids(connection, [sha256 for sha256, _ in tags])
    for sha256, tag in tags:
        connection.execute(
            upsert(Tag)
            .values(content_id=known[sha256], tag=tag, confidence=None)
            .on_conflict_do_update(
                index_elements=[Tag.content_id, Tag.tag],
                set_={"confidence": None},
                where=Tag.confidence.is_not(None),
            )
        )


def given_tags(connection: Connection, content_id: int) -> set[str]:
    """The tags of a content that a person or an application gave."""
    query = select(Tag.tag).where(Tag.content_id == content_id, Tag.confidence.is_(None))
    return set(connection.execute(query).scalars())
