"""The queue of a library on a server: files that a coordinator found, and that workers on any machine take in.

A worker claims some files for a time (a lease), and gives its claim up by the very commit that holds what came of them.
Who dies lets its leases run out, and others claim its files; who comes too late, because somebody else has claimed them
meanwhile, is refused, and nothing of its commit stays.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mmsearch.catalog.database import raw_connection
from mmsearch.errors import LibraryLocked

ATTEMPTS = 5
"""Claims in which a file is decoded. Who claims it once more calls it a failure: it may have killed every worker that
had it."""


class QueueState(NamedTuple):
    """What a library's queue holds."""

    waiting: int
    """Files that nobody has claimed, or whose worker died."""
    claimed: int
    workers: int
    """Who have claimed them."""


class QueuedFile(NamedTuple):
    """A file that waits to be taken in."""

    path: bytes
    root: bytes
    size: int
    mtime_ns: int
    sha256: str
    kind: str
    """new, changed or copied, as the coordinator found it."""


class ClaimedFile(NamedTuple):
    """A file that this worker takes in."""

    id: int
    file: QueuedFile
    attempts: int = 1
    """Claims of it, this one included."""


class Claim(NamedTuple):
    """What a worker gives up with a commit."""

    token: int
    """A random number of its own."""
    ids: tuple[int, ...]
    """Of the files that the commit holds."""
    lease_s: float
    """For those that it still has."""


def add_jobs(connection: Connection, files: Sequence[QueuedFile]) -> int:
    """Queue files; one that waits already is what it is now, and stays claimed if it is what it was. Returns how many
    are new or other than they were."""
    statement = (
        "INSERT INTO jobs (path, root, size, mtime_ns, sha256, kind) "
        "SELECT * FROM unnest(%s::bytea[], %s::bytea[], %s::bigint[], %s::bigint[], %s::text[], %s::text[]) "
        "ON CONFLICT (sha256(path)) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns, "
        "sha256 = excluded.sha256, kind = excluded.kind, attempts = 0, token = NULL, lease = NULL "
        "WHERE (jobs.size, jobs.mtime_ns) <> (excluded.size, excluded.mtime_ns)"
    )
    columns = [list(column) for column in zip(*files, strict=True)]
    return int(raw_connection(connection).execute(statement, columns).rowcount) if files else 0


def claim_jobs(connection: Connection, token: int, limit: int, lease_s: float) -> list[ClaimedFile]:
    """Claim the next files that nobody has, for so many seconds; nobody waits for anybody."""
    rows = raw_connection(connection).execute(
        "UPDATE jobs SET token = %s, lease = clock_timestamp() + make_interval(secs => %s), attempts = attempts + 1 "
        "WHERE id IN (SELECT id FROM jobs WHERE lease IS NULL OR lease < clock_timestamp() "
        "ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED) "
        "RETURNING id, path, root, size, mtime_ns, sha256, kind, attempts",
        (token, lease_s, limit),
        binary=True,
    )
    return sorted(ClaimedFile(row[0], QueuedFile(*row[1:-1]), row[-1]) for row in rows)


def finish_jobs(connection: Connection, token: int, ids: Collection[int], lease_s: float) -> None:
    """Give files up, in the transaction that holds what came of them; the lease of the others of this claim begins
    anew. Raises: LibraryLocked where a lease has run out, and somebody else claimed a file."""
    raw = raw_connection(connection)
    gone = raw.execute("DELETE FROM jobs WHERE id = ANY (%s) AND token = %s", (sorted(ids), token)).rowcount
    if gone != len(ids):
        raise LibraryLocked(
            "another worker has claimed these files meanwhile", hint="give a worker fewer files at once, or more time"
        )
    more = f"UPDATE jobs SET lease = clock_timestamp() + make_interval(secs => %s) WHERE {_HELD}"
    raw.execute(more, (lease_s, token))


def return_jobs(connection: Connection, token: int) -> None:
    """Let others claim what is left of a claim."""
    raw_connection(connection).execute(
        f"UPDATE jobs SET token = NULL, lease = NULL, attempts = attempts - 1 WHERE {_HELD}", (token,)
    )


_HELD = "lease IS NOT NULL AND token = %s"
"""Of a claim. Leases have an index, in which claimed files are few however many wait."""


def queue_state(connection: Connection) -> QueueState:
    """What the queue holds now."""
    row: Any = (
        raw_connection(connection)
        .execute(
            "SELECT count(*) FILTER (WHERE free), count(*) FILTER (WHERE NOT free), "
            "count(DISTINCT token) FILTER (WHERE NOT free) "
            "FROM (SELECT token, lease IS NULL OR lease < clock_timestamp() AS free FROM jobs) AS known"
        )
        .fetchone()
    )
    return QueueState(*map(int, row))


RETRIED = frozenset(("40001", "40P01"))
"""SQLSTATEs of transactions that met another one: the same once more succeeds."""


def is_retried(error: BaseException) -> bool:
    """Whether the same transaction may succeed if it is tried again."""
    found: Any = error.orig if isinstance(error, DBAPIError) else error
    return getattr(found, "sqlstate", None) in RETRIED


def lock_contents(connection: Connection, hashes: Sequence[str]) -> None:
    """Until the transaction ends, be the only one who takes in contents of these hashes. In one order for all."""
    keys = sorted(int(one[:15], 16) for one in hashes)
    raw_connection(connection).execute("SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS key", (keys,))
