"""Tags: what people gave, and what a model gave, which is written beside it and never over it."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from mmsearch.catalog.commits import next_generation
from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.contents import content_ids
from mmsearch.catalog.records import NewTag
from mmsearch.catalog.statements import chunks, insert_rows
from mmsearch.catalog.tables import Tag
from mmsearch.core.filters.ast import FILTER_TEXT
from mmsearch.core.value_ranges import brief_repr
from mmsearch.errors import InvalidInput


def checked_tags(tags: Sequence[str]) -> list[str]:
    """Each once, without blanks around it. Raises: InvalidInput for what is no tag."""
    if isinstance(tags, str) or not isinstance(tags, Sequence | set | frozenset):
        raise InvalidInput(f"tags are given as a list, not as {type(tags).__name__}", hint='such as ["dog"]')
    for tag in tags:
        if not isinstance(tag, str) or not tag.strip() or len(tag) > FILTER_TEXT or not storable(tag):
            raise InvalidInput(
                f"{brief_repr(tag)} is no tag", hint=f"a tag is a text of up to {FILTER_TEXT} characters"
            )
    return list(dict.fromkeys(tag.strip() for tag in tags))


def storable(text: str) -> bool:
    """Whether the catalog can hold a text and a filter ask for it."""
    return "\0" not in text and text == text.encode("utf-8", "replace").decode()


def add_tags(connection: Connection, contents: Sequence[int], tags: Sequence[str]) -> None:
    """Write tags that a person gives, in the place of a model's of the same name."""
    statement = upsert(Tag)
    changed = Tag.confidence.is_not(None)
    statement = statement.on_conflict_do_update(
        index_elements=[Tag.content_id, Tag.tag], set_={"confidence": None}, where=changed
    )
    rows = [{"content_id": content, "tag": tag, "confidence": None} for content in contents for tag in tags]
    for part in chunks(rows):
        connection.execute(statement, list(part))


def remove_tags(connection: Connection, contents: Sequence[int], tags: Sequence[str]) -> None:
    """Take tags away, whoever gave them."""
    for part in chunks(contents):
        for some in chunks(tags):
            connection.execute(delete(Tag).where(Tag.content_id.in_(part), Tag.tag.in_(some)))


def tags_of(connection: Connection, contents: Sequence[int]) -> dict[int, list[str]]:
    """Content id -> the tags that people gave it, sorted; [] for what has none."""
    found: dict[int, list[str]] = defaultdict(list)
    for part in chunks(contents):
        query = select(Tag.content_id, Tag.tag).where(Tag.content_id.in_(part), Tag.confidence.is_(None))
        for content, tag in connection.execute(query.order_by(Tag.content_id, Tag.tag)):
            found[content].append(tag)
    return found


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
    """Content id -> a model's tags of at most `CHUNK` contents, with their confidence, sorted."""
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
        add_tags(connection, [known[sha256]], [tag])
