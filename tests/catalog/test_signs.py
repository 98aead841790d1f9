"""Words inside of runs: scripts without spaces, in names, titles, tags and passages."""

# ruff: noqa: RUF001

import os
import random
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command

from mmsearch.catalog import Catalog, schema, signs, triggers
from mmsearch.catalog.database import writing
from mmsearch.catalog.word_candidates import fold_case
from tests.catalog.test_words import check, found, put, rows

ASSETS = Path(__file__).resolve().parents[1] / "assets" / "library"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = Catalog.open(tmp_path, "1", create=True)
    made.add_space("tiny", "tests.tiny:space", 4, "f")
    return made


CASES = [
    ("图书馆开放时间", ("开放", "图书馆", "时间", "图书馆开放时间"), ("放时间表", "书开", "放开", "館")),
    ("東京タワーの夜景を見た", ("東京", "タワー", "夜景", "の夜景", "見た"), ("京都", "ワタ", "景夜", "たわー")),
    ("犬がいるビデオ", ("犬", "ビデオ", "がいる"), ("かいる", "猫", "ヒデオ")),
    ("สวัสดีครับ วันนี้อากาศดีมาก", ("สวัสดี", "ดี", "อากาศ", "วันนี้"), ("ดู", "อากาด", "ดา", "มด")),
    ("도서관은 아침에 열립니다", ("도서관", "아침", "열립니다", "도서관은"), ("서도", "관도", "저녁")),
    ("新款iPhone手机壳2024年", ("iPhone", "手机", "iphone手机", "2024", "2024年", "机壳"), ("手壳", "iPhone壳", "202")),
]
"""A text, what is in it, and what is not."""


