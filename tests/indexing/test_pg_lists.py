"""Lists that PostgreSQL searches by pgvector: the answers of FAISS's lists, bit for bit."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Connection

import mmsearch
from mmsearch.catalog import Batch, Catalog, ListKey, NewContent, Placement
from mmsearch.catalog.postgres import vectors
from mmsearch.catalog.postgres.connections import run
from mmsearch.core.filters import filter_of
from mmsearch.core.paths import default_library
from mmsearch.errors import InvalidInput
from mmsearch.indexing import pg_lists
from mmsearch.indexing.lists import Lists
from mmsearch.indexing.pg_lists import PgLists
from mmsearch.library import Library
from mmsearch.types import Span, Vectors
from tests.postgres_server import PostgresServer

DIM = 16
KEY = ListKey("bare", "image", "image")


@pytest.fixture
def address(postgres: PostgresServer, tmp_path: Path) -> str:
    return postgres.address(f"lists_{abs(hash(tmp_path))}")


@pytest.fixture
def catalog(address: str) -> Iterator[Catalog]:
    with closing(Catalog.open(default_library(address), "1", create=True)) as made:
        made.add_space("bare", "tests.tiny:space", DIM, "f" * 64)
        yield made


def add(catalog: Catalog, names: range) -> None:
    """Pictures of random vectors, each as wide as its number."""
    rows = np.random.default_rng(names.start).normal(size=(len(names), DIM)).astype(np.float32)
    batch = Batch()
    for number, row in zip(names, rows / np.linalg.norm(rows, axis=1, keepdims=True), strict=True):
        sha256, facts = f"{number:064d}", {"width": number, "height": 1}
        batch.contents.append(NewContent(sha256, "image", facts, ["image"], [Span()], row[np.newaxis]))
        batch.placements.append(Placement(f"/r/{number}.png".encode(), b"/r", sha256, 1, 1))
    catalog.commit(batch, 1)


def queries(count: int) -> Vectors:
    rows: Vectors = np.random.default_rng(99).normal(size=(count, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def both(catalog: Catalog, folder: Path, address: str) -> tuple[Lists, PgLists]:
    from mmsearch.catalog.spaces import active_space

    space = catalog.read(active_space)
    assert space is not None
    return Lists(catalog, folder / "faiss", space, "auto"), PgLists(catalog, folder / "pg", space, address)


def graph_scans(connection: Connection) -> int:
    """How often HNSW indexes were searched by this transaction."""
    query = (
        "SELECT sum(pg_stat_get_xact_numscans(i.indexrelid) + pg_stat_get_numscans(i.indexrelid)) FROM pg_index i "
        "WHERE i.indrelid = to_regclass('list_vectors') AND pg_get_indexdef(i.indexrelid) LIKE '%USING hnsw%'"
    )
    connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    return int(run(connection, query.replace("%", "%%"), {})[0][0])


def assert_same(theirs: PgLists, ours: Lists, k: int, rule: str | None = None) -> None:
    tree = None if rule is None else filter_of(rule)
    (found, sizes), (wanted, lengths) = (one.search(queries(3), k, filter=tree) for one in (theirs, ours))
    if rule is None:
        assert sizes == lengths
    assert found[KEY].ids.tolist() == wanted[KEY].ids.tolist()
    assert found[KEY].scores.tobytes() == wanted[KEY].scores.tobytes()


@pytest.mark.slow
def test_answers_are_those_of_faiss_whether_vectors_wait_or_not(catalog: Catalog, tmp_path: Path, address: str) -> None:
    add(catalog, range(1, 201))
    ours, theirs = both(catalog, tmp_path, address)
    space = theirs._space
    for step in ("all wait", "none", "some"):
        if step == "none":
            theirs.publish()
        if step == "some":
            add(catalog, range(201, 231))
        waiting = catalog.read(vectors.count_waiting, space)
        assert waiting == {"all wait": 200, "none": 0, "some": 30}[step]
        for rule in (None, "width < 4", "width < 80", "width < 190"):
            for k in (1, 10, 500):
                assert_same(theirs, ours, k, rule)


@pytest.mark.slow
def test_a_commit_is_found_at_once_and_what_is_gone_is_not(catalog: Catalog, tmp_path: Path, address: str) -> None:
    add(catalog, range(1, 41))
    ours, theirs = both(catalog, tmp_path, address)
    theirs.publish()
    catalog.remove(b"/r/7.png")
    assert theirs.sizes() == {KEY: 39}
    assert_same(theirs, ours, 40)


@pytest.mark.slow
@pytest.mark.extras
def test_an_index_serves_and_what_it_misses_is_compared(
    catalog: Catalog, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_lists, "GRAPH_FROM", 100)
    monkeypatch.setattr(pg_lists, "EXACT_MATCHES", 5)
    add(catalog, range(1, 301))
    ours, theirs = both(catalog, tmp_path, address)
    assert theirs.due() == [KEY]
    theirs.build(KEY)
    assert theirs.due() == []
    assert theirs.describe(KEY)["preset"] == "pgvector-hnsw"
    add(catalog, range(301, 311))
    for rule in (None, "width < 4", "width < 40", "width < 290"):
        assert_same(theirs, ours, 10, rule)
    with catalog.reading() as snapshot:
        vectors.propose(snapshot, theirs._space, KEY, queries(1)[0], 10, graph=True)
        assert graph_scans(snapshot) > 0
    assert [ids.tolist() for ids in theirs.compare_ids(KEY)] == [list(range(1, 311))] * 2
    assert theirs.count_wrong_scores(KEY, np.arange(1, 20)) == 0


@pytest.mark.slow
def test_lists_are_made_anew_from_the_catalog(catalog: Catalog, tmp_path: Path, address: str) -> None:
    add(catalog, range(1, 21))
    ours, theirs = both(catalog, tmp_path, address)
    theirs.publish()
    catalog.write(lambda connection: connection.exec_driver_sql("DELETE FROM list_vectors WHERE segment_id < 5"))
    assert [len(ids) for ids in theirs.compare_ids(KEY)] == [20, 16]
    theirs.reset(KEY)
    assert [len(ids) for ids in theirs.compare_ids(KEY)] == [20, 20]
    theirs.publish()
    assert_same(theirs, ours, 20)


def made_library(place: str | Path) -> Library:
    library = mmsearch.open(place, space="tests.tiny:space", workers=1, dedup=False, index="pgvector")
    library._context.trust.name("tests.tiny:space")
    return library


@pytest.mark.slow
@pytest.mark.extras
def test_a_library_searches_by_pgvector_and_leaves_no_files(tmp_path: Path, address: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for color in ("red", "blue"):
        Image.new("RGB", (32, 32), color).save(folder / f"{color}.png")
    with made_library(address) as library:
        library.ingest(folder)
        assert [hit.path.name for hit in library.search("red")][:1] == ["red.png"]
        (status,) = library.index.status()
        assert (status.preset, status.size) == ("pgvector", 2)
        assert [(check.size, check.wrong) for check in library.index.verify()] == [(2, ())]
        assert [(one.preset, one.published) for one in library.index.build()] == [("pgvector", True)]
        cache = library._context.store.cache
        assert not list((cache / "indexes").glob("**/*-*"))


@pytest.mark.slow
@pytest.mark.sqlite
def test_pgvector_is_refused_where_the_library_is_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (32, 32), "red").save(folder / "red.png")
    with (
        made_library(tmp_path / "library") as library,
        pytest.raises(InvalidInput, match="the index pgvector needs a library on a server") as caught,
    ):
        library.ingest(folder)
    assert "postgresql://" in str(caught.value.hint)
