"""What forgetting leaves in SQLite's file until it is wiped, and what a catalog still holds of some words.

A deleted row stays in free pages, in gaps of pages in use and in the log, and its words in FTS5's index until that
merges. Every transaction that forgets marks the file (`user_version`, which is part of the transaction); only wiping it
(`Catalog.wipe`) takes the mark away, so that who dies in between leaves the rest to the next who opens the library.
"""

import json
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, delete, exists, or_, select, update

from mmsearch.catalog.database import driver
from mmsearch.catalog.dialect import dialect_of
from mmsearch.catalog.paths import at_or_below
from mmsearch.catalog.statements import chunks
from mmsearch.catalog.tables import (
    WORD_TABLES,
    Content,
    ExtractionLine,
    FailureRow,
    ItemRow,
    Meta,
    Root,
    Run,
    SegmentRow,
    Tag,
)


def mark_traces(connection: Connection) -> None:
    """Note, in the transaction that forgets, that the file still holds what is forgotten."""
    dialect_of(connection).mark_traces(connection, left=True)


def clear_mark(connection: Connection) -> None:
    """Note that it does not any more."""
    dialect_of(connection).mark_traces(connection, left=False)


def traces_left(connection: Connection) -> bool:
    """Whether the file may hold what was forgotten."""
    return dialect_of(connection).traces_left(connection)


def merge_words(connection: Connection) -> None:
    """Let the indexes of words be written anew: words of deleted rows go."""
    dialect_of(connection).merge_words(connection)


def forget_warnings(connection: Connection) -> None:
    """Drop the warnings of earlier runs, which name folders and globs."""
    for run_id, report in connection.execute(select(Run.id, Run.report)).all():
        if "warnings" in report:
            connection.execute(update(Run).where(Run.id == run_id).values(report={**report, "warnings": []}))


def forget_roots(connection: Connection, paths: Iterable[bytes]) -> None:
    """Drop roots at or below the paths from which nothing is known any more, with what is kept of them."""
    used = or_(exists().where(ItemRow.root_id == Root.id), exists().where(FailureRow.root_id == Root.id))
    for path in paths:
        connection.execute(delete(Root).where(at_or_below(Root.path, path), ~used))


def texts_of_items(connection: Connection, item_ids: Sequence[int]) -> Iterator[str]:
    """All text that the catalog holds of items: of their paths, tags, metadata and passages."""
    contents: set[int] = set()
    for part in chunks(item_ids):
        found = connection.execute(select(ItemRow.display, ItemRow.content_id).where(ItemRow.id.in_(part)))
        for display, content in found:
            yield display
            contents.add(content)
    yield from texts_of_contents(connection, sorted(contents))


def texts_of_contents(connection: Connection, contents: Sequence[int]) -> Iterator[str]:
    """All text that the catalog holds of contents: tags, metadata, passages and their places."""
    for part in chunks(contents):
        for (metadata,) in connection.execute(select(Content.meta).where(Content.id.in_(part))):
            yield from _strings(metadata)
        for column, of in ((Tag.tag, Tag.content_id), (Meta.text, Meta.content_id)):
            yield from connection.execute(select(column).where(of.in_(part))).scalars()
        lines = select(ExtractionLine.text).where(ExtractionLine.content_id.in_(part))
        yield from connection.execute(lines).scalars()
        for words in (SegmentRow.text, SegmentRow.place):
            held = select(words).where(SegmentRow.content_id.in_(part), words.is_not(None))
            yield from (one for one in connection.execute(held).scalars() if one is not None)


def _strings(value: object) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def terms_held(connection: Connection) -> set[str]:
    """The terms, as FTS5 stems them, of all names, folders, titles, tags and passages."""
    run = driver(connection).execute
    found: set[str] = set()
    for name in WORD_TABLES:
        run(f"CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, {name}, row)")
        found.update(term for (term,) in run("SELECT term FROM temp.terms"))
        run("DROP TABLE temp.terms")
    return found


_HOLDERS = (
    "items WHERE instr(path, CAST(:word AS BLOB)) OR instr(display, :word)",
    "item_words WHERE instr(name, :word) OR instr(folder, :word) OR instr(title, :word) OR instr(tags, :word)",
    "segments WHERE instr(text, :word)",
    "extraction_lines WHERE instr(text, :word)",
    "extractions WHERE instr(reason, :word) OR instr(extractor, :word)",
    "contents WHERE instr(metadata, :word) OR instr(metadata, :escaped) OR instr(title, :word) OR instr(camera, :word)",
    "tags WHERE instr(tag, :word)",
    "meta WHERE instr(key, :word) OR instr(text, :word)",
    "failures WHERE instr(path, CAST(:word AS BLOB)) OR instr(reason, :word)",
    "refusals WHERE instr(reason, :word)",
    "roots WHERE instr(path, CAST(:word AS BLOB)) OR instr(exclude, :word)",
    "copies WHERE instr(path, CAST(:word AS BLOB))",
    "spaces WHERE instr(name, :word) OR instr(target, :word)",
    "runs WHERE instr(report, :word)",
    "sqlite_master WHERE instr(sql, :word)",
)
"""Where a catalog may hold a word by right."""


def holds(connection: Connection, word: str) -> bool:
    """Whether a row of the catalog has a word in it, written so."""
    asked = {"word": word, "escaped": json.dumps(word)[1:-1]}
    # Surrogates stand for bytes of a path that are no text.
    asked = {name: value.encode("utf-8", "replace").decode() for name, value in asked.items()}
    run = driver(connection).execute
    return any(run(f"SELECT EXISTS (SELECT 1 FROM {where})", asked).fetchone()[0] for where in _HOLDERS)
