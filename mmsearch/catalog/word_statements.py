"""The statements of a search for words, compiled once for each choice of kinds and filter."""

from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    column,
    exists,
    func,
    null,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.orm import aliased

from mmsearch.catalog import group_key, layouts
from mmsearch.catalog.constructs import word_match, word_rank
from mmsearch.catalog.filters import filter_clause, row_by_row
from mmsearch.catalog.sources import of_sources
from mmsearch.catalog.statements import Statement, number_list
from mmsearch.catalog.tables import Content, ItemRow, SegmentRow
from mmsearch.core.filters.ast import Filter
from mmsearch.types import Modality

ITEM_FIELDS = ("name", "folder", "title", "tags")
ITEM_WORDS = table("item_words", column("rowid"), *map(column, ITEM_FIELDS))
PASSAGE_WORDS = table("passage_words", column("rowid"))

WEIGHTS = {"name": 10.0, "folder": 1.0, "title": 6.0, "tags": 6.0}
"""What a match in a column counts for in bm25, next to 1 in a passage."""

KEPT = 64
"""Choices of kinds and filter whose statements are kept."""


class WordStatements:
    """What is asked of the items that are present, of these kinds, and match. Each statement is made when it is first
    asked; `match` is a query of the engine, `ids` a list of `statements.json_numbers`."""

    def __init__(self, modalities: tuple[Modality, ...] | None, filter: Filter | None) -> None:
        self._allowed: list[ColumnElement[bool]] = [ItemRow.status == "present"]
        if modalities is not None:
            self._allowed.append(row_by_row(_of_kinds(modalities)))
        if filter is not None:
            self._allowed.append(filter_clause(filter, few=True))
        self.own = of_sources(filter)
        """What holds of passages; what stands elsewhere then counts for nothing."""

    @cached_property
    def items_by_rank(self) -> Statement:
        """Ids of the `limit` items that match best."""
        return self._items(word_rank("item_words", WEIGHTS))

    @cached_property
    def items_by_length(self) -> Statement:
        """Ids of the `limit` items that match whose names are the shortest."""
        return self._items(text("length(item_words.name)"))

    def _items(self, order: Any) -> Statement:
        query = select(ItemRow.id).join(Content).join(ITEM_WORDS, ITEM_WORDS.c.rowid == ItemRow.id)
        query = query.where(word_match("item_words"), *self._allowed).order_by(order, ItemRow.path)
        return Statement(query.limit(bindparam("limit")))

    @cached_property
    def passages_by_rank(self) -> Statement:
        """Ids of the `limit` passages that match best."""
        of_content = ItemRow.content_id == SegmentRow.content_id
        own = [] if self.own is None else [self.own]
        here = select(ItemRow.id).join(Content).where(of_content, *self._allowed, *own).exists()
        query = select(SegmentRow.id).join(PASSAGE_WORDS, PASSAGE_WORDS.c.rowid == SegmentRow.id)
        query = query.where(word_match("passage_words"), SegmentRow.layout == layouts.active_layout(), here)
        return Statement(query.order_by(word_rank("passage_words"), SegmentRow.id).limit(bindparam("limit")))

    @cached_property
    def holders(self) -> Statement:
        """Ids of the items that hold one of the passages `ids`."""
        query = select(ItemRow.id).join(Content).join(SegmentRow, SegmentRow.content_id == Content.id)
        return Statement(query.where(SegmentRow.id.in_(number_list("ids")), *self._allowed))

    @cached_property
    def named(self) -> Statement:
        """Of the items `ids`, each with each of the passages `passages` of its content, or with none: ids of item and
        content, path, modality, id of the passage, null, the item's name."""
        return self._resolved(null(), ITEM_FIELDS[:1])

    @cached_property
    def quoted(self) -> Statement:
        """The same with the passage's words in place of null, and all of the item's."""
        return self._resolved(SegmentRow.text, ITEM_FIELDS)

    @cached_property
    def texts(self) -> Statement:
        """Ids and words of the passages `ids`."""
        return Statement(select(SegmentRow.id, SegmentRow.text).where(SegmentRow.id.in_(number_list("ids"))))

    def _resolved(self, passage: Any, fields: tuple[str, ...]) -> Statement:
        segment = SegmentRow
        here = and_(segment.content_id == Content.id, segment.id.in_(number_list("passages")))
        words = [ITEM_WORDS.c[name] for name in fields]
        columns = ItemRow.id, ItemRow.content_id, ItemRow.path, Content.modality, segment.id, passage, *words
        joined = (
            select(ItemRow.id).join(Content).join(ITEM_WORDS, ITEM_WORDS.c.rowid == ItemRow.id).outerjoin(segment, here)
        )
        query = joined.where(ItemRow.id.in_(number_list("ids")), *self._allowed)
        return Statement(query.with_only_columns(*columns, maintain_column_froms=True))


word_statements = lru_cache(KEPT)(WordStatements)


def _of_kinds(modalities: tuple[Modality, ...]) -> ColumnElement[bool]:
    """Whether an item is of these kinds, or says what is said in one beside it that is."""
    wanted = Content.modality.in_(modalities)
    spoken = {"video", "audio"} & set(modalities)
    if not spoken or "text" in modalities:
        return wanted
    near, film = aliased(ItemRow), aliased(Content)
    beside = exists().where(near.bundle == ItemRow.bundle, near.status == "present", film.id == near.content_id)
    ends = [f".{suffix.decode()}" for suffix in sorted(group_key.SUBTITLES)]
    subtitles = and_(Content.modality == "text", func.lower(func.substr(ItemRow.name, -4)).in_(ends))
    return or_(wanted, and_(subtitles, beside.where(film.modality.in_(sorted(spoken)))))
