"""What a filter says of segments: `source = said` keeps what is said of an item, not the item with all that it has."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, false, or_, select

from mmsearch.catalog import layouts
from mmsearch.catalog.tables import Content, SegmentRow
from mmsearch.core.filters.ast import And, Comparison, Filter

Clause = ColumnElement[bool]

SOURCE = "source"


def of_sources(filter: Filter | None) -> Clause | None:
    """The condition over `SegmentRow` joined to its `Content` that a filter puts on every segment; None if it says
    nothing of segments. What it says inside of `not` and `or` is of items alone."""
    asked = [part for part in _parts(filter) if part.column == SOURCE and part.operator in ("=", "in")]
    return and_(*(_named(part) for part in asked)) if asked else None


def holds_source(asked: Comparison) -> Clause:
    """Whether an item's content has a segment of such a source, in the layout that searches use."""
    segments = select(SegmentRow.content_id).where(
        SegmentRow.content_id == Content.id, SegmentRow.layout == layouts.active_layout()
    )
    return segments.where(_named(asked)).correlate(Content).exists()


def _parts(filter: Filter | None) -> Iterable[Comparison]:
    """What has to hold of everything that is found."""
    if isinstance(filter, Comparison):
        yield filter
    elif isinstance(filter, And):
        for part in filter.parts:
            yield from _parts(part)


def _named(asked: Comparison) -> Clause:
    values = asked.value if isinstance(asked.value, tuple) else (asked.value,)
    return or_(false(), *(_of(str(value)) for value in values))


def _of(source: str) -> Clause:
    if source in ("seen", "heard"):
        return SegmentRow.modality == ("image" if source == "seen" else "audio")
    # Lines of subtitles are said; what a document holds is written.
    kinds = ("audio", "video") if source == "said" else ("text",)
    own = and_(SegmentRow.source.is_(None), SegmentRow.modality == "text", Content.modality.in_(kinds))
    return or_(SegmentRow.source == source, own)
