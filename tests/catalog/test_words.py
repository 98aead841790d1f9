"""Keyword search over a catalog: what is found, hostile queries, words in step with the rows; and the fusion."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmsearch.catalog import Batch, Catalog, NewContent, NewFailure, Placement, words
from mmsearch.catalog.records import KeywordMatch
from mmsearch.errors import InvalidInput
from mmsearch.search import keywords as search_keywords
from mmsearch.search.ranking import RankedItem
from mmsearch.types import Query, Span

ROOT = b"/r"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = Catalog.open(tmp_path, "1", create=True)
    made.add_space("tiny", "tests.tiny:space", 4, "f")
    return made


def put(catalog: Catalog, path: str | bytes, *passages: str, title: str | None = None, kind: str = "text") -> None:
    """A content of its own at a path; without passages it is one segment without text."""
    where = os.fsencode(path)
    vectors = np.eye(4, dtype=np.float32)[[0] * max(len(passages), 1)]
    spans = [Span(text=passage) for passage in passages] or [Span()]
    sha256 = f"{where!r}{passages}"
    new = NewContent(sha256, kind, {"title": title} if title else {}, [kind] * len(spans), spans, vectors)
    catalog.commit(Batch([new], [Placement(where, ROOT, sha256, 1, 2)]), 1)


def rows(catalog: Catalog, query: str, k: int = 10, modalities: tuple[str, ...] | None = None) -> list[KeywordMatch]:
    with catalog.reading() as snapshot:
        return words.search_words(snapshot, query, k, modalities)


def found(catalog: Catalog, query: str, k: int = 10, modalities: tuple[str, ...] | None = None) -> list[str]:
    return [os.fsdecode(row.path) for row in rows(catalog, query, k, modalities)]


def execute(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as db, db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute(statement)


def check(folder: Path) -> None:
    """FTS5's own comparison of its index with its content; it raises where they differ."""
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as db, db:
        for name in ("item_words", "passage_words"):
            db.execute(f"INSERT INTO {name} ({name}, rank) VALUES ('integrity-check', 1)")
        (items,), (kept,) = db.execute("SELECT count(*) FROM items UNION ALL SELECT count(*) FROM item_words")
        assert items == kept


@pytest.mark.parametrize(
    "query",
    [
        "beach",
        "2041",
        "IMG_2041",
        "img 2041",
        "IMG_2041-beach",
        "IMG_2041-beach.jpg",
        "BÉACH",
        "bea*",
        "IMG*",
        "beaches",
    ],
)
def test_a_file_name_is_found_by_any_of_its_words(catalog: Catalog, query: str) -> None:
    put(catalog, "/r/IMG_2041-beach.jpg", kind="image")
    put(catalog, "/r/other.jpg", kind="image")
    assert found(catalog, query) == ["/r/IMG_2041-beach.jpg"]


def test_a_prefix_matches_only_with_a_star(catalog: Catalog) -> None:
    put(catalog, "/r/waveform.txt")
    assert found(catalog, "wavef") == [] and found(catalog, "wavef*") == ["/r/waveform.txt"]


def test_composed_and_decomposed_diacritics_match_each_other(catalog: Catalog) -> None:
    put(catalog, "/r/Cafe\u0301 Zu\u0308rich.txt")
    for query in ("cafe", "café", "cafe\u0301", "ZÜRICH", "café zürich.TXT"):
        assert len(found(catalog, query)) == 1, query
    assert rows(catalog, "café zürich")[0].exact


def test_a_match_names_its_columns_and_its_passage(catalog: Catalog) -> None:
    put(catalog, "/r/holidays/a.txt", "nothing here", "the willow warbler sings", title="Notes on birds")
    put(catalog, "/r/b.txt", "else")
    put(catalog, "/r/c.txt", "else")
    assert rows(catalog, "holidays")[0].columns == ("folder",)
    assert rows(catalog, "birds")[0].columns == ("title",)
    (row,) = rows(catalog, "warbler")
    assert (row.columns, row.segment_id) == (("passage",), 2)
    assert rows(catalog, "a.txt")[0].segment_id is None
    (row,) = rows(catalog, "holidays birds warbler penguin")
    assert (row.share, row.columns, row.score > 0) == (0.75, ("folder", "title", "passage"), True)


