"""Facts that files tell of themselves and that filters ask for as they do for a person's own metadata: author, sender
and the like."""

from mmsearch.filters.ast import FILTER_TEXT
from mmsearch.types import Metadata, MetaValue

TEXTS = ("author", "from", "to")
"""Keys of the metadata of files, which are the same in filters: meta.author, meta.from."""


def told_meta(metadata: Metadata) -> dict[str, MetaValue]:
    """What a file tells under these keys, as far as a filter can ask for it."""
    found: dict[str, MetaValue] = {}
    for key in TEXTS:
        value = metadata.get(key)
        if isinstance(value, str) and 0 < len(value) <= FILTER_TEXT and "\0" not in value:
            found[key] = value.encode("utf-8", "replace").decode()
    return found
