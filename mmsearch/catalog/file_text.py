"""What a library's files are called, tagged and accompanied by: all that tells what is in them without looking."""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Connection, select

from mmsearch.catalog import layouts
from mmsearch.catalog.tables import Content, Item, SegmentRow, Tag
from mmsearch.types import Modality


@dataclass(frozen=True, slots=True)
class FileText:
    """A present file that something other than text was seen or heard in."""

    path: bytes
    content_id: int
    kinds: frozenset[Modality]
    """Of its segments."""
    texts: tuple[str, ...]
    """The first passage of each text file of its bundle."""
    tags: tuple[str, ...]
    """A person's, of its bundle."""


def file_texts(connection: Connection) -> list[FileText]:
    """By path. A text file is what tells, and none of them."""
    here = SegmentRow.layout == layouts.active_layout()
    kinds: dict[int, set[Modality]] = defaultdict(set)
    for content, kind in connection.execute(select(SegmentRow.content_id, SegmentRow.modality).where(here).distinct()):
        kinds[content].add(kind)
    first: dict[int, str] = {}
    passages = select(SegmentRow.content_id, SegmentRow.text).join(Content, Content.id == SegmentRow.content_id)
    passages = passages.where(here, SegmentRow.ordinal == 0, SegmentRow.text.is_not(None), Content.modality == "text")
    first = {content: text for content, text in connection.execute(passages) if text}
    tagged: dict[int, list[str]] = defaultdict(list)
    for content, tag in connection.execute(
        select(Tag.content_id, Tag.tag).where(Tag.confidence.is_(None)).order_by(Tag.tag)
    ):
        tagged[content].append(tag)
    rows = connection.execute(
        select(Item.path, Item.bundle, Item.content_id, Content.modality)
        .join(Content, Content.id == Item.content_id)
        .where(Item.status == "present")
        .order_by(Item.path)
    ).all()
    texts: dict[bytes, dict[str, None]] = defaultdict(dict)
    tags: dict[bytes, dict[str, None]] = defaultdict(dict)
    for _, bundle, content, _ in rows:
        texts[bundle] |= dict.fromkeys([first[content]] if content in first else [])
        tags[bundle] |= dict.fromkeys(tagged.get(content, ()))
    return [
        FileText(path, content, frozenset(kinds[content]), tuple(texts[bundle]), tuple(tags[bundle]))
        for path, bundle, content, modality in rows
        if modality != "text" and kinds[content]
    ]
