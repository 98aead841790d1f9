"""Keyword search over a catalog: what is found, hostile queries, words in step with the rows."""

import math
import os
import sqlite3
from contextlib import closing
from itertools import compress
from pathlib import Path

import numpy as np
import pytest

from mmsearch.catalog import Batch, Catalog, NewContent, NewFailure, Placement, words
from mmsearch.catalog.records import KeywordMatch
from mmsearch.types import Span

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


def where(row: KeywordMatch) -> list[str]:
    """Of each word of the query, where the item holds it."""
    places = "name", "folder", "passage"
    return [" ".join(compress(places, (one.named, one.in_folder, one.density))) for one in row.words]


def test_a_match_says_where_it_holds_each_word_and_names_its_passage(catalog: Catalog) -> None:
    put(catalog, "/r/holidays/a.txt", "nothing here", "the willow warbler sings", title="Notes on birds")
    put(catalog, "/r/b.txt", "else")
    put(catalog, "/r/c.txt", "else")
    assert where(rows(catalog, "holidays")[0]) == ["folder"]
    assert where(rows(catalog, "birds")[0]) == ["name"]
    (row,) = rows(catalog, "warbler")
    assert (where(row), row.segment_id) == (["passage"], 2)
    assert rows(catalog, "a.txt")[0].segment_id is None
    (row,) = rows(catalog, "holidays birds warbler penguin")
    assert (row.share, where(row), row.score > 0) == (0.75, ["folder", "name", "passage", ""], True)
    assert [one.word for one in row.words] == ["holidays", "birds", "warbler", "penguin"]


def test_a_match_says_how_common_each_word_is_and_how_dense_in_its_passage(catalog: Catalog) -> None:
    for n in range(9):
        put(catalog, f"/r/{n}.txt", "a warbler and other words", "no such thing in here")
    put(catalog, "/r/z.txt", "warbler warbler warbler warbler warbler", "a finch and other words")
    put(catalog, "/r/warbler.txt", "no such thing in here")
    (finch,) = rows(catalog, "finch")[0].words
    assert finch.common == 0 and finch.density == pytest.approx(1, abs=0.05), "one that holds it, in a usual passage"
    found = {os.fsdecode(row.path): row.words[0] for row in rows(catalog, "warbler", 20)}
    assert found["/r/0.txt"].common == found["/r/warbler.txt"].common == pytest.approx(9 / (21 + 10))
    assert found["/r/z.txt"].density == pytest.approx(1.74, abs=0.05) and found["/r/warbler.txt"].density == 0


def test_more_matching_words_rank_higher_and_ties_go_by_path(catalog: Catalog) -> None:
    for name in ("d", "c", "b", "a"):
        put(catalog, f"/r/{name}.txt", "red boat" if name in "db" else "red")
    assert found(catalog, "red boat") == ["/r/b.txt", "/r/d.txt", "/r/a.txt", "/r/c.txt"]
    assert found(catalog, "red boat", k=1) == ["/r/b.txt"]


def test_of_texts_with_the_same_words_the_one_that_has_them_in_a_row_is_first(catalog: Catalog) -> None:
    put(catalog, "/a.txt", "The leader extended the harbour, and the conference has been there.")
    put(catalog, "/b.txt", "They say the conference has been extended by the leader of the harbour.")
    put(catalog, "/c.txt", "Extended is the conference; the harbour of the leader has not been.")
    found = rows(catalog, "the conference has been extended")
    # The pairs of four in a row are four; of three, three.
    assert [(os.fsdecode(row.path), row.row) for row in found] == [
        ("/b.txt", (4.0, 4)), ("/a.txt", (3.0, 4)), ("/c.txt", (1.0, 4)),
    ]  # fmt: skip


def test_words_in_a_row_are_looked_at_from_four_on(catalog: Catalog) -> None:
    put(catalog, "/a.txt", "the harbour gate")
    assert [row.row.asked for row in rows(catalog, "the harbour gate")] == [0]


@pytest.mark.parametrize(
    ("asked", "text", "pairs"),
    [
        ("a b c d", "x a b c d y", 3.0), ("a b c d", "a b x c d", math.sqrt(2)), ("a b c d", "d c b a", 0.0),
        ("a b c d e f", "a b c x d e f", math.sqrt(8)), ("a b c d", "", 0.0),
    ],
)  # fmt: skip
def test_one_long_row_counts_for_more_than_short_ones(asked: str, text: str, pairs: float) -> None:
    row = words.row_of(asked.split(), text.split())
    assert row.pairs == pytest.approx(pairs)
    assert row.asked == len(asked.split()) - 1


def test_exact_names_and_quoted_phrases_come_first(catalog: Catalog) -> None:
    put(catalog, "/r/red boat at sea.txt", "a red boat " * 50)
    put(catalog, "/r/red boat.txt", "nothing")
    put(catalog, "/r/z.txt", "boat red and a red-boat too")
    first = rows(catalog, "Red_Boat")[0]
    assert (first.path, first.exact) == (b"/r/red boat.txt", True)
    assert [row.exact for row in rows(catalog, "red boat.txt")] == [True, False, False]
    assert {row.path: row.exact for row in rows(catalog, '"boat red"')} == {b"/r/z.txt": True}
    assert {row.exact for row in rows(catalog, '"red boat"')} == {True}


def test_a_quoted_phrase_is_its_words_and_not_others_of_their_stems(catalog: Catalog) -> None:
    put(catalog, "/r/a.txt", "encoder together, " * 9)
    put(catalog, "/r/b.txt", "catalog/tests " * 9)
    put(catalog, "/r/c.txt", "all Encoders\n together; `catalog tests`")
    stems = {row.path: row.exact for row in rows(catalog, '"encoders together"')}
    assert stems == {b"/r/c.txt": True, b"/r/a.txt": False}
    first, second = rows(catalog, '"catalog tests"')
    assert (first.path, first.exact, first.verbatim) == (b"/r/c.txt", True, True)
    assert (second.path, second.exact, second.verbatim) == (b"/r/b.txt", True, False)
    assert [row.exact for row in rows(catalog, '"encoders toge*"')] == [True, False], "a beginning"


def test_a_quoted_phrase_is_found_in_names_titles_and_passages_alike(catalog: Catalog) -> None:
    put(catalog, "/r/the red boats.jpg", kind="image")
    put(catalog, "/r/a.txt", "and the red boats; blue oars")
    put(catalog, "/r/blue oar.txt", "the red boats")
    found_first = rows(catalog, '"red boats" "blue oars"')
    assert [row.path for row in found_first if row.exact] == [b"/r/a.txt"]
    assert {row.path for row in rows(catalog, '"red boats"') if row.exact} == {
        b"/r/the red boats.jpg", b"/r/a.txt", b"/r/blue oar.txt",
    }  # fmt: skip


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


@pytest.mark.slow
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
    assert catalog.forget_orphans() == 1
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
    assert where(rows(catalog, "zebra")[0]) == ["name"]
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
