"""What a library kept of people and places, brought in line with what it is to keep (`core.keeping`)."""

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, delete, select, update

from mmsearch.catalog.commits import next_generation
from mmsearch.catalog.contents import filter_columns, mark_changed
from mmsearch.catalog.items import words_of
from mmsearch.catalog.segments import bury_segments
from mmsearch.catalog.statements import Statement
from mmsearch.catalog.tables import Content, ItemRow, Meta, SegmentRow, Tag
from mmsearch.catalog.traces import mark_traces
from mmsearch.core.keeping import CAMERA, GPS, PEOPLE, PLACES, TAGS, Keeping, KeptFacts, Reduced
from mmsearch.types import Metadata

PAGE = 2000
"""Contents read at once."""


def kept_facts(connection: Connection) -> KeptFacts:
    """What is kept now."""
    counts = dict.fromkeys(KeptFacts._fields, 0)
    keys = {"gps": (GPS,), "places": PLACES, "camera": CAMERA, "people": PEOPLE, "tags": TAGS}
    for _, _, metadata in _contents(connection):
        counts["contents"] += 1
        for name, those in keys.items():
            counts[name] += any(metadata.get(key) for key in those)
    named = Statement(select(ItemRow.id).where(ItemRow.display != ""))
    return KeptFacts(**{**counts, "names": len(named.rows(connection))})


def reduce_facts(connection: Connection, keeping: Keeping) -> Reduced:
    """Forget of everything what is not kept any more, in this transaction; the file still holds it until it is wiped.
    What was forgotten comes back only with an ingest of files that were removed."""
    generation = next_generation(connection)
    cut, tags, passages = list[int](), 0, 0
    for content, modality, metadata in list(_contents(connection)):
        kept = keeping.kept(metadata)
        if kept == metadata:
            continue
        cut.append(content)
        lost = set(keeping.lost_texts(metadata))
        changed = {"meta": kept, **filter_columns(kept)}
        connection.execute(update(Content).where(Content.id == content).values(changed))
        tags += _forget_tags(connection, content, metadata, keeping)
        passages += _forget_words(connection, content, modality, bool(metadata.get("sidecar")), lost)
    names = _rename(connection, keeping.names)
    if cut or names:
        mark_changed(connection, cut, generation)
        mark_traces(connection)
    return Reduced(len(cut), tags, passages, names)


def _contents(connection: Connection) -> Iterator[tuple[int, str, Metadata]]:
    last = 0
    query = select(Content.id, Content.modality, Content.meta).order_by(Content.id).limit(PAGE)
    while rows := connection.execute(query.where(Content.id > last)).all():
        yield from ((content, modality, metadata) for content, modality, metadata in rows)
        last = rows[-1][0]


def _forget_tags(connection: Connection, content: int, metadata: Metadata, keeping: Keeping) -> int:
    """The tags that the file itself brought, and its own facts that filters know."""
    gone = 0
    if not keeping.tags and isinstance(words := metadata.get(TAGS[0]), list):
        brought = delete(Tag).where(Tag.content_id == content, Tag.confidence.is_(None))
        gone = connection.execute(brought.where(Tag.tag.in_([str(word) for word in words]))).rowcount
    if not keeping.people:
        for key in PEOPLE:
            own = delete(Meta).where(Meta.content_id == content, Meta.key == key)
            connection.execute(own.where(Meta.text == str(metadata.get(key))))
    return gone


def _forget_words(connection: Connection, content: int, modality: str, sidecar: bool, lost: Iterable[str]) -> int:
    """The words of what is not kept: lines of what is written in a picture, passages of a sidecar, and the first of a
    document, in which it tells of itself."""
    segment, gone, buried = SegmentRow, 0, list[int]()
    rows = connection.execute(
        select(segment.id, segment.modality, segment.ordinal, segment.text)
        .where(segment.content_id == content, segment.text.is_not(None), segment.source.is_(None))
    ).all()  # fmt: skip
    for number, kind, ordinal, text in rows:
        if not any(one in (text or "") for one in lost):
            continue
        if kind == "text":
            buried += [number] if sidecar or modality != "text" or ordinal == 0 else []
            continue
        left = "\n".join(line for line in (text or "").split("\n") if not any(one in line for one in lost))
        connection.execute(update(segment).where(segment.id == number).values(text=left or None))
        gone += 1
    bury_segments(connection, buried)
    return gone + len(buried)


def _rename(connection: Connection, named: bool) -> int:
    """Let the names of files be searched for, or not. Returns how many changed."""
    if not named:
        shown = update(ItemRow).where(ItemRow.display != "")
        return int(connection.execute(shown.values(display="", name="")).rowcount)
    hidden = connection.execute(select(ItemRow.id, ItemRow.path).where(ItemRow.display == "")).all()
    for number, path in hidden:
        connection.execute(update(ItemRow).where(ItemRow.id == number).values(words_of(path)))
    return len(hidden)
