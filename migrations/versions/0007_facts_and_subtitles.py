"""Artist, album and genre are words and filters; subtitles with a language belong to their video.

Revision: 0007
Revises: 0006

What files say of themselves lies in contents.metadata; here the words of some of it join those of the title, and its
values become rows of meta, unless a person gave others. film.en.srt gets the group key of film.mp4.
"""

import sqlalchemy as sa
from alembic import op

from mmsearch.catalog.group_key import SUBTITLES, group_key

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TEXTS = ("artist", "album", "album_artist", "composer", "genre")

_TOLD = " || ".join(f"coalesce(' ' || json_extract({{row}}.metadata, '$.{key}'), '')" for key in TEXTS)
_TITLE = f"""CASE WHEN json_valid({{row}}.metadata)
    THEN nullif(trim(coalesce({{row}}.title, '') || {_TOLD}), '') ELSE {{row}}.title END"""
"""Of a content: its title and what it tells of itself."""

_OLD, _NEW = _TITLE.format(row="OLD"), _TITLE.format(row="NEW")

_OF_CONTENT = (
    "(SELECT title FROM contents WHERE id = NEW.content_id)",
    f"(SELECT {_TITLE.format(row='contents')} FROM contents WHERE id = NEW.content_id)",
)
CHANGES = {
    "words_item_added": (_OF_CONTENT,),
    "words_item_changed": (_OF_CONTENT,),
    "words_titled": (
        ("UPDATE OF title ON contents", "UPDATE OF title, metadata ON contents"),
        ("OLD.title IS NOT NEW.title BEGIN", f"{_OLD} IS NOT {_NEW} BEGIN"),
        ("SET title = NEW.title WHERE", f"SET title = {_NEW} WHERE"),
    ),
}
"""Trigger -> what is said in it before and after."""


def _rewrite(before: int, after: int) -> None:
    connection = op.get_bind()
    for name, changes in CHANGES.items():
        made = sa.text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name")
        sql = str(connection.execute(made, {"name": name}).scalar_one())
        for change in changes:
            sql = sql.replace(change[before], change[after])
        op.execute(f"DROP TRIGGER {name}")
        connection.exec_driver_sql(sql)


def upgrade() -> None:
    _rewrite(0, 1)
    telling = " OR ".join(f"json_type(metadata, '$.{key}') = 'text'" for key in TEXTS)
    telling = f"json_valid(metadata) AND ({telling})"
    op.execute(
        f"""UPDATE item_words SET title = (SELECT {_TITLE.format(row="contents")} FROM contents JOIN items
            ON items.content_id = contents.id WHERE items.id = item_words.rowid)
        WHERE rowid IN (SELECT items.id FROM items JOIN contents ON contents.id = items.content_id WHERE {telling})"""
    )
    for key in TEXTS:
        op.execute(
            f"""INSERT OR IGNORE INTO meta (content_id, key, kind, text)
            SELECT id, '{key}', 'text', json_extract(metadata, '$.{key}') FROM contents WHERE json_valid(metadata)
                AND json_type(metadata, '$.{key}') = 'text' AND json_extract(metadata, '$.{key}') != ''"""
        )
    _regroup()


def _regroup() -> None:
    connection = op.get_bind()
    ends = " OR ".join(f"display LIKE '%.{suffix.decode()}'" for suffix in sorted(SUBTITLES))
    rows = connection.execute(sa.text(f"SELECT id, path, bundle FROM items WHERE {ends}")).all()
    # What a later release makes of a path is what a library has to have in the end.
    changed = [{"id": item, "key": group_key(path)} for item, path, bundle in rows if group_key(path) != bundle]
    if changed:
        connection.execute(sa.text("UPDATE items SET bundle = :key WHERE id = :id"), changed)


def downgrade() -> None:
    _rewrite(1, 0)
    op.execute(
        """UPDATE item_words SET title = (SELECT contents.title FROM contents JOIN items
        ON items.content_id = contents.id WHERE items.id = item_words.rowid)"""
    )
