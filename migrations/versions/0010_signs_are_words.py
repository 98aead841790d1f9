"""Each sign of Chinese, Japanese, Korean and Thai is a word of its own in the tables of words.

Revision: 0010
Revises: 0008

These scripts put no spaces between words, and FTS5's tokenizer takes what stands between two spaces for one. The texts
are cut in views, since a trigger may hold no recursion. What was there is indexed anew where it has such signs.
"""

from typing import Any

from alembic import context, op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SIGNS = (
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e50-\u0e59\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
"""The inside of a class of characters: Thai, Hangul, kana, Han."""
MARKS = "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
"""Thai vowels and tones over and under letters. FTS5's tokenizer drops them; moved to the area for private use, it does
not."""
SHIFT = 0xE000

ANY = f"GLOB '*[{SIGNS}{MARKS}]*'"


def _cut(text: str) -> str:
    """An expression with blanks around each sign."""
    return f"""(SELECT CASE WHEN whole {ANY} THEN (
        WITH RECURSIVE signs (place, sign) AS (
            SELECT 1, substr(whole, 1, 1)
            UNION ALL SELECT place + 1, substr(whole, place + 1, 1) FROM signs WHERE place < length(whole))
        SELECT group_concat(CASE WHEN sign GLOB '[{MARKS}]' THEN ' ' || char(unicode(sign) + {SHIFT}) || ' '
            WHEN sign GLOB '[{SIGNS}]' THEN ' ' || sign || ' ' ELSE sign END, '') FROM signs)
        ELSE whole END FROM (SELECT {text} AS whole))"""


_FOLDER = "rtrim(replace(items.display, '\\', '/'), replace(replace(items.display, '\\', '/'), '/', ''))"
_TEXTS = ("artist", "album", "album_artist", "composer", "genre")
_TOLD = " || ".join(f"coalesce(' ' || json_extract({{row}}metadata, '$.{key}'), '')" for key in _TEXTS)
_TITLE = f"""CASE WHEN json_valid({{row}}metadata)
    THEN nullif(trim(coalesce({{row}}title, '') || {_TOLD}), '') ELSE {{row}}title END"""
"""Of a content: its title and what it tells of itself."""
_TITLED = f"(SELECT {_TITLE.format(row='')} FROM contents WHERE id = items.content_id)"
_TAGS = """(SELECT group_concat(tag, ' ') FROM (
    SELECT tag FROM tags WHERE content_id = items.content_id
    UNION SELECT tag FROM items AS near JOIN tags ON tags.content_id = near.content_id
    WHERE near.bundle = items.bundle AND near.status = 'present' AND tags.confidence IS NULL))"""

VIEWS = {
    "passages": f"SELECT id, {_cut('segments.text')} AS text FROM segments WHERE segments.text IS NOT NULL",
    "item_texts": f"""SELECT id, {_cut(f"substr(items.display, length({_FOLDER}) + 1)")} AS name,
        {_cut(_FOLDER)} AS folder, {_cut(_TITLED)} AS title, {_cut(_TAGS)} AS tags FROM items""",
}
"""View -> what it shows: the texts of the tables of words, cut."""

_RETAGGED = "UPDATE item_words SET tags = (SELECT tags FROM item_texts WHERE id = item_words.rowid)"
_BUNDLE = (
    _RETAGGED
    + """ WHERE rowid IN (SELECT id FROM items WHERE bundle = {row}.bundle AND id != {row}.id
        AND EXISTS (SELECT 1 FROM tags WHERE content_id = {row}.content_id AND confidence IS NULL));"""
)
_OF_TAG = (
    _RETAGGED
    + """ WHERE rowid IN (SELECT id FROM items WHERE content_id = {row}.content_id
        UNION SELECT near.id FROM items AS mine JOIN items AS near ON near.bundle = mine.bundle
        WHERE mine.content_id = {row}.content_id AND {row}.confidence IS NULL);"""
)
_ITEM = "INSERT INTO item_words (rowid, name, folder, title, tags) SELECT * FROM item_texts WHERE id = NEW.id;"
_HERE = "INSERT INTO passage_words (rowid, text) SELECT id, text FROM passages WHERE id = NEW.id;"
_GONE = (
    "INSERT INTO passage_words (passage_words, rowid, text) SELECT 'delete', id, text FROM passages WHERE id = OLD.id;"
)
_PASSAGE = "UPDATE OF id, text ON segments WHEN (OLD.id, OLD.text) IS NOT (NEW.id, NEW.text)"

TRIGGERS = {
    "words_item_added": f"AFTER INSERT ON items BEGIN {_ITEM} {_BUNDLE.format(row='NEW')} END",
    "words_item_changed": f"""AFTER UPDATE OF id, display, content_id, bundle, status ON items
        WHEN (OLD.id, OLD.display, OLD.content_id, OLD.bundle, OLD.status)
            IS NOT (NEW.id, NEW.display, NEW.content_id, NEW.bundle, NEW.status)
        BEGIN DELETE FROM item_words WHERE rowid = OLD.id; {_ITEM}
            {_BUNDLE.format(row="OLD")} {_BUNDLE.format(row="NEW")} END""",
    "words_item_removed": f"""AFTER DELETE ON items
        BEGIN DELETE FROM item_words WHERE rowid = OLD.id; {_BUNDLE.format(row="OLD")} END""",
    "words_titled": f"""AFTER UPDATE OF title, metadata ON contents
        WHEN {_TITLE.format(row="OLD.")} IS NOT {_TITLE.format(row="NEW.")} BEGIN
        UPDATE item_words SET title = (SELECT title FROM item_texts WHERE id = item_words.rowid)
        WHERE rowid IN (SELECT id FROM items WHERE content_id = NEW.id); END""",
    "words_tag_added": f"AFTER INSERT ON tags BEGIN {_OF_TAG.format(row='NEW')} END",
    "words_tag_removed": f"AFTER DELETE ON tags BEGIN {_OF_TAG.format(row='OLD')} END",
    "words_tag_changed": f"""AFTER UPDATE OF content_id, tag, confidence ON tags
        BEGIN {_OF_TAG.format(row="OLD")} {_OF_TAG.format(row="NEW")} END""",
    # What is taken out of the index is what was put in: it is read while its row is still there.
    "words_passage_added": f"AFTER INSERT ON segments WHEN NEW.text IS NOT NULL BEGIN {_HERE} END",
    "words_passage_removed": f"BEFORE DELETE ON segments WHEN OLD.text IS NOT NULL BEGIN {_GONE} END",
    "words_passage_changes": f"BEFORE {_PASSAGE} BEGIN {_GONE} END",
    "words_passage_changed": f"AFTER {_PASSAGE} BEGIN {_HERE} END",
}
"""Trigger -> what it does."""

_INDEXED = "name || folder || coalesce(title, '') || coalesce(tags, '')"


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    run(f"CREATE TEMP TABLE cut_passages AS SELECT id FROM segments WHERE text {ANY}")
    run(f"CREATE TEMP TABLE cut_items AS SELECT rowid AS id FROM item_words WHERE {_INDEXED} {ANY}")
    _index("'delete', ", "passage_words, ")
    before = _before()
    for name in before:
        run(f"DROP TRIGGER {name}")
    run("DROP VIEW passages")
    for name, query in VIEWS.items():
        run(f"CREATE VIEW {name} AS {query}")
    for name, action in TRIGGERS.items():
        run(f"CREATE TRIGGER {name} {action}")
    _index()
    run("DELETE FROM item_words WHERE rowid IN (SELECT id FROM cut_items)")
    run(
        """INSERT INTO item_words (rowid, name, folder, title, tags)
        SELECT * FROM item_texts WHERE id IN (SELECT id FROM cut_items)"""
    )
    run("DROP TABLE cut_passages")
    run("DROP TABLE cut_items")


def _index(value: str = "", column: str = "") -> None:
    """Put the passages that have signs into the index, or take them out as they are there."""
    op.get_bind().exec_driver_sql(
        f"""INSERT INTO passage_words ({column}rowid, text)
        SELECT {value}id, text FROM passages WHERE id IN (SELECT id FROM cut_passages)"""
    )


def _before() -> dict[str, str]:
    """The triggers that earlier migrations made: name -> what it does."""
    first, told = (context.script.get_revision(number).module for number in ("0001", "0007"))
    made: dict[str, str] = dict(first.WORDS)
    changes: dict[str, Any] = told.CHANGES
    for name, replaced in changes.items():
        for old, new in replaced:
            made[name] = made[name].replace(old, new)
    return made


def downgrade() -> None:
    run = op.get_bind().exec_driver_sql
    run(f"CREATE TEMP TABLE cut_passages AS SELECT id FROM segments WHERE text {ANY}")
    _index("'delete', ", "passage_words, ")
    for name in TRIGGERS:
        run(f"DROP TRIGGER {name}")
    for name in VIEWS:
        run(f"DROP VIEW {name}")
    run("CREATE VIEW passages AS SELECT id, text FROM segments WHERE text IS NOT NULL")
    for name, action in _before().items():
        run(f"CREATE TRIGGER {name} {action}")
    _index()
    run("DELETE FROM item_words")
    # As the trigger of an item that is added fills it.
    run("CREATE TEMP TABLE all_items AS SELECT id, display FROM items")
    run("UPDATE items SET display = '' WHERE id IN (SELECT id FROM all_items)")
    run("UPDATE items SET display = (SELECT display FROM all_items WHERE all_items.id = items.id)")
    run("DROP TABLE all_items")
    run("DROP TABLE cut_passages")
