"""Commits: the generation that each one made, and how far back an index can be brought up to date."""

import secrets

from sqlalchemy import Connection, bindparam, insert, select, update

from mmsearch.catalog.statements import Statement
from mmsearch.catalog.tables import Commit, LibraryRow


def generations(connection: Connection) -> tuple[int, int]:
    """(generation, floor)."""
    found, floor = _GENERATIONS.rows(connection)[0]
    return found, floor


def current_commit(connection: Connection) -> tuple[int, int, int]:
    """(generation, floor, mark): the last commit as a whole."""
    found, floor, mark = _CURRENT_COMMIT.rows(connection)[0]
    return found, floor, mark or 0


def commit_id(connection: Connection, generation: int) -> int:
    """The mark of the commit that made a generation; 0 if this catalog never had it."""
    return int(connection.execute(_COMMIT_ID, {"generation": generation}).scalar() or 0)


_GENERATIONS = Statement(select(LibraryRow.generation, LibraryRow.floor))

_CURRENT_COMMIT = Statement(
    select(LibraryRow.generation, LibraryRow.floor, Commit.mark).outerjoin(
        Commit, Commit.generation == LibraryRow.generation
    )
)

_COMMIT_ID = select(Commit.mark).where(Commit.generation == bindparam("generation"))


def next_generation(connection: Connection) -> int:
    """The next generation, already written."""
    connection.execute(update(LibraryRow).values(generation=LibraryRow.generation + 1))
    generation = int(connection.execute(select(LibraryRow.generation)).scalar_one())
    connection.execute(insert(Commit).values(generation=generation, mark=secrets.randbits(63)))
    return generation
