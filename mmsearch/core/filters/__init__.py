"""Filters: their syntax tree, and the parser of what people write."""

from mmsearch.core.filters.ast import Filter


def filter_of(given: str | Filter | None) -> Filter | None:
    """A filter as a caller gives it, as a tree. Raises: InvalidInput for text that is none."""
    if not isinstance(given, str):
        return given
    # The parser takes longer to load than a query to answer.
    from mmsearch.core.filters import parser

    return parser.parse(given)
