"""Vectors as pgvector keeps them, beside the embeddings that stay the truth: a table made when it is first wanted.

A trigger notes every new embedding in the same transaction, whoever writes it; its vector is put in later. What still
waits for that is compared beside, so that each snapshot has all vectors of its commit.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from mmsearch.catalog import blobs
from mmsearch.catalog.database import raw_connection
from mmsearch.catalog.postgres.connections import driver_module, lock_key, open_connection, run, schema_of
from mmsearch.catalog.records import ListKey, SpaceRecord
from mmsearch.core.server_address import split_address
from mmsearch.errors import LibraryError, LibraryLocked
from mmsearch.types import Ids, Vectors

ROWS = 4096
"""Vectors put in with one statement."""

SEARCH_EFFORT = (100, 1000)
"""`hnsw.ef_search` is twice what is wanted, within these."""

_TABLE = """
CREATE TABLE list_vectors (
    space_id BIGINT NOT NULL, segment_id BIGINT NOT NULL, content_id BIGINT NOT NULL, item TEXT NOT NULL,
    segment TEXT NOT NULL, vector vector, PRIMARY KEY (space_id, segment_id),
    FOREIGN KEY (space_id, segment_id) REFERENCES embeddings (space_id, segment_id) ON DELETE CASCADE);
CREATE INDEX list_vectors_list ON list_vectors (space_id, item, segment);
CREATE INDEX list_vectors_waiting ON list_vectors (space_id, item, segment) WHERE vector IS NULL;
CREATE FUNCTION note_list_vectors() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN
    INSERT INTO list_vectors SELECT a.space_id, a.segment_id, c.id, c.modality, s.modality
    FROM added a JOIN segments s ON s.id = a.segment_id JOIN contents c ON c.id = s.content_id;
    RETURN NULL; END $$;
