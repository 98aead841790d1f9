"""Commits: the generation that each one made, and how far back an index can be brought up to date."""

import secrets
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mmsearch.catalog.blobs import MEND
from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.database import COMMIT_ROWS, SEEN
from mmsearch.catalog.statements import Statement
from mmsearch.catalog.tables import Commit, LibraryRow, Tombstone
from mmsearch.catalog.values import utc_now
from mmsearch.errors import CatalogDamaged


class CommitState(NamedTuple):
    """The last commit of a catalog: as long as it is the same, nothing has changed."""

    generation: int
    """How many commits there were that changed what can be found."""
    oldest_replayable_generation: int
    """An index of an earlier generation can't be brought up to date, only rebuilt."""
    commit_id: int
    """Tells the commit from one of the same generation in another copy of the library; 0 where there was none yet."""


class Outdated(Exception):
    """Something was committed while an answer was made that is to be of one commit: it has to be made anew."""


def current_commit(connection: Connection) -> CommitState:
    """The last commit of the catalog. Raises: CatalogDamaged."""
    seen = connection.info.get(SEEN)
    if seen is not None and "commit" in seen:
        known: CommitState = seen["commit"]
        return known
    rows = seen.pop(COMMIT_ROWS, None) if seen else None
    generation, oldest, commit = (rows or CURRENT_COMMIT.rows(connection))[0]
    state = CommitState(generation, oldest, commit or 0)
    if any(type(one) is not int for one in state):
        raise CatalogDamaged("the catalog is damaged: its last commit is no number", hint=MEND)
    if seen is not None:
        seen["commit"] = state
    return state


def commit_id(connection: Connection, generation: int) -> int:
    """The id of the commit that made a generation; 0 if this catalog never had it."""
    return int(connection.execute(_COMMIT_ID, {"generation": generation}).scalar() or 0)


# What nearly every snapshot asks first: an engine may answer it as the snapshot begins (`database.COMMIT_ROWS`).
# The columns `commits.mark` and `library.floor` are called so in every library there is.
CURRENT_COMMIT = Statement(
    select(LibraryRow.generation, LibraryRow.floor, Commit.mark).outerjoin(
        Commit, Commit.generation == LibraryRow.generation
    )
)
_UUID = Statement(select(LibraryRow.uuid))
_COMMIT_ID = select(Commit.mark).where(Commit.generation == bindparam("generation"))


def has_library(connection: Connection) -> bool:
    """Whether the row of facts about the library itself is there."""
    return connection.execute(select(LibraryRow.id)).first() is not None


def library_uuid(connection: Connection) -> str:
    """The random number of 32 hexadecimal digits that the library got when it was made."""
    ((uuid,),) = _UUID.rows(connection)
    return str(uuid)


def add_library(connection: Connection, version: str) -> None:
    """Write the one row of facts about the library itself, unless it is there."""
    row = {"id": 1, "uuid": uuid4().hex, "generation": 0, "floor": 0, "created_at": utc_now(), "version": version}
    connection.execute(upsert(LibraryRow).on_conflict_do_nothing(), row)


def next_generation(connection: Connection) -> int:
    """The next generation, already written."""
    raised = update(LibraryRow).values(generation=LibraryRow.generation + 1).returning(LibraryRow.generation)
    generation = int(connection.execute(raised).scalar_one())
    connection.execute(insert(Commit).values(generation=generation, mark=secrets.randbits(63)))
    return generation


def raise_oldest_replayable_generation(connection: Connection, generation: int) -> None:
    """Drop the tombstones up to a generation: no index is going to be brought up to date from before it."""
    connection.execute(delete(Tombstone).where(Tombstone.generation <= generation))
    connection.execute(update(LibraryRow).where(LibraryRow.floor < generation).values(floor=generation))
