"""What a search asks the catalog, counted: each statement more is time that every search takes."""

from pathlib import Path

import numpy as np
import pytest

import mmsearch
from mmsearch.catalog import Batch, Catalog, NewContent, Placement, layouts
from mmsearch.catalog.database import driver
from mmsearch.catalog.spaces import active_space
from mmsearch.core.version import VERSION
from mmsearch.library import Library
from mmsearch.types import Query, QueryPart, Span, StoredVector, Vectors
from tests import tiny

ITEMS = 200


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return filled(tmp_path, ITEMS)


def filled(folder: Path, items: int, index: str = "auto") -> Library:
    """Pictures of one segment each, no two alike."""
    space = tiny.space()
    catalog = Catalog.open(folder, VERSION, create=True)
    record = catalog.add_space(space.name, "tests.tiny:space", space.dim, space.fingerprint, layouts.layout_of(space))
    batch = Batch()
    for n, vector in enumerate(vectors(items)):
        batch.contents.append(NewContent(f"{n:064x}", "image", {"width": n}, ["image"], [Span()], vector[np.newaxis]))
        batch.placements.append(Placement(f"/media/{n:03}.jpg".encode(), b"/media", f"{n:064x}", n, 1))
    catalog.commit(batch, record.id)
    catalog.close()
    return mmsearch.open(folder, space="tests.tiny:space", similarity={"image": 0.999999}, index=index)


def vectors(count: int) -> Vectors:
    rows = np.random.default_rng(3).normal(size=(count, tiny.DIM))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def query() -> Query:
    """A vector, which needs no encoder."""
    return Query(mixed=(QueryPart("image", StoredVector(-1, Path("/elsewhere"), vectors(ITEMS + 1)[-1])),))


def asked(library: Library, k: int, where: str | None = None, *, warm: bool = True) -> list[str]:
    """The statements of one search, by default of one that was made before."""
    library.search(query(), k, filter=where if warm else None)
    seen: list[str] = []
    # The connection that was used last is used next.
    with library._context.catalog().reading() as snapshot:
        driver(snapshot).set_trace_callback(seen.append)
    assert len(library.search(query(), k, filter=where)) == k
    with library._context.catalog().reading() as snapshot:
        driver(snapshot).set_trace_callback(None)
    return [statement for statement in seen if not statement.startswith(("BEGIN", "ROLLBACK"))]


def test_a_search_runs_fourteen_statements(library: Library) -> None:
    with library:
        assert len(asked(library, 10)) == 14


def test_a_longer_answer_asks_the_catalog_no_more_often(library: Library) -> None:
    with library:
        assert len(asked(library, 100)) == len(asked(library, 10))


def test_dedup_does_not_read_again_the_vectors_that_were_scored(tmp_path: Path) -> None:
    with filled(tmp_path, 1200, "ivf-sq8") as library:
        library.search(query())
        library._context.builder().build_outgrown()
        assert [one.preset for one in library.index.status()] == ["ivf-sq8"]
        assert len([one for one in asked(library, 10) if "embeddings.vector" in one]) == 1


def test_a_repeated_filter_is_resolved_once(library: Library) -> None:
    def selections(statements: list[str]) -> list[str]:
        return [one for one in statements if "items.size <" in one and "json_each" not in one]

    with library:
        library.search(query())  # publishes the indexes, which is a commit
        assert len(selections(asked(library, 10, "size < 20", warm=False))) == 1
        assert len(selections(asked(library, 10, "size < 20", warm=False))) == 0
        assert len(selections(asked(library, 10, "size < 21", warm=False))) == 1


def test_a_commit_makes_a_filter_be_resolved_again(library: Library) -> None:
    with library:
        before = library.search(query(), ITEMS, filter="size < 20", dedup=False)
        assert len(before) == 20
        catalog = library._context.catalog()
        space = catalog.read(active_space)
        assert space is not None
        place = Placement(b"/media/new.jpg", b"/media", f"{ITEMS - 1:064x}", 3, 1)
        catalog.commit(Batch(placements=[place]), space.id)
        after = library.search(query(), ITEMS, filter="size < 20", dedup=False)
        assert {hit.path for hit in after} - {hit.path for hit in before} == {Path("/media/new.jpg")}
