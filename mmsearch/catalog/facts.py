"""Facts that files tell of themselves and that filters ask for as they do for a person's own metadata: artist, album,
author, sender and the like. The words of who made a song are found as those of its title are, by the triggers of
migration 0007."""

from mmsearch.catalog.meta import LARGEST
from mmsearch.core.filters.ast import FILTER_TEXT
from mmsearch.types import Metadata, MetaValue

TEXTS = ("artist", "album", "album_artist", "composer", "genre", "author", "from", "to")
NUMBERS = ("year", "track")
"""Keys of the metadata of files, which are the same in filters: meta.artist, meta.author, meta.year."""


def told_meta(metadata: Metadata) -> dict[str, MetaValue]:
    """What a file tells under these keys, as far as a filter can ask for it."""
    found: dict[str, MetaValue] = {}
    for key in TEXTS:
        value = metadata.get(key)
        if isinstance(value, str) and 0 < len(value) <= FILTER_TEXT and "\0" not in value:
            found[key] = value.encode("utf-8", "replace").decode()
    for key in NUMBERS:
        value = metadata.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST:
            found[key] = value
    return found
