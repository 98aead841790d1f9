"""Whose segments are: beside the index, in step with the catalog, a cache of it."""

from pathlib import Path

import numpy as np
import pytest

from mmsearch.catalog import Batch, Catalog, ListKey, NewContent, Placement, SpaceRecord
from mmsearch.catalog.items import items_at
from mmsearch.catalog.spaces import active_space
from mmsearch.indexing.owners import SUFFIX, Owner, Owners, read_owners
from mmsearch.library import Library
from mmsearch.types import Span
from tests.search.test_search_cost import ITEMS, filled, query, vectors

KEY = ListKey("tiny", "image", "image")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return filled(tmp_path, ITEMS)


def catalog_of(library: Library) -> tuple[Catalog, SpaceRecord]:
    catalog = library._context.catalog()
    space = catalog.read(active_space)
    assert space is not None
    return catalog, space


def owners_now(library: Library) -> tuple[Owners, Owners]:
    """Those that a search would use, and those that are read anew."""
    lists = library._context.indexes()
    lists.refresh()
    found = lists.owners(KEY)
    assert found is not None
    with library._context.catalog().reading() as snapshot:
        return found, read_owners(snapshot, KEY)


def place(path: str, number: int) -> Placement:
    return Placement(path.encode(), b"/media", f"{number:064x}", 1, 1)


def test_of_a_picture_its_content_and_item_are_known(library: Library) -> None:
    with library:
        found, _ = owners_now(library)
        assert found.of(np.array([1, 200, 999])) == [Owner(1, 1, True, True), Owner(200, 200, True, True), None]


def test_every_change_of_items_is_caught_up_with(library: Library) -> None:
    with library:
        catalog, space = catalog_of(library)
        owners_now(library)
        changes = [
            Batch(placements=[place("/media/copy.jpg", 3)]),  # a second item of a content
            Batch(placements=[place("/media/004.png", 9)]),  # joins 004.jpg's group, by another content
            Batch(missing=[(7, b"/media/006.jpg")]),
            Batch(placements=[_moved(11, 12)]),
            Batch(contents=[_video(500)], placements=[place("/media/005.mp4", 500)]),  # joins 005.jpg, in another list
            Batch(placements=[place("/media/020.jpg", 21)]),  # the path holds another content now
        ]
        for change in changes:
            catalog.commit(change, space.id)
            found, fresh = owners_now(library)
            assert found.commit == fresh.commit
            for segment in fresh.segments.tolist():
                (one,), (other,) = found.of(np.array([segment])), fresh.of(np.array([segment]))
                assert one == other
        assert found.of(np.array([4, 5, 6])) == [
            Owner(4, -1, True, True),
            Owner(5, 5, False, True),
            Owner(6, 6, False, True),
        ]


def _moved(number: int, item_id: int) -> Placement:
    return Placement(b"/media/moved.jpg", b"/media", f"{number:064x}", 1, 1, moved=item_id)


def _video(number: int) -> NewContent:
    rows = vectors(ITEMS + 2)[-2:]
    return NewContent(f"{number:064x}", "video", {}, ["image", "image"], [Span(0.0, 1.0), Span(1.0, 2.0)], rows)


def test_a_content_of_several_segments_is_not_single(library: Library) -> None:
    with library:
        catalog, space = catalog_of(library)
        catalog.commit(Batch(contents=[_video(500)], placements=[place("/media/film.mp4", 500)]), space.id)
        lists = library._context.indexes()
        lists.refresh()
        found = lists.owners(ListKey("tiny", "video", "image"))
        assert found is not None
        assert found.of(np.array([201, 202])) == [Owner(201, 201, True, False)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "foreign"])
def test_a_file_that_is_no_good_is_made_anew(tmp_path: Path, damage: str) -> None:
    with filled(tmp_path, ITEMS) as library:
        library.search(query())
        path = library._context.indexes().owner_files.path(KEY)
        right = [hit.path for hit in library.search(query())]
    content = path.read_bytes()
    assert path.name.endswith(SUFFIX)
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    else:
        path.write_bytes(path.with_name(path.name.removesuffix(SUFFIX)).read_bytes())
    with filled_again(tmp_path) as library:
        found, fresh = owners_now(library)
        assert found.table.tolist() == fresh.table.tolist()
        assert [hit.path for hit in library.search(query())] == right
        with library._context.writing():
            library._context.indexes().publish()
    if damage != "missing":
        assert path.read_bytes() == content


def filled_again(folder: Path) -> Library:
    import mmsearch

    return mmsearch.open(folder, space="tests.tiny:space", similarity={"image": 0.999999})


def test_the_file_holds_no_path_and_nothing_of_what_is_gone(tmp_path: Path) -> None:
    with filled(tmp_path, ITEMS) as library:
        library.search(query())
        path = library._context.indexes().owner_files.path(KEY)
        assert b"media" not in path.read_bytes()
        library.remove("/media/007.jpg")
        assert Owners.load(path, 4).of(np.array([8])) == [None]
        assert Owners.load(path, 4).of(np.array([9])) == [Owner(9, 9, True, True)]


def test_answers_are_the_same_without_them(library: Library) -> None:
    with library:
        catalog, space = catalog_of(library)
        same = [NewContent(f"{n:064x}", "image", {}, ["image"], [Span()], vectors(1)) for n in (600, 601)]
        paths = [place("/media/b.jpg", 600), place("/media/a.jpg", 601), place("/media/c.jpg", 601)]
        catalog.commit(Batch(contents=same, placements=paths), space.id)
        with_them = library.search(query(), 50), library.search(query(), 50, dedup=False)
        files = library._context.indexes().owner_files
        files._owners[KEY] = None
        assert (library.search(query(), 50), library.search(query(), 50, dedup=False)) == with_them
        assert catalog.read(items_at, [b"/media/a.jpg"])