def test_more_matching_words_rank_higher_and_ties_go_by_path(catalog: Catalog) -> None:
    for name in ("d", "c", "b", "a"):
        put(catalog, f"/r/{name}.txt", "red boat" if name in "db" else "red")
    assert found(catalog, "red boat") == ["/r/b.txt", "/r/d.txt", "/r/a.txt", "/r/c.txt"]
    assert found(catalog, "red boat", k=1) == ["/r/b.txt"]


def test_exact_names_and_quoted_phrases_come_first(catalog: Catalog) -> None:
    put(catalog, "/r/red boat at sea.txt", "a red boat " * 50)
    put(catalog, "/r/red boat.txt", "nothing")
    put(catalog, "/r/z.txt", "boat red and a red-boat too")
    first = rows(catalog, "Red_Boat")[0]
    assert (first.path, first.exact) == (b"/r/red boat.txt", True)
    assert [row.exact for row in rows(catalog, "red boat.txt")] == [True, False, False]
    assert {row.path: row.exact for row in rows(catalog, '"boat red"')} == {b"/r/z.txt": True}
    assert {row.exact for row in rows(catalog, '"red boat"')} == {True}


def test_an_exact_name_beats_many_names_with_the_same_beginning(catalog: Catalog) -> None:
    for n in range(60):
        put(catalog, f"/r/sea sea {n:02d}.txt", "sea " * 9)
    put(catalog, "/r/zz/sea.txt", "nothing")
    assert found(catalog, "sea", k=1) == ["/r/zz/sea.txt"]


def test_a_folder_name_shared_by_most_items_matches_nothing(catalog: Catalog) -> None:
    for name in ("a", "b", "c"):
        put(catalog, f"/home/anna/{name}.txt")
    put(catalog, "/home/anna/photos/anna.jpg", kind="image")
    assert found(catalog, "anna") == ["/home/anna/photos/anna.jpg"]
    assert found(catalog, "photos") == ["/home/anna/photos/anna.jpg"]


def test_only_present_items_of_the_asked_modalities_match(catalog: Catalog) -> None:
    put(catalog, "/r/dog.txt", "dog")
    put(catalog, "/r/dog.jpg", kind="image")
    assert found(catalog, "dog", modalities=("image",)) == ["/r/dog.jpg"]
    assert found(catalog, "dog", modalities=()) == []
    catalog.commit(Batch(missing=[(1, b"/r/dog.txt")]), 1)
    assert found(catalog, "dog") == ["/r/dog.jpg"]


HOSTILE = [
    "", "   ", "!!!", '"', '""', '"""', "*", "()", "🎉", "-", "\0", "^", '" OR "', "name:", "{name} :",
]  # fmt: skip


@pytest.mark.parametrize("query", HOSTILE)
@pytest.mark.slow
def test_a_query_without_searchable_words_finds_nothing(catalog: Catalog, query: str) -> None:
    put(catalog, "/r/a.txt", "text")
    assert found(catalog, query) == []


@pytest.mark.parametrize(
    "query",
    [
        "boat AND", "OR boat", "NOT boat", "NEAR(boat sea, 2)", "boat*)", '"boat', 'boat" OR', "name : boat",
        "{name title} : boat", "^boat", "boat + sea", "-boat", "boat'; DROP TABLE items; --", "boat\0sea",
        "boat \udcff", "boat,sea",
        "boat " * 10_000, " ".join(f"boat w{n}" for n in range(10_000)), '"' + "boat " * 5000, "boat \U0001f6a3",
        "\u2018boat\u2019", "boat's", "boat\u2019s",
    ],
)  # fmt: skip
@pytest.mark.slow
def test_query_words_are_never_full_text_syntax(catalog: Catalog, query: str, tmp_path: Path) -> None:
    put(catalog, "/r/a.txt", "a boat")
    put(catalog, "/r/b.txt", "nothing")
    assert found(catalog, query) == ["/r/a.txt"]
    check(tmp_path)


def test_unbalanced_quotes_and_brackets_are_searched_as_words() -> None:
    odd = "“" * 4_000 + "geese" + "«" * 4_000
    assert words.parse_words(odd).terms == (f'"{odd}"',)
    assert words.parse_words("«a “the frozen lake” b").phrases == ('"the frozen lake"',)