@pytest.mark.parametrize(("text", "held", "absent"), CASES)
@pytest.mark.parametrize("where", ["passage", "name", "title", "folder", "tag"])
def test_a_word_is_found_inside_a_run_wherever_it_stands(
    catalog: Catalog, where: str, text: str, held: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    path = f"/r/{text}/a.txt" if where == "folder" else f"/r/{text}.txt" if where == "name" else "/r/a.txt"
    put(catalog, path, text if where == "passage" else "nothing", title=text if where == "title" else None)
    for number in range(3):
        put(catalog, f"/r/other{number}.txt", "an unrelated text, 別の話, เรื่องอื่น, 다른 글")
    if where == "tag":
        tag(catalog, path, text)
    assert {query: found(catalog, query) for query in held} == {query: [path] for query in held}
    assert {query: found(catalog, query) for query in absent} == {query: [] for query in absent}


def tag(catalog: Catalog, path: str, text: str) -> None:
    with closing(sqlite3.connect(catalog.path)) as db, db:
        content = db.execute("SELECT content_id FROM items WHERE display = ?", [path]).fetchone()[0]
        db.execute("INSERT INTO tags (content_id, tag) VALUES (?, ?)", [content, text])


def test_words_in_quotes_follow_each_other_as_they_are_written(catalog: Catalog) -> None:
    put(catalog, "/r/a.txt", "他说：图书馆 开放时间是九点")
    put(catalog, "/r/b.txt", "图书馆的开放时间")
    assert found(catalog, '"图书馆 开放"') == ["/r/a.txt"]
    assert [row.exact for row in rows(catalog, '"开放时间"')] == [True, True]
    assert sorted(found(catalog, "图书馆，开放")) == ["/r/a.txt", "/r/b.txt"], "two words"


def test_a_whole_name_is_told_from_one_that_begins_with_it(catalog: Catalog) -> None:
    for name in ("ดี.txt", "ดู.txt", "ดีมาก.txt", "がく.txt", "がくせい.txt", "도서관.txt", "도서관은.txt"):
        put(catalog, f"/r/{name}", "else")
    for asked in ("ดี", "がく", "도서관", "도서관.txt"):
        (first, *others) = rows(catalog, asked)
        assert first.exact and os.fsdecode(first.path) == f"/r/{asked.removesuffix('.txt')}.txt"
        assert not any(one.exact for one in others)


def test_a_match_names_the_word_as_it_was_asked(catalog: Catalog) -> None:
    put(catalog, "/r/a.txt", "图书馆开放时间")
    assert [[one.word for one in row.words] for row in rows(catalog, "开放 ABC")] == [["开放", "abc"]]


def test_sharp_s_is_found_as_it_is_written(catalog: Catalog) -> None:
    put(catalog, "/r/Straße.txt", "am Fluß")
    assert found(catalog, "Straße") == found(catalog, "straße.txt") == found(catalog, "FLUß") == ["/r/Straße.txt"]


def test_words_follow_what_changes_and_goes(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, "/r/a.txt", "图书馆开放时间", title="东京")
    put(catalog, "/r/b.txt", "開放")
    changes = {
        "UPDATE segments SET text = '博物馆' WHERE text = '图书馆开放时间'": ("开放", "博物", ["/r/a.txt"]),
        "UPDATE items SET display = '/r/夜景.txt' WHERE display = '/r/b.txt'": ("b", "夜景", ["/r/b.txt"]),
        "UPDATE contents SET title = '京都' WHERE title = '东京'": ("东京", "京都", ["/r/a.txt"]),
        "UPDATE segments SET text = NULL WHERE text = '博物馆'": ("博物", "開放", ["/r/b.txt"]),
        "DELETE FROM segments WHERE text = '開放'": ("開放", "京都", ["/r/a.txt"]),
    }
    for statement, (gone, there, paths) in changes.items():
        with closing(sqlite3.connect(catalog.path)) as db, db:
            db.execute("PRAGMA foreign_keys = ON")
            db.execute(statement)
        assert (found(catalog, gone), found(catalog, there)) == ([], paths), statement
        check(tmp_path)


def test_the_index_is_cut_as_questions_are(catalog: Catalog) -> None:
    draw = random.Random(7)
    pool = "ab1 _-.。、" + "ดีกำ๎เ๐ัิฺ" + "가한ㄱᄀ" + "がァー々〇ﾝ゙" + "汉字豈𠀀\U000323af" + "é👍αж\ue000\uee31"
    texts = ["".join(draw.choices(pool, k=draw.randint(1, 30))) for _ in range(150)]
    put(catalog, "/r/a.txt", *texts)
    with closing(sqlite3.connect(catalog.path)) as db:
        cut = dict(db.execute("SELECT s.text, p.text FROM segments s JOIN passages p ON p.id = s.id"))
    assert cut == {text: signs.cut_signs(text) for text in texts}
    for text in texts:
        if "\uee31" not in text:
            assert re.sub(" ", "", signs.joined_signs(signs.cut_signs(text))) == re.sub(" ", "", text)
            assert fold_case(signs.cut_signs(signs.cut_signs(text))) == fold_case(signs.cut_signs(text))


def test_a_library_that_was_indexed_before_is_indexed_anew_and_back(tmp_path: Path) -> None:
    shutil.copy(ASSETS / "catalog.sqlite", tmp_path)
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as db, db:
        db.execute(
            "UPDATE segments SET text = '图书馆开放时间' WHERE id = (SELECT min(id) FROM segments WHERE text != '')"
        )
        db.execute("UPDATE items SET display = '/夜景/東京タワー.jpg' WHERE id = (SELECT min(id) FROM items)")
        before = db.execute("SELECT sql FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY name").fetchall()
        words = db.execute("SELECT rowid, * FROM item_words ORDER BY rowid").fetchall()
    with closing(Catalog.open(tmp_path, "new")) as catalog:
        assert len(found(catalog, "开放")) == 1
        assert len(found(catalog, "タワー")) == 1 and len(found(catalog, "夜景")) == 1
        check(tmp_path)
        config = schema._config()
        with writing(catalog._engine) as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "0008")
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as db:
        rows_now = db.execute(triggers.QUERY).fetchall()
        assert triggers.digest(rows_now) == triggers.DIGESTS["0008"]
        assert len(before) == len(rows_now)
        assert db.execute("SELECT rowid, * FROM item_words ORDER BY rowid").fetchall() == words
    check(tmp_path)
