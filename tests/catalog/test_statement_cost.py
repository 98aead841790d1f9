"""What is asked of a few rows costs as much in a large catalog as in a small one: steps of SQLite, counted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import insert

from mmsearch.catalog import Batch, Catalog, ListKey, NewContent, Placement, Snapshot, words
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.database import driver, writing
from mmsearch.catalog.file_groups import group_members
from mmsearch.catalog.items import present_files
from mmsearch.catalog.lists import list_changes
from mmsearch.catalog.owners import changed_owners
from mmsearch.catalog.segments import resolve_segments
from mmsearch.catalog.selections import selected_segments, selected_share
from mmsearch.catalog.tables import Tag
from mmsearch.core.filters.parser import parse
from mmsearch.types import Span

KEY = ListKey("tiny", "image", "image")
SMALL, LARGE = 200, 1600
IDS = np.arange(1, SMALL, 5, dtype=np.int64)
FILTERS = (
    "modality = image", "modality in (image, video)", "not modality = text", "modality contains im", "name != x",
    "root = /media", "root glob '/m*'", "path glob '/media/*'", "folder glob '/media*'", "folder != /x", "size >= 0",
    "duration >= 0", "taken > 1990", "modified < 2050", "camera contains D", "title is missing", "tag = all",
    "not tag = none", "tag glob 'a*'", "within(40, 8, 90, 9)", "modality = image and size >= 0",
)  # fmt: skip
"""One for each index that SQLite might begin with instead; all or nearly all pictures match."""


def filled(folder: Path, count: int) -> Catalog:
    """Pictures of one segment each, which have the same words and facts but for their numbers."""
    folder.mkdir()
    catalog = Catalog.open(folder, "1", create=True)
    space = catalog.add_space("tiny", "tests.tiny:space", 4, "f", "l")
    for first, stop in ((0, count - 10), (count - 10, count)):
        batch = Batch()
        for n in range(first, stop):
            facts = {"duration": 1.0, "model": "D", "taken": "2000-01-01T00:00:00", "gps": [47.0, 8.5]}
            content = NewContent(f"{n:064x}", "image", facts, ["image"], [Span()], np.eye(4, dtype=np.float32)[[0]])
            batch.contents.append(content)
            batch.placements.append(Placement(f"/media/n{n:06}.jpg".encode(), b"/media", f"{n:064x}", 1, 1))
        catalog.commit(batch, space.id)
    with writing(catalog._engine) as connection:
        connection.execute(insert(Tag), [{"content_id": n + 1, "tag": "all"} for n in range(count)])
    return catalog


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Catalog]:
    place = tmp_path_factory.mktemp("cost")
    return filled(place / "small", SMALL), filled(place / "large", LARGE)


def steps(catalog: Catalog, work: Callable[[Snapshot], object]) -> int:
    """Tens of instructions of SQLite's machine."""
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1

    with catalog.reading() as snapshot:
        work(snapshot)  # the first time it looks at the schema, too
        driver(snapshot).set_progress_handler(count, 10)
        try:
            work(snapshot)
        finally:
            driver(snapshot).set_progress_handler(None, 10)
    return counted


def forgetful(snapshot: Snapshot) -> Snapshot:
    """Without what it has found out of filters before."""
    snapshot.info.pop("selected", None)
    return snapshot


def check(catalogs: tuple[Catalog, Catalog], work: Callable[[Snapshot], object]) -> None:
    small, large = (steps(catalog, work) for catalog in catalogs)
    assert 0 < large <= 1.5 * small, f"{LARGE // SMALL} times the files, {large / small:.1f} times the steps"


@pytest.mark.slow
@pytest.mark.parametrize("text", FILTERS)
def test_a_filter_over_a_few_known_rows_reads_no_others(catalogs: tuple[Catalog, Catalog], text: str) -> None:
    asked = parse(text)
    check(catalogs, lambda snapshot: selected_share(forgetful(snapshot), asked, KEY))
    check(catalogs, lambda snapshot: resolve_segments(snapshot, IDS, asked))
    check(catalogs, lambda snapshot: group_members(snapshot, IDS.tolist(), None, asked))
    check(catalogs, lambda snapshot: present_files(snapshot, IDS.tolist(), asked))
    check(catalogs, lambda snapshot: words.search_words(snapshot, "n000123", 10, None, asked))
    for catalog in catalogs:
        with catalog.reading() as snapshot:
            assert selected_share(snapshot, asked, KEY) == 1.0
            assert len(resolve_segments(snapshot, IDS, asked)) == len(IDS)
            assert [row.path for row in words.search_words(snapshot, "n000123", 10, None, asked)] == [
                b"/media/n000123.jpg"
            ]


def test_a_filter_by_path_reads_no_other_items_where_all_are_of_one_kind(catalogs: tuple[Catalog, Catalog]) -> None:
    asked = parse("path glob '/media/n00001*'")
    check(catalogs, lambda snapshot: selected_segments(forgetful(snapshot), asked, KEY))
    for catalog in catalogs:
        with catalog.reading() as snapshot:
            assert selected_segments(snapshot, asked, KEY).tolist() == list(range(11, 21))  # type: ignore[union-attr]


def test_a_keyword_search_of_one_modality_reads_no_other_rows(catalogs: tuple[Catalog, Catalog]) -> None:
    check(catalogs, lambda snapshot: words.search_words(snapshot, "n000123", 10, ["image"]))


def test_replaying_changes_costs_only_what_changed(catalogs: tuple[Catalog, Catalog]) -> None:
    def caught_up(snapshot: Snapshot) -> list[int]:
        generation = current_commit(snapshot).generation
        return [number for change in list_changes(snapshot, KEY, 4, generation - 1) for number in change.ids.tolist()]

    check(catalogs, caught_up)
    for catalog, count in zip(catalogs, (SMALL, LARGE), strict=True):
        with catalog.reading() as snapshot:
            assert sorted(caught_up(snapshot)) == list(range(count - 9, count + 1))


def test_catching_up_with_owners_costs_only_what_changed(catalogs: tuple[Catalog, Catalog]) -> None:
    def caught_up(snapshot: Snapshot) -> list[int]:
        generation = current_commit(snapshot).generation
        found: list[int] = changed_owners(snapshot, KEY, generation - 1)[0].segments.tolist()
        return found

    check(catalogs, caught_up)
    for catalog, count in zip(catalogs, (SMALL, LARGE), strict=True):
        with catalog.reading() as snapshot:
            assert caught_up(snapshot) == list(range(count - 9, count + 1))


def test_a_filter_of_contents_reads_each_content_once(catalogs: tuple[Catalog, Catalog]) -> None:
    asked, (_, catalog) = parse("width < 300"), catalogs
    owned = steps(catalog, lambda snapshot: selected_segments(forgetful(snapshot), asked, KEY, lambda ids: ids))
    alone = steps(catalog, lambda snapshot: selected_segments(forgetful(snapshot), asked, KEY))
    # Ten of SQLite's instructions are a step.
    assert owned < LARGE
    assert owned < 0.55 * alone