def test_operators_of_full_text_syntax_are_searched_as_words(catalog: Catalog) -> None:
    put(catalog, "/r/a.txt", "Romeo near Juliet")
    put(catalog, "/r/b.txt", "Romeo far away")
    assert rows(catalog, "near")[0].path == b"/r/a.txt"
    assert found(catalog, "romeo NOT juliet")[0] == "/r/a.txt"


def test_a_query_of_stop_words_alone_is_searched(catalog: Catalog) -> None:
    put(catalog, "/r/who.txt", "the band")
    put(catalog, "/r/b.txt", "the")
    assert found(catalog, "the who")[0] == "/r/who.txt"
    assert found(catalog, "the band") == ["/r/who.txt"]


def test_undecodable_names_and_very_long_texts_are_found(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, b"/r/caf\xe9 boat.txt")
    put(catalog, "/r/" + "x" * 255)
    put(catalog, "/r/long.txt", "word " * 200_000 + "needle")
    assert [row.path for row in rows(catalog, "boat")] == [b"/r/caf\xe9 boat.txt"]
    assert found(catalog, "needle") == ["/r/long.txt"] and len(found(catalog, "x" * 255)) == 1
    check(tmp_path)


def test_the_word_index_follows_renames_copies_and_removals(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, "/r/old.txt", "walnut")
    name = f"{b'/r/old.txt'!r}('walnut',)"
    catalog.commit(Batch(placements=[Placement(b"/r/new.txt", ROOT, name, 1, 2, moved=1)]), 1)
    assert (found(catalog, "old"), found(catalog, "new"), found(catalog, "walnut")) == (
        [], ["/r/new.txt"], ["/r/new.txt"]
    )  # fmt: skip
    catalog.commit(Batch(placements=[Placement(b"/r/copy.txt", ROOT, name, 1, 2)]), 1)
    assert found(catalog, "walnut") == ["/r/copy.txt", "/r/new.txt"]
    check(tmp_path)
    catalog.remove(b"/r/new.txt")
    assert (found(catalog, "new"), found(catalog, "walnut")) == ([], ["/r/copy.txt"])
    catalog.remove(b"/r")
    assert (found(catalog, "walnut"), found(catalog, "copy")) == ([], [])
    check(tmp_path)


def test_the_word_index_follows_a_changed_file(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, "/r/a.txt", "walnut", title="Trees")
    put(catalog, "/r/a.txt", "chestnut", title="Shrubs")
    assert [found(catalog, word) for word in ("walnut", "trees")] == [[], []]
    assert [found(catalog, word) for word in ("chestnut", "shrubs")] == [["/r/a.txt"]] * 2
    catalog.prune()
    check(tmp_path)
    catalog.commit(Batch(failures=[NewFailure(b"/r/a.txt", ROOT, 1, 2, "corrupt", "cut")]), 1)
    assert found(catalog, "chestnut") == []
    check(tmp_path)


def test_the_word_index_follows_tags_and_titles(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, "/r/a.jpg", kind="image")
    put(catalog, "/r/b.jpg", kind="image")
    for statement in ("INSERT INTO tags VALUES (1, 'zebra', NULL)", "INSERT INTO tags VALUES (1, 'new york', 0.5)"):
        execute(tmp_path, statement)
    assert found(catalog, "zebra") == found(catalog, '"new york"') == ["/r/a.jpg"]
    assert rows(catalog, "zebra")[0].columns == ("tags",)
    execute(tmp_path, "INSERT OR IGNORE INTO tags VALUES (1, 'zebra', NULL)")
    execute(tmp_path, "INSERT INTO tags VALUES (1, 'zebra', 1) ON CONFLICT DO UPDATE SET confidence = 1")
    assert found(catalog, "zebra") == ["/r/a.jpg"]
    execute(tmp_path, "UPDATE tags SET tag = 'horse', content_id = 2 WHERE tag = 'zebra'")
    assert (found(catalog, "zebra"), found(catalog, "horse")) == ([], ["/r/b.jpg"])
    execute(tmp_path, "DELETE FROM tags WHERE tag = 'horse'")
    execute(tmp_path, "UPDATE contents SET title = 'Sunset' WHERE id = 2")
    assert (found(catalog, "horse"), found(catalog, "sunset")) == ([], ["/r/b.jpg"])
    catalog.remove(b"/r/a.jpg")
    assert found(catalog, "york") == []
    check(tmp_path)