CREATE TRIGGER note_list_vectors AFTER INSERT ON embeddings REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION note_list_vectors()
"""

_NOTE_ALL = (
    "INSERT INTO list_vectors SELECT a.space_id, a.segment_id, c.id, c.modality, s.modality "
    "FROM embeddings a JOIN segments s ON s.id = a.segment_id JOIN contents c ON c.id = s.content_id"
)

_FINDABLE = "EXISTS (SELECT FROM items i WHERE i.content_id = l.content_id AND i.status = 'present')"
"""As `catalog.contents.FINDABLE`."""

_ONE_BY_ONE = "(SELECT true FROM items i WHERE i.content_id = l.content_id AND i.status = 'present' LIMIT 1)"
"""The same of each row that an HNSW index gives, in its order: a join of all would leave the index aside."""


def is_kept(connection: Connection) -> bool:
    """Whether the library has the table."""
    return bool(
        run(connection, "SELECT to_regclass(%s) IS NOT NULL", [f'"{schema_of(connection)}".list_vectors'])[0][0]
    )


def keep_vectors(connection: Connection) -> None:
    """Make the table, in a transaction that nobody writes beside. Raises: LibraryError where there is no pgvector."""
    if is_kept(connection):
        return
    if not run(connection, "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')")[0][0]:
        raise LibraryError(
            "the server has no pgvector",
            hint="install it there; or let FAISS search: MMSEARCH_INDEX=auto",
        )
    raw, psycopg = raw_connection(connection), driver_module()
    try:
        raw.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
    except psycopg.errors.InsufficientPrivilege as error:
        raise LibraryError(
            "this user may not make the extension pgvector in the database",
            hint="as a superuser, once: CREATE EXTENSION vector; or leave it to FAISS: MMSEARCH_INDEX=auto",
        ) from error
    raw.execute(_TABLE)
    raw.execute(_NOTE_ALL)


def fill_vectors(connection: Connection, space: SpaceRecord) -> int:
    """Put in some of the vectors of a space that wait. Returns how many."""
    rows = run(
        connection,
        "SELECT l.segment_id, e.vector FROM list_vectors l JOIN embeddings e USING (space_id, segment_id) "
        f"WHERE l.space_id = {space.id} AND l.vector IS NULL LIMIT {ROWS}",
    )
    if not rows:
        return 0
    raw = raw_connection(connection)
    raw.execute("CREATE TEMP TABLE filling (id BIGINT, vector vector) ON COMMIT DROP")
    with raw.cursor() as cursor, cursor.copy("COPY filling FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(_binary([row[0] for row in rows], blobs.whole([row[1] for row in rows], space.dim)))
    raw.execute(
        "UPDATE list_vectors l SET vector = f.vector FROM filling f "
        f"WHERE l.space_id = {space.id} AND l.segment_id = f.id"
    )
    return len(rows)


def _binary(ids: Sequence[int], vectors: Vectors) -> bytes:
    """Rows of an id and a vector, as COPY reads them."""
    dim = vectors.shape[1]
    layout = [("n", ">i2"), ("a", ">i4"), ("id", ">i8"), ("b", ">i4"), ("dim", ">i2"), ("z", ">i2"), ("v", ">f4", dim)]
    rows = np.zeros(len(ids), np.dtype(layout))
    rows["n"], rows["a"], rows["id"], rows["b"], rows["dim"], rows["v"] = 2, 8, ids, 4 + 4 * dim, dim, vectors
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff"


def note_again(connection: Connection, space: SpaceRecord) -> None:
    """Let all vectors of a space wait anew."""
    raw = raw_connection(connection)
    raw.execute(f"DELETE FROM list_vectors WHERE space_id = {space.id}")
    raw.execute(f"{_NOTE_ALL} WHERE a.space_id = {space.id}")


def count_waiting(connection: Connection, space: SpaceRecord) -> int:
    """Vectors of a space that are not put in yet."""
    query = f"SELECT count(*) FROM list_vectors WHERE space_id = {space.id} AND vector IS NULL"
    return int(run(connection, query)[0][0])


def count_findable(connection: Connection, space: SpaceRecord, key: ListKey) -> int:
    """Segments of a list that may be found."""
    return int(
        run(connection, f"SELECT count(*) FROM list_vectors l WHERE {_of_list(space, key)} AND {_FINDABLE}")[0][0]
    )


def findable_ids(connection: Connection, space: SpaceRecord, key: ListKey) -> Ids:
    """Their ids, int64 (n,), ascending."""
    found = run(connection, f"SELECT l.segment_id FROM list_vectors l WHERE {_of_list(space, key)} AND {_FINDABLE}")
    return np.sort(np.array([row[0] for row in found], np.int64))


def list_bytes(connection: Connection) -> int:
    """What the table and its indexes take."""
    return int(run(connection, "SELECT pg_total_relation_size('list_vectors')")[0][0])


def has_graph(connection: Connection, space: SpaceRecord, key: ListKey) -> bool:
    """Whether a list has an HNSW index that was built to its end."""
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
    return run(connection, query, [f'"{schema_of(connection)}".{_graph(space, key)}']) == [(True,)]


def propose(
    connection: Connection,
    space: SpaceRecord,
    key: ListKey,
    query: Vectors,
    count: int,
    *,
    among: Ids | None = None,
    graph: bool = False,
) -> tuple[Ids, Vectors]:
    """The `count` nearest of a list and what waits: ids (n,) and the catalog's vectors (n, dim), in no order.

    Args:
        among: These alone.
        graph: Ask the HNSW index, which may miss some; otherwise every vector is compared.
    """
    kind = f"halfvec({space.dim})" if graph else "vector"
    asked: dict[str, Any] = {"query": "[" + ",".join(map(repr, query.tolist())) + "]"}
    where = f"{_of_list(space, key)} AND {_ONE_BY_ONE if graph else _FINDABLE}"
    if among is not None:
        where, asked["among"] = f"{where} AND l.segment_id = ANY(%(among)s::bigint[])", among.tolist()
    if graph:
        effort = min(max(2 * count, SEARCH_EFFORT[0]), SEARCH_EFFORT[1])
        raw_connection(connection).execute(
            f"SET LOCAL hnsw.ef_search TO {effort}; SET LOCAL hnsw.iterative_scan TO strict_order; "
            "SET LOCAL enable_sort TO off"
        )
    # Read once: in a plan that is kept, a parameter would be made a vector again for each row.
    by = f"(l.vector::{kind}) <#> (SELECT %(query)s::{kind})" + ("" if graph else ", l.segment_id")
    near = f"SELECT l.segment_id FROM list_vectors l WHERE {where} AND l.vector IS NOT NULL ORDER BY {by} LIMIT {count}"
    waiting = f"SELECT l.segment_id FROM list_vectors l WHERE {where} AND l.vector IS NULL"
    rows = run(
        connection,
        f"WITH near AS MATERIALIZED (({near}) UNION ALL ({waiting})) SELECT e.segment_id, e.vector "
        f"FROM near n JOIN embeddings e ON e.space_id = {space.id} AND e.segment_id = n.segment_id",
        asked,
    )
    if graph:
        raw_connection(connection).execute("SET LOCAL enable_sort TO on")
    return np.array([row[0] for row in rows], np.int64), blobs.whole([row[1] for row in rows], space.dim)


def build_graph(place: str, space: SpaceRecord, key: ListKey) -> None:
    """Build a list's HNSW index anew while everybody reads and writes. Raises: LibraryLocked if somebody is at it."""
    conninfo, schema = split_address(place)
    name, lock = _graph(space, key), lock_key(schema, "graph")
    connection = open_connection(conninfo)
    try:
        connection.execute(f'SET search_path TO "{schema}", public')
        if not connection.execute(f"SELECT pg_try_advisory_lock({lock})").fetchone()[0]:
            raise LibraryLocked(
                "another process is building an index of this library", hint="wait until it is done; searching works"
            )
        # One that was left half done is invalid, and in the way.
        connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        connection.execute(
            f"CREATE INDEX CONCURRENTLY {name} ON list_vectors USING hnsw "
            f"((vector::halfvec({space.dim})) halfvec_ip_ops) WHERE {_of_list(space, key, table='')}"
        )
    finally:
        connection.close()


def _of_list(space: SpaceRecord, key: ListKey, table: str = "l.") -> str:
    """Which rows are a list's. In words, since an index of some rows serves no parameters."""
    item, segment = (name.replace("'", "''").replace("%", "%%") for name in (key.item, key.segment))
    return f"{table}space_id = {space.id} AND {table}item = '{item}' AND {table}segment = '{segment}'"


def _graph(space: SpaceRecord, key: ListKey) -> str:
    digest = hashlib.sha256(f"{key.item}/{key.segment}".encode()).hexdigest()[:12]
    return f"list_vectors_hnsw_{space.id}_{digest}"
