"""The failure ledger: files that could not be taken in, and why."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, func, select

from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.paths import at_or_below, checked_paths, display_path, path_range
from mmsearch.catalog.records import KnownFailure, NewFailure
from mmsearch.catalog.statements import chunks
from mmsearch.catalog.tables import FailureRow, ItemRow, Root
from mmsearch.catalog.traces import mark_traces
from mmsearch.catalog.values import utc_now
from mmsearch.core.media_paths import is_media_path
from mmsearch.errors import FAILURES, InvalidInput, NotEmbedded


def failures_under(connection: Connection, root: bytes, after: bytes | None, limit: int) -> list[KnownFailure]:
    """The next `limit` rows of the ledger at or below a path, in byte order of their paths."""
    at = select(FailureRow.path).where(FailureRow.path == root)
    first = [] if after is not None else _failures(connection, at)
    bounds = path_range(root, after)
    rest = select(FailureRow.path).where(FailureRow.path > bounds["after"], FailureRow.path < bounds["stop"])
    return first + _failures(connection, rest.order_by(FailureRow.path).limit(limit - len(first)))


def all_failures(connection: Connection) -> list[KnownFailure]:
    """The whole ledger, by path."""
    return _failures(connection, select(FailureRow.path).order_by(FailureRow.path))


def failures_to_retry(connection: Connection, kind: str | None = None) -> list[KnownFailure]:
    """Of the ledger one class, or all but the files that the space merely has no encoder for; by path.

    Raises: InvalidInput if there is no such class.
    """
    if kind is not None and kind not in FAILURES:
        raise InvalidInput(f"{kind!r} is not a failure class", hint=f"one of {', '.join(FAILURES)}")
    wanted = FailureRow.failure != NotEmbedded.failure if kind is None else FailureRow.failure == kind
    return _failures(connection, select(FailureRow.path).order_by(FailureRow.path).where(wanted))


def _failures(connection: Connection, query: Select[bytes]) -> list[KnownFailure]:
    row = FailureRow
    columns = query.join(Root, Root.id == row.root_id).with_only_columns(
        row.path, row.size, row.mtime_ns, row.failure, row.reason, row.attempts, row.version, Root.path.label("root"),
        maintain_column_froms=True,
    )  # fmt: skip
    rows: Any = connection.execute(columns)  # mypy counts the columns of a wide select wrongly
    return checked_paths([KnownFailure(*found) for found in rows])


def failure_counts(connection: Connection) -> dict[str, int]:
    """Failure class -> how many files."""
    query = select(FailureRow.failure, func.count()).group_by(FailureRow.failure).order_by(FailureRow.failure)
    return {failure: n for failure, n in connection.execute(query)}


def failures_at(connection: Connection, paths: Sequence[bytes]) -> dict[bytes, str]:
    """Failure class of those of the paths that are in the failure ledger."""
    found: dict[bytes, str] = {}
    for part in chunks(paths):
        query = select(FailureRow.path, FailureRow.failure).where(FailureRow.path.in_(part))
        found.update({row[0]: row[1] for row in connection.execute(query)})
    return found


def add_failures(
    connection: Connection, failures: Sequence[NewFailure], roots: dict[bytes, int], version: str
) -> Iterable[int]:
    """Write files that can't be taken in. Yields the contents that were known at their paths."""
    for failure in failures:
        if is_media_path(failure.path):
            # What its id holds stays: nobody took that away. Of its failures, the last under any name is told.
            folder = failure.path.rpartition(b"/")[0]
            others = delete(FailureRow).where(at_or_below(FailureRow.path, folder), FailureRow.path != failure.path)
            connection.execute(others)
        else:
            # What was known of an earlier file at this path no longer describes it.
            known = delete(ItemRow).where(ItemRow.path == failure.path).returning(ItemRow.content_id)
            if (before := connection.execute(known).scalar()) is not None:
                mark_traces(connection)
                yield before
        values = {
            "path": failure.path, "display": display_path(failure.path), "root_id": roots[failure.root],
            "size": failure.size, "mtime_ns": failure.mtime_ns, "failure": failure.failure,
            "reason": failure.reason, "attempts": 1, "version": version, "at": utc_now(),
        }  # fmt: skip
        statement = upsert(FailureRow).values(values)
        again = {**values, "attempts": FailureRow.attempts + 1}
        connection.execute(statement.on_conflict_do_update(index_elements=[FailureRow.path], set_=again))


def forget_failures_under(connection: Connection, path: bytes) -> int:
    """Drop the rows of the ledger at or below a path. Returns how many there were."""
    return connection.execute(delete(FailureRow).where(at_or_below(FailureRow.path, path))).rowcount


def forget_failures_at(connection: Connection, paths: Sequence[bytes]) -> int:
    """Drop the rows of the ledger at these paths. Returns how many there were."""
    statements = [delete(FailureRow).where(FailureRow.path.in_(part)) for part in chunks(paths)]
    return sum(connection.execute(statement).rowcount for statement in statements)


def forget_not_embedded(connection: Connection) -> int:
    """Drop the rows of files that the space merely had no encoder for. Returns how many there were."""
    return connection.execute(delete(FailureRow).where(FailureRow.failure == NotEmbedded.failure)).rowcount
