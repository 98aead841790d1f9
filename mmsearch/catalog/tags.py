"""Tags that a model gave: written beside those of people, never over them."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete
from sqlalchemy.dialects.sqlite import insert as upsert

from mmsearch.catalog.records import NewTag
from mmsearch.catalog.tables import Tag
from mmsearch.catalog.write import bump, chunks


def replace(connection: Connection, names: Sequence[str], tags: Sequence[NewTag]) -> int:
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
    bump(connection)
    return written
