"""A slice: a catalog of its own that holds what some items of another one are, and is kept so.

Whoever may see no more than these items reads the slice and never the whole: no statement of it can be forgotten, and
what depends on all that there is (how common a word is, how scores spread, what is a duplicate) is what it would be in
a library that holds these items alone. Ids are those of the whole. Generations, commits and tombstones are its own.

What is not an item's stays out: ingests, saved searches, copies, what a root leaves out, models that don't serve.
"""

import os
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from mmsearch.catalog.database import driver
from mmsearch.catalog.filters import filter_clause
from mmsearch.catalog.statements import Statement, json_numbers
from mmsearch.catalog.store import Catalog
from mmsearch.catalog.tables import Base, Commit, Content, FailureRow, ItemRow, LibraryRow, Root
from mmsearch.core.filters.ast import Comparison, Filter, Not

_OF_FILES = frozenset(("path", "name", "folder", "root", "size", "modified"))
"""Columns that a file has which could not be read."""

_GROUPS = (("tags",), ("meta",), ("refusals",), ("extractions", "extraction_lines", "extraction_cuts"))
"""Tables of contents that are compared row by row and, of a content in which they differ, written anew together."""

_STATE = Statement(
    select(
        LibraryRow.generation, Commit.mark, select(func.count()).select_from(FailureRow).scalar_subquery(),
        select(func.max(FailureRow.at)).scalar_subquery(), select(func.sum(FailureRow.attempts)).scalar_subquery(),
        select(func.max(Root.scanned_at)).scalar_subquery(),
    ).outerjoin(Commit, Commit.generation == LibraryRow.generation)
)  # fmt: skip


def state_of(connection: Connection) -> tuple[Any, ...]:
    """As long as it is the same, a slice that was brought up to date still is."""
    return _STATE.rows(connection)[0]


def bring_up_to_date(whole: Catalog, own: Catalog, filter: Filter) -> bool:
    """Let a slice hold the items of the whole that match, and nothing else. One transaction; whether it changed
    anything. What it let go of is wiped from its file, too, as far as nobody reads an old state."""
    with whole.beside(own.path, "slice") as connection:
        changed, gone = _Update(connection, filter).run()
    if gone:
        own.wipe()
    return changed


