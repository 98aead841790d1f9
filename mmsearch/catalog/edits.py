"""What a person said of a file stays when the file is edited: its new content takes over tags and own metadata."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from mmsearch.catalog.contents import KEYWORDS
from mmsearch.catalog.facts import told_meta
from mmsearch.catalog.meta import meta_of, set_meta
from mmsearch.catalog.sidecars import RATING
from mmsearch.catalog.tables import Content
from mmsearch.catalog.tags import add_tags, tags_of
from mmsearch.types import Metadata


def take_over(connection: Connection, edited: Sequence[tuple[int, int]]) -> None:
    """Give new contents what people said of the ones in whose place they are: (before, after).

    The file's keywords and stars are its own affair, before and after, and so is what it tells of its maker.
    """
    before = [old for old, _ in edited]
    tags, meta = tags_of(connection, before), meta_of(connection, before)
    for old, new in edited:
        if old not in tags and old not in meta:
            continue
        metadata: Metadata = connection.execute(select(Content.meta).where(Content.id == old)).scalar_one()
        words = metadata.get(KEYWORDS)
        given = [tag for tag in tags.get(old, ()) if not isinstance(words, list) or tag not in words]
        add_tags(connection, [new], given)
        told = {**told_meta(metadata), RATING: metadata.get(RATING)}
        kept = {key: value for key, value in meta.get(old, {}).items() if told.get(key) != value}
        set_meta(connection, [new], kept)
