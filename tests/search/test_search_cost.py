"""What a search asks the catalog, counted: each statement more is time that every search takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmsearch
from mmsearch.catalog import Batch, Catalog, ListKey, NewContent, Placement, layouts
from mmsearch.catalog.commits import Outdated, current_commit
from mmsearch.catalog.database import driver
from mmsearch.catalog.spaces import active_space
from mmsearch.core.version import VERSION
from mmsearch.errors import CatalogDamaged
from mmsearch.library import Library
from mmsearch.search import pipeline
from mmsearch.search import query as queries
from mmsearch.search import vector as retrieval
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
    return [one for one in traced(library, k, where) if not one.startswith(("BEGIN", "COMMIT"))]


def traced(library: Library, k: int, where: str | None = None) -> list[str]:
    """The statements of one search, on whatever connection."""
    seen: list[str] = []
    idle = library._context.catalog()._readers._idle
    for connection in idle:
        driver(connection).set_trace_callback(seen.append)
    assert len(library.search(query(), k, filter=where)) == k
    for connection in idle:
        driver(connection).set_trace_callback(None)
    return seen


def test_a_search_runs_six_statements(library: Library) -> None:
    with library:
        statements = asked(library, 10)
        assert len(statements) == 6
        # Whose the segments are, which belong together and what each item holds is known beside the index.
        assert not [one for one in statements if "JOIN items" in one or "bundle" in one or "GROUP BY" in one]


def test_a_search_opens_two_snapshots(library: Library) -> None:
    with library:
        library.search(query())
        assert traced(library, 10).count("BEGIN") == 2


def test_what_is_held_is_one_state_while_others_commit(library: Library) -> None:
    with library:
        catalog = library._context.catalog()
        before = catalog.read(current_commit)
        with catalog.hold():
            assert catalog.read(current_commit) == before
            catalog.annotate([1], ["red"])
            with catalog.latest() as snapshot:
                assert current_commit(snapshot).generation == before.generation + 1
            assert catalog.read(current_commit) == before
            with pytest.raises(CatalogDamaged):
                catalog.read(lambda snapshot: snapshot.exec_driver_sql("SELECT nothing FROM nowhere"))
        assert catalog.read(current_commit).generation == before.generation + 1


def test_a_search_sees_no_commit_that_comes_while_it_is_made(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with library:
        catalog = library._context.catalog()
        space = catalog.read(active_space)
        assert space is not None
        first = library.search(query(), dedup=False)
        rank = retrieval._items_by_list
        asked: list[Any] = []

        def moved(*given: Any) -> Any:
            if not asked:  # the first time, between the list and what is shown of it
                place = Placement(b"/media/moved.jpg", b"/media", f"{first[0].rank - 1:064x}", 0, 1)
                catalog.commit(Batch(placements=[place], missing=[(first[0].item_id, bytes(first[0].path))]), space.id)
            asked.append(True)
            return rank(*given)

        monkeypatch.setattr(retrieval, "_items_by_list", moved)
        # It is of the commit that it began with, from its beginning to its end; the next one is of the new commit.
        assert library.search(query(), dedup=False) == first
        assert len(asked) == 1
        assert first[0].path not in [hit.path for hit in library.search(query(), dedup=False)]


def test_a_search_is_made_anew_where_a_commit_comes_before_it_reads(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    with library:
        catalog = library._context.catalog()
        space = catalog.read(active_space)
        assert space is not None
        first = library.search(query(), dedup=False)
        embed, asked = queries.embed_for_search, list[Any]()

        def moved(*given: Any) -> Any:
            if not asked:  # while words are encoded, for example
                catalog.commit(Batch(missing=[(first[0].item_id, bytes(first[0].path))]), space.id)
            asked.append(True)
            return embed(*given)

        monkeypatch.setattr(pipeline, "embed_for_search", moved)
        second = library.search(query(), dedup=False)
        assert len(asked) == 2
        assert [hit.item_id for hit in second[:9]] == [hit.item_id for hit in first[1:]]


def test_lists_that_another_thread_brought_further_are_not_mixed_with_the_past(library: Library) -> None:
    with library:
        catalog, lists = library._context.catalog(), library._context.indexes()
        space = catalog.read(active_space)
        assert space is not None
        library.search(query())
        with catalog.hold():
            catalog.read(current_commit)
            catalog.commit(Batch(missing=[(1, b"/media/000.jpg")]), space.id)
            lists.refresh()
            with pytest.raises(Outdated):
                lists.search(vectors(1), 5)
        assert lists.search(vectors(1), 5)[1] == {ListKey("tiny", "image", "image"): ITEMS - 1}


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