class _Update:
    """The statements of one update, over a connection to the whole with the slice beside it. A name without a schema
    is the whole's, so that a filter asks what it always asks."""

    def __init__(self, connection: Connection, filter: Filter) -> None:
        self._connection = connection
        self._filter = filter
        self._run = driver(connection).execute
        self._changes = 0
        """Rows of the slice that were written."""

    def run(self) -> tuple[bool, bool]:
        """(whether anything changed, whether anything went)"""
        run = self._run
        # Written to first: whoever else updates the slice waits, and then finds it done.
        run("UPDATE slice.library SET generation = generation")
        run("PRAGMA defer_foreign_keys = ON")
        (last,) = run("SELECT generation FROM slice.library").fetchone()
        self._generation = last + 1
        self._choose()
        self._models()
        gone = self._items() + self._segments()
        self._contents()
        self._vectors()
        self._failures()
        self._roots()
        # A slice of nothing is no empty library: something was ingested.
        changed = self._changes > 0 or (last == 0 and run("SELECT generation FROM main.library").fetchone()[0] > 0)
        if changed:
            run("UPDATE slice.library SET generation = ?", (self._generation,))
            mark = (self._generation, secrets.randbits(63))
            run("INSERT INTO slice.commits (generation, mark) VALUES (?, ?)", mark)
        if gone:
            run("PRAGMA slice.user_version = 1")  # `traces.mark_traces`, of the slice
        return changed, bool(gone)

    def _choose(self) -> None:
        """Which items, contents and spaces are the slice's; in tables of the connection alone."""
        run = self._run
        for name in ("own_items", "own_contents", "own_spaces", "touched", "differing"):
            run(f"CREATE TEMP TABLE IF NOT EXISTS {name} (id INTEGER PRIMARY KEY)")
            run(f"DELETE FROM temp.{name}")
        matching = Statement(select(ItemRow.id).join(Content).where(filter_clause(self._filter)))
        ids = json_numbers(row[0] for row in matching.rows(self._connection))
        run("INSERT INTO temp.own_items SELECT value FROM json_each(?)", (ids,))
        run(f"INSERT INTO temp.own_contents SELECT DISTINCT content_id FROM main.items WHERE id IN {_ids('own_items')}")
        run(
            "INSERT INTO temp.own_spaces SELECT space_id FROM main.library WHERE space_id IS NOT NULL "
            "UNION SELECT base_id FROM main.projections JOIN main.library USING (space_id)"
        )

    def _models(self) -> None:
        """The space that serves, with its base. Where it is another one than before, all begins anew."""
        run, columns = self._run, _columns("spaces", "filled")
        there = f"SELECT {columns} FROM main.spaces WHERE id IN {_ids('own_spaces')} ORDER BY id"
        serving = run("SELECT space_id FROM main.library").fetchone()
        same = run(there).fetchall() == run(f"SELECT {columns} FROM slice.spaces ORDER BY id").fetchall()
        if same and serving == run("SELECT space_id FROM slice.library").fetchone():
            return
        run("UPDATE slice.library SET space_id = NULL")
        for table in ("failures", "items", "contents", "projections", "spaces", "roots"):
            self._write(f"DELETE FROM slice.{table}")
        self._copy("spaces", f"id IN {_ids('own_spaces')}")
        run("UPDATE slice.spaces SET filled = ?", (self._generation,))
        self._copy("projections", f"space_id IN {_ids('own_spaces')}")
        run("UPDATE slice.library SET space_id = ?, floor = ?", (*serving, self._generation))

    def _items(self) -> int:
        """Items that match, as they are. Returns how many went, or are others now."""
        theirs = f"SELECT {_columns('items')} FROM main.items WHERE id IN {_ids('own_items')}"
        self._differ(f"SELECT id FROM (SELECT {_columns('items')} FROM slice.items EXCEPT {theirs})")
        self._touch(f"SELECT content_id FROM slice.items WHERE id IN {_ids('differing')}")
        gone = self._write(f"DELETE FROM slice.items WHERE id IN {_ids('differing')}")
        absent = f"id IN {_ids('own_items')} AND id NOT IN (SELECT id FROM slice.items)"
        self._touch(f"SELECT content_id FROM main.items WHERE {absent}")
        self._copy("items", absent)
        return gone

    def _segments(self) -> int:
        """Segments and contents that are no more; the former are buried. Returns how many."""
        self._differ(
            "SELECT id FROM slice.segments WHERE id NOT IN (SELECT s.id FROM main.segments s "
            f"WHERE s.content_id IN {_ids('own_contents')} AND s.layout IN (SELECT layout FROM slice.spaces))"
        )
        self._touch(f"SELECT content_id FROM slice.segments WHERE id IN {_ids('differing')}")
        buried = "INSERT INTO slice.tombstones (segment_id, generation) SELECT id, ? FROM temp.differing"
        self._write(buried, self._generation)
        gone = self._write(f"DELETE FROM slice.segments WHERE id IN {_ids('differing')}")
        return gone + self._write(f"DELETE FROM slice.contents WHERE id NOT IN {_ids('own_contents')}")

    def _contents(self) -> None:
        """What contents are, and what is said of them."""
        columns = _columns("contents", "changed")
        of_own = f"SELECT {columns} FROM main.contents WHERE id IN {_ids('own_contents')}"
        self._differ(f"SELECT id FROM ({of_own} EXCEPT SELECT {columns} FROM slice.contents)")
        fresh = ", ".join(f"{one} = excluded.{one}" for one in _columns("contents", "id", "changed").split(", "))
        self._write(
            f"INSERT INTO slice.contents ({columns}, changed) SELECT {columns}, ? FROM main.contents "
            f"WHERE id IN {_ids('differing')} ON CONFLICT (id) DO UPDATE SET {fresh}",
            self._generation,
        )
        self._touch("SELECT id FROM temp.differing")
        for tables in _GROUPS:
            self._group(tables)
        known = "(SELECT content_id FROM slice.evidence)"
        self._copy("evidence", f"content_id IN {_ids('own_contents')} AND content_id NOT IN {known}")

    def _group(self, tables: Sequence[str]) -> None:
        self._differ(" UNION ".join(map(_differing, tables)))
        for table in reversed(tables):
            self._write(f"DELETE FROM slice.{table} WHERE content_id IN {_ids('differing')}")
        for table in tables:
            self._copy(table, f"content_id IN {_ids('differing')} AND {_chosen(table)}")

    def _vectors(self) -> None:
        """Segments, vectors, and the lists that these make."""
        run = self._run
        (last,) = run("SELECT coalesce(max(segment_id), 0) FROM slice.embeddings").fetchone()
        absent = (
            f"content_id IN {_ids('own_contents')} AND layout IN (SELECT layout FROM slice.spaces) "
            "AND id NOT IN (SELECT id FROM slice.segments)"
        )
        self._touch(f"SELECT content_id FROM main.segments WHERE {absent}")
        self._copy("segments", absent)
        lacking = (
            f"space_id IN {_ids('own_spaces')} AND segment_id IN (SELECT id FROM slice.segments) AND NOT EXISTS "
            "(SELECT 1 FROM slice.embeddings e WHERE e.space_id = embeddings.space_id "
            "AND e.segment_id = embeddings.segment_id)"
        )
        late = run(f"SELECT 1 FROM main.embeddings WHERE segment_id <= ? AND {lacking} LIMIT 1", (last,)).fetchone()
        self._copy("embeddings", lacking)
        if late:
            # As `spaces.mark_backfilled`: no `changed` tells indexes of these.
            run("UPDATE slice.spaces SET filled = ?", (self._generation,))
        run(
            "INSERT OR IGNORE INTO slice.lists (space_id, item, segment) SELECT DISTINCT e.space_id, c.modality, "
            "s.modality FROM slice.contents c JOIN slice.segments s ON s.content_id = c.id "
            f"JOIN slice.embeddings e ON e.segment_id = s.id WHERE c.id IN {_ids('touched')}"
        )
        run(f"UPDATE slice.contents SET changed = ? WHERE id IN {_ids('touched')}", (self._generation,))

    def _failures(self) -> None:
        """Files that could not be read, where the filter asks nothing that such a file hasn't."""
        ids: list[int] = []
        if _asks_of_files(self._filter):
            asked = Statement(select(ItemRow.id).where(filter_clause(self._filter)))
            sql, fixed = asked.compiled(self._connection)
            name = f"substr(display, length(rtrim(display, replace(display, '{os.sep}', ''))) + 1)"
            failed = f"WITH items AS (SELECT *, {name} AS name FROM main.failures)"
            ids = [row[0] for row in self._run(f"{failed} {sql}", fixed)]
        self._differ("SELECT value FROM json_each(?)", json_numbers(ids))
        columns = _columns("failures")
        theirs = f"SELECT {columns} FROM main.failures WHERE id IN {_ids('differing')}"
        other = f"SELECT id FROM (SELECT {columns} FROM slice.failures EXCEPT {theirs})"
        self._write(f"DELETE FROM slice.failures WHERE id IN ({other})")
        self._copy("failures", f"id IN {_ids('differing')} AND id NOT IN (SELECT id FROM slice.failures)")

    def _roots(self) -> None:
        """Roots of what is there, without what is left out below them: that names other files."""
        used = "(SELECT root_id FROM slice.items UNION SELECT root_id FROM slice.failures)"
        theirs = f"SELECT id, path, '', scanned_at FROM main.roots WHERE id IN {used}"
        ours = f"SELECT id FROM (SELECT id, path, exclude, scanned_at FROM slice.roots EXCEPT {theirs})"
        self._write(f"DELETE FROM slice.roots WHERE id IN ({ours})")
        absent = f"{theirs} AND id NOT IN (SELECT id FROM slice.roots)"
        self._write(f"INSERT INTO slice.roots (id, path, exclude, scanned_at) {absent}")

    def _differ(self, query: str, *asked: object) -> None:
        """Note what a query gives as what differs."""
        self._run("DELETE FROM temp.differing")
        self._run(f"INSERT OR IGNORE INTO temp.differing {query}", asked)

    def _touch(self, contents: str) -> None:
        """Note contents, given by a query, as changed."""
        self._run(f"INSERT OR IGNORE INTO temp.touched {contents}")

    def _copy(self, table: str, where: str) -> None:
        columns = _columns(table)
        self._write(f"INSERT INTO slice.{table} ({columns}) SELECT {columns} FROM main.{table} WHERE {where}")

    def _write(self, statement: str, *asked: object) -> int:
        """Write to the slice. Returns how many rows."""
        rows = self._run(statement, asked).rowcount
        self._changes += rows
        return rows


