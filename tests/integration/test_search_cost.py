"""What a search asks the catalog, counted: each statement more is time that every search takes."""

from pathlib import Path

import numpy as np
import pytest

import mmsearch
from mmsearch.catalog import Batch, Catalog, NewContent, Placement, layouts
from mmsearch.catalog.database import driver
from mmsearch.library import Library
from mmsearch.types import Part, Query, Span, Stored, Vectors
from mmsearch.version import VERSION
from tests import tiny

ITEMS = 200


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Pictures of one segment each, no two alike."""
    space = tiny.space()
    catalog = Catalog.open(tmp_path, VERSION, create=True)
    record = catalog.add_space(space.name, "tests.tiny:space", space.dim, space.fingerprint, layouts.of(space))
    batch = Batch()
    for n, vector in enumerate(vectors(ITEMS)):
        batch.contents.append(NewContent(f"{n:064x}", "image", {"width": n}, ["image"], [Span()], vector[np.newaxis]))
        batch.placements.append(Placement(f"/media/{n:03}.jpg".encode(), b"/media", f"{n:064x}", n, 1))
    catalog.commit(batch, record.id)
    catalog.close()
    return mmsearch.open(tmp_path, space="tests.tiny:space", alike="image=0.999999")


def vectors(count: int) -> Vectors:
    rows = np.random.default_rng(3).normal(size=(count, tiny.DIM))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def asked(library: Library, k: int, where: str | None = None) -> list[str]:
    """The statements of one warm search by a vector, which needs no encoder."""
    query = Query(mixed=(Part("image", Stored(-1, Path("/elsewhere"), vectors(ITEMS + 1)[-1])),))
    library.search(query, k, where=where)
    seen: list[str] = []
    # The connection that was used last is used next.
    with library._parts.catalog().reading() as snapshot:
        driver(snapshot).set_trace_callback(seen.append)
    assert len(library.search(query, k, where=where)) == k
    with library._parts.catalog().reading() as snapshot:
        driver(snapshot).set_trace_callback(None)
    return [statement for statement in seen if not statement.startswith(("BEGIN", "ROLLBACK"))]


def test_a_search_asks_thirteen_short_questions(library: Library) -> None:
    with library:
        assert len(asked(library, 10)) == 13


def test_and_no_more_of_them_for_a_longer_answer(library: Library) -> None:
    with library:
        assert len(asked(library, 100)) == len(asked(library, 10))
