"""A whole catalog copied into another one, of either engine: ids, generations and vectors stay what they are.

The copy says that it is one in the making until its last transaction, and of which commit. Whoever goes on with it
later copies what is missing, if the source is what it was, or begins anew.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, delete, func, select, tuple_, update

from mmsearch.catalog.commits import current_commit, library_uuid
from mmsearch.catalog.dialect import dialect_of
from mmsearch.catalog.store import Catalog
from mmsearch.catalog.tables import Base, Embedding, LibraryRow
from mmsearch.errors import CatalogDamaged, InvalidInput

ROWS = 5000
"""Rows copied in one transaction."""

MOVING = "moving "
"""Begins what a copy in the making has for the version that made it; then comes the commit that it is of."""

OnTable = Callable[[str, int], None]
"""Called with the name of a table and how many rows of it are there."""


class Moved(NamedTuple):
    """What was copied, counted at both ends."""

    rows: dict[str, int]
    """Of each table."""
    vectors: str
    """sha256 of all vectors with their ids, the same at both ends."""


def copy_into(source: Catalog, target: Catalog, on_table: OnTable = lambda name, rows: None) -> Moved:
    """Copy all of a catalog into an empty one, or go on with it. The source is only read, as of one commit.

    Raises: InvalidInput if the target holds another library, CatalogDamaged if it isn't the same in the end.
    """
    with source.latest() as snapshot:
        commit = current_commit(snapshot)
        mark = f"{MOVING}{commit.generation}-{commit.commit_id}"
        _begin(snapshot, target, mark)
        for table in _tables():
            _copy_table(snapshot, target, table, on_table)
        moved = _compared(snapshot, target)
        library = snapshot.execute(select(*LibraryRow.__table__.columns)).one()._asdict()
        target.write(_finish, library)
    return moved


def is_unfinished(connection: Connection) -> bool:
    """Whether a catalog is a copy in the making."""
    version = connection.execute(select(LibraryRow.version)).scalar()
    return version is not None and version.startswith(MOVING)


def _tables() -> list[Table]:
    return [table for table in Base.metadata.sorted_tables if table.name != "library"]


def _begin(snapshot: Connection, target: Catalog, mark: str) -> None:
    """Raises: InvalidInput."""
    with target.reading() as there:
        version = str(there.execute(select(LibraryRow.version)).scalar_one())
        used = current_commit(there).generation > 0 or any(_count(there, table) for table in _tables())
    if version == mark:
        return
    if used and not version.startswith(MOVING):
        raise InvalidInput(
            f"there is a library at {target.store.name} already", hint="name an empty folder, or another schema"
        )
    target.write(_empty, mark, library_uuid(snapshot))


def _empty(connection: Connection, mark: str, uuid: str) -> None:
    for table in reversed(_tables()):
        connection.execute(delete(table))
    connection.execute(update(LibraryRow).values(version=mark, uuid=uuid, generation=0, floor=0, space_id=None))


def _finish(connection: Connection, library: dict[str, Any]) -> None:
    dialect_of(connection).after_copy(connection, [table.name for table in _tables()])
    connection.execute(update(LibraryRow).values(library))


def _copy_table(snapshot: Connection, target: Catalog, table: Table, on_table: OnTable) -> None:
    key = list(table.primary_key.columns)
    with target.reading() as there:
        # In the order of the key: what is there is its beginning.
        rows = _count(there, table)
        last = there.execute(select(*key).order_by(*(one.desc() for one in key)).limit(1)).first()
    query = select(table).order_by(*key)
    if last is not None:
        query = query.where(tuple_(*key) > tuple_(*last))
    found = iter(snapshot.execute(query.execution_options(yield_per=ROWS)))
    while page := [tuple(row) for row in islice(found, ROWS)]:
        target.write(_write_rows, table, page)
        rows += len(page)
        on_table(table.name, rows)


def _write_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    keys = [column.key for column in table.columns]
    dialect_of(connection).insert_rows(connection, table, [dict(zip(keys, row, strict=True)) for row in rows])


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _compared(snapshot: Connection, target: Catalog) -> Moved:
    """Raises: CatalogDamaged where the two differ."""
    with target.reading() as there:
        here = {table.name: _count(snapshot, table) for table in _tables()}
        copied = {table.name: _count(there, table) for table in _tables()}
        hashes = [_hash_of_vectors(connection) for connection in (snapshot, there)]
    if here != copied or hashes[0] != hashes[1]:
        other = sorted(name for name in here if here[name] != copied[name]) or ["embeddings"]
        raise CatalogDamaged(
            f"the copy at {target.store.name} differs in: {', '.join(other)}", hint="remove it, and move again"
        )
    return Moved(copied, hashes[0])


def _hash_of_vectors(connection: Connection) -> str:
    digest = hashlib.sha256()
    for space, segment, vector in _vectors(connection):
        digest.update(b"%d %d " % (space, segment))
        digest.update(vector)
    return digest.hexdigest()


def _vectors(connection: Connection) -> Iterator[tuple[int, int, bytes]]:
    query = select(Embedding.space_id, Embedding.segment_id, Embedding.vector)
    query = query.order_by(Embedding.space_id, Embedding.segment_id)
    rows: Any = connection.execute(query.execution_options(yield_per=ROWS))
    yield from rows