def test_a_failed_transaction_leaves_the_word_index_as_it_was(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, "/r/a.txt", "walnut")
    with pytest.raises(Exception, match="no content unknown"):
        catalog.commit(Batch(placements=[Placement(b"/r/b.txt", ROOT, "unknown", 1, 2)]), 1)
    assert found(catalog, "walnut") == ["/r/a.txt"] and found(catalog, "b") == []
    check(tmp_path)


def hit(item: int, path: str) -> RankedItem:
    return RankedItem(item, item, path.encode(), "text", 0.5, weak=True)


def row(item: int, path: str, share: float = 1.0, exact: bool = False, segment: int | None = None) -> KeywordMatch:
    return KeywordMatch(item, item, path.encode(), "text", segment, 1.0, share, ("name",), exact)


def test_hybrid_ranking_lifts_keyword_matches_and_names_their_source() -> None:
    fused = search_keywords.fuse_rankings([hit(1, "/a"), hit(2, "/b"), hit(3, "/c")], [row(3, "/c"), row(4, "/d")], 10)
    assert [(h.item_id, h.by) for h in fused] == [
        (3, ("vector", "keywords")), (4, ("keywords",)), (1, ("vector",)), (2, ("vector",)),
    ]  # fmt: skip
    assert [h.weak for h in fused] == [False, False, True, True]
    assert (fused[1].score, fused[1].segment_id, fused[1].matched) == (1.0, -1, None)
    assert [h.item_id for h in search_keywords.fuse_rankings([hit(1, "/a")], [row(4, "/d")], 1)] == [4]


def test_a_match_of_a_small_share_of_the_words_is_ignored() -> None:
    fused = search_keywords.fuse_rankings([hit(1, "/a"), hit(2, "/b")], [row(2, "/b", 0.4), row(3, "/c", 0.49)], 10)
    assert [(h.item_id, h.by) for h in fused] == [(1, ("vector",)), (2, ("vector",))]


def test_an_exact_match_comes_first_and_shows_its_passage() -> None:
    rows = [row(1, "/a"), row(9, "/z", 0.2, exact=True, segment=7)]
    fused = search_keywords.fuse_rankings([hit(1, "/a"), hit(9, "/z")], rows, 10)
    assert [(h.item_id, h.segment_id, h.matched) for h in fused] == [(9, 7, "text"), (1, 1, None)]


def test_a_hybrid_ranking_begins_the_same_for_every_k() -> None:
    vector = [hit(n, f"/v{n:03d}") for n in range(150)]
    keywords = [row(140, "/v140"), row(30, "/v030", 0.5), *(row(1000 + n, f"/w{n:03d}", 0.6) for n in range(50))]
    every = [h.item_id for h in search_keywords.fuse_rankings(vector, keywords, 1000)]
    assert len(every) == len(set(every)) == 200
    for k in (1, 10, 99, 100, 101, 150):
        assert [
            h.item_id
            for h in search_keywords.fuse_rankings(vector[: search_keywords.vector_depth(keywords, k)], keywords, k)
        ] == every[:k]


def test_only_a_positive_query_by_words_is_matched_by_keywords(catalog: Catalog) -> None:
    put(catalog, "/r/dog.txt", "dog")
    assert [r.path for r in search_keywords.match_keywords(Query(text="dog"), 1, catalog)] == [b"/r/dog.txt"]
    assert len(search_keywords.match_keywords(Query(text="dog") + Query(text="cat"), 1, catalog)) == 1
    for query in (
        Query(text="dog") - Query(text="cat"),
        Query(),
        Query(text="dog", image="x.png"),
        Query(image="x.png"),
        Query(text=Path("dog.txt")),
    ):
        assert search_keywords.match_keywords(query, 1, catalog) == []
        with pytest.raises(InvalidInput, match="needs words"):
            search_keywords.match_keywords(query, 1, catalog, mode="keyword")
    assert search_keywords.match_keywords(Query(text="dog"), 1, catalog, mode="vector") == []
    with pytest.raises(InvalidInput, match="mode can't be 'maybe'"):
        search_keywords.match_keywords(Query(text="dog"), 1, catalog, mode="maybe")  # type: ignore[arg-type]
