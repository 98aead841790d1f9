"""Contents that two spaces cut differently, or alike: what each reader of segments sees of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmsearch.catalog import Batch, Catalog, ListKey, NewContent, NewUnsupported, Placement, SpaceRecord, layouts, words
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.contents import counts_by_modality
from mmsearch.catalog.embeddings import count_missing_embeddings, missing_embeddings
from mmsearch.catalog.file_groups import file_texts
from mmsearch.catalog.segments import hit_details, item_outlines, segment_ids_of
from mmsearch.catalog.selections import selected_segments
from mmsearch.catalog.spaces import all_spaces, backfilled_at
from mmsearch.core.filters.ast import Comparison
from mmsearch.errors import LibraryError
from mmsearch.indexing.lists import Lists
from mmsearch.types import Span, Vectors, Windowing
from tests import model_spaces, tiny

KEY = ListKey("one", "text", "text")
OTHER = ListKey("other", "text", "text")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = Catalog.open(tmp_path, "1", create=True)
    made.add_space("one", "tests.tiny:space", 4, "f", "long")
    return made


def content(name: str, *passages: str) -> NewContent:
    vectors: Vectors = np.eye(4, dtype=np.float32)[: len(passages)]
    spans = [Span(char_start=10 * at, char_end=10 * at + 9, text=text) for at, text in enumerate(passages)]
    return NewContent(name, "text", {}, ["text"] * len(passages), spans, vectors)


def take_in(catalog: Catalog, *contents: NewContent) -> None:
    places = [Placement(f"/r/{one.sha256}".encode(), b"/r", one.sha256, 1, 2) for one in contents]
    catalog.commit(Batch(list(contents), places), 1)


def lacking(catalog: Catalog, space: SpaceRecord) -> list[str]:
    with catalog.reading() as snapshot:
        found = sorted(one.sha256 for one in missing_embeddings(snapshot, space, -1, 100))
        assert count_missing_embeddings(snapshot, space) == len(found)
    return found


def found(catalog: Catalog, query: str) -> list[str | None]:
    with catalog.reading() as snapshot:
        passages = [row.segment_id for row in words.search_words(snapshot, query, 10) if row.segment_id is not None]
        spans = hit_details(snapshot, [], passages).spans
        return [spans[passage].text for passage in passages]


def in_index(catalog: Catalog, folder: Path, space: SpaceRecord) -> int:
    return sum(Lists(catalog, folder, space, "flat").sizes().values())


def test_the_windows_and_modalities_of_a_space_decide_its_layout() -> None:
    space = tiny.space()
    assert layouts.layout_of(space) == layouts.layout_of(model_spaces.twin()) == layouts.layout_of(tiny.other_weights())
    assert layouts.layout_of(space) == layouts.layout_of(replace(space, windowing=Windowing(image_side=900)))
    assert len({layouts.layout_of(one) for one in (space, model_spaces.wide(), model_spaces.mute())}) == 3


def test_reads_are_limited_to_the_segments_of_the_layout_of_their_space(catalog: Catalog) -> None:
    take_in(catalog, content("a", "boats at sea, and a lantern"), content("b", "a valley"))
    other = catalog.add_space("other", "t", 4, "g", "short")
    catalog.backfill(other, [content("a", "boats at sea", "and a lantern"), content("b", "a valley")], [])
    one = catalog.read(all_spaces)[0]
    where = Comparison("size", ">", 0)
    with catalog.reading() as snapshot:
        for space, key, passages in ((one, KEY, 1), (other, OTHER, 2)):
            assert [len(ids["text"]) for ids in segment_ids_of(snapshot, space, [1, 2]).values()] == [
                passages,
                1,
            ]
            shapes = sorted(item_outlines(snapshot, space, [1, 2]), key=lambda shape: shape.item_id)
            assert [shape.counts for shape in shapes] == [(("text", passages),), (("text", 1),)]
            ids = selected_segments(snapshot, where, key)
            assert ids is not None and len(ids) == passages + 1
            assert [c.segments for c in counts_by_modality(snapshot, space.name)] == [passages + 1]
        assert [(file.path, file.texts) for file in file_texts(snapshot)] == []
    assert found(catalog, "lantern") == ["boats at sea, and a lantern"]
    catalog.activate(other)
    assert found(catalog, "lantern") == ["and a lantern"]
    catalog.drop_space(one)
    assert found(catalog, "lantern") == ["and a lantern"] and found(catalog, "valley") == ["a valley"]
    with catalog.reading() as snapshot:
        kept = snapshot.exec_driver_sql("SELECT count(*), count(DISTINCT layout) FROM segments").one()
        assert tuple(kept) == (3, 1)


def test_backfill_adds_only_the_missing_embeddings(catalog: Catalog, tmp_path: Path) -> None:
    take_in(catalog, content("a", "x"), content("b", "y"), content("c", "z"))
    one, twin = catalog.read(all_spaces)[0], catalog.add_space("twin", "t", 4, "g", "long")
    assert lacking(catalog, twin) == ["a", "b", "c"] and lacking(catalog, one) == []
    held = Lists(catalog, tmp_path, twin, "flat")
    catalog.backfill(
        twin, [content("a", "x"), content("never heard of", "w")], [NewUnsupported("c", "limit", "too large")]
    )
    assert lacking(catalog, twin) == ["b"] and sum(held.sizes().values()) == 1
    catalog.remove(b"/r/a")
    take_in(catalog, content("a", "x"))
    assert lacking(catalog, twin) == ["a", "b"], "its vectors went with it"
    assert catalog.backfill(twin, [content("b", "y", "more of it")], []) == 1, "another release cuts it otherwise"
    catalog.forget_unsupported(twin)
    assert lacking(catalog, twin) == ["a", "b", "c"]
    before = catalog.read(current_commit)[:2]
    catalog.backfill(twin, [content(name, text) for name, text in (("a", "x"), ("b", "y"), ("c", "z"))], [])
    catalog.backfill(twin, [content("c", "z")], [])
    assert catalog.read(current_commit)[:2] == (before[0] + 1, before[1]) and lacking(catalog, twin) == []
    assert sum(held.sizes().values()) == in_index(catalog, tmp_path, twin) == 3, "an index of before looks for them"
    catalog.drop_space(twin)
    with pytest.raises(LibraryError, match="dropped meanwhile"):
        catalog.backfill(twin, [content("a", "x")], [])


def passages(catalog: Catalog, space_id: int) -> Sequence[str]:
    query = "SELECT text FROM segments JOIN embeddings ON segment_id = id WHERE space_id = ? ORDER BY id"
    with catalog.reading() as snapshot:
        return [str(row[0]) for row in snapshot.exec_driver_sql(query, (space_id,))]


@pytest.mark.sqlite
def test_a_file_ingested_again_may_get_other_segments(catalog: Catalog, tmp_path: Path) -> None:
    """As when it was away while the library got another model, and another release reads it."""
    take_in(catalog, content("a", "x"), content("b", "y"))
    twin = catalog.add_space("twin", "t", 4, "g", "long")
    catalog.backfill(twin, [content("b", "y")], [])
    held = Lists(catalog, tmp_path, catalog.read(all_spaces)[0], "flat")
    assert sum(held.sizes().values()) == 2
    catalog.activate(twin)
    catalog.commit(Batch([content("a", "x1", "x2")], [Placement(b"/r/a", b"/r", "a", 1, 2)]), twin.id)
    assert (passages(catalog, twin.id), passages(catalog, 1)) == (["y", "x1", "x2"], ["y"])
    assert lacking(catalog, catalog.read(all_spaces)[0]) == ["a"]
    assert sum(held.sizes().values()) == 1, "an index that held the old pieces lets go of them"
    mine = Lists(catalog, tmp_path, twin, "flat")
    assert sum(mine.sizes().values()) == 3
    take_in(catalog, content("c", "z"))
    assert lacking(catalog, twin) == ["c"]
    catalog.backfill(twin, [content("c", "z")], [])
    assert sum(mine.sizes().values()) == 4, "what serves sees them, too"
    with catalog.reading() as snapshot:
        assert backfilled_at(snapshot, twin.id) < catalog.read(current_commit).generation, (
            "and need not look for them everywhere"
        )