def _ids(name: str) -> str:
    return f"(SELECT id FROM temp.{name})"


def _columns(table: str, *without: str) -> str:
    """Some words of SQL are names here."""
    names = (column.name for column in Base.metadata.tables[table].columns)
    return ", ".join(f'"{name}"' for name in names if name not in without)


def _chosen(table: str) -> str:
    """Which rows of a table of contents are the slice's."""
    of_spaces = "space_id" in Base.metadata.tables[table].columns
    return f"content_id IN {_ids('own_contents')}" + (f" AND space_id IN {_ids('own_spaces')}" if of_spaces else "")


def _differing(table: str) -> str:
    """A query of the contents in which a table's rows differ."""
    theirs = f"SELECT {_columns(table)} FROM main.{table} WHERE {_chosen(table)}"
    ours = f"SELECT {_columns(table)} FROM slice.{table}"
    return f"SELECT content_id FROM ({theirs} EXCEPT {ours}) UNION SELECT content_id FROM ({ours} EXCEPT {theirs})"


def _asks_of_files(filter: Filter) -> bool:
    """Whether a filter asks only what a file has that could not be read."""
    if isinstance(filter, Comparison):
        return filter.column in _OF_FILES
    parts = (filter.part,) if isinstance(filter, Not) else filter.parts
    return all(_asks_of_files(part) for part in parts)
