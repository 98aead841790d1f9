"""The first schema.

Revision: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TOKENS = "porter unicode61 remove_diacritics 2"

_FOLDER = "rtrim(replace({row}.display, '\\', '/'), replace(replace({row}.display, '\\', '/'), '/', ''))"
"""The path up to its last separator, of either kind: what is left when trailing characters other than / are cut."""

_HELD = """(SELECT group_concat(tag, ' ') FROM (
    SELECT tag FROM tags WHERE content_id = {row}.content_id
    UNION SELECT tag FROM items AS near JOIN tags ON tags.content_id = near.content_id
    WHERE near.bundle = {row}.bundle AND near.status = 'present' AND tags.confidence IS NULL))"""
"""The tags of an item: its content's own, and those that people gave to a file of its bundle."""

_ITEM = """
    INSERT INTO item_words (rowid, name, folder, title, tags) SELECT
        NEW.id, substr(NEW.display, length({folder}) + 1), {folder},
        (SELECT title FROM contents WHERE id = NEW.content_id), {held};
""".format(folder=_FOLDER.format(row="NEW"), held=_HELD.format(row="NEW"))

_RETAGGED = f"""
    UPDATE item_words SET tags = (SELECT {_HELD.format(row="mine")} FROM items AS mine WHERE mine.id = item_words.rowid)
"""

_BUNDLE = (
    _RETAGGED
    + """
    WHERE rowid IN (SELECT id FROM items WHERE bundle = {row}.bundle AND id != {row}.id
        AND EXISTS (SELECT 1 FROM tags WHERE content_id = {row}.content_id AND confidence IS NULL));
"""
)
"""The other files of an item's bundle, where it brings or takes away what people said."""

_TAGS = (
    _RETAGGED
    + """
    WHERE rowid IN (SELECT id FROM items WHERE content_id = {row}.content_id
        UNION SELECT near.id FROM items AS mine JOIN items AS near ON near.bundle = mine.bundle
        WHERE mine.content_id = {row}.content_id AND {row}.confidence IS NULL);
"""
)

_GONE = "INSERT INTO passage_words (passage_words, rowid, text) VALUES ('delete', OLD.id, OLD.text);"
_HERE = "INSERT INTO passage_words (rowid, text) VALUES (NEW.id, NEW.text);"

WORDS = {
    "words_item_added": f"AFTER INSERT ON items BEGIN {_ITEM} {_BUNDLE.format(row='NEW')} END",
    "words_item_changed": f"""AFTER UPDATE OF id, display, content_id, bundle, status ON items
        WHEN (OLD.id, OLD.display, OLD.content_id, OLD.bundle, OLD.status)
            IS NOT (NEW.id, NEW.display, NEW.content_id, NEW.bundle, NEW.status)
        BEGIN DELETE FROM item_words WHERE rowid = OLD.id; {_ITEM}
            {_BUNDLE.format(row="OLD")} {_BUNDLE.format(row="NEW")} END""",
    "words_item_removed": f"""AFTER DELETE ON items
        BEGIN DELETE FROM item_words WHERE rowid = OLD.id; {_BUNDLE.format(row="OLD")} END""",
    "words_titled": """AFTER UPDATE OF title ON contents WHEN OLD.title IS NOT NEW.title BEGIN
        UPDATE item_words SET title = NEW.title WHERE rowid IN (SELECT id FROM items WHERE content_id = NEW.id); END""",
    "words_tag_added": f"AFTER INSERT ON tags BEGIN {_TAGS.format(row='NEW')} END",
    "words_tag_removed": f"AFTER DELETE ON tags BEGIN {_TAGS.format(row='OLD')} END",
    "words_tag_changed": f"""AFTER UPDATE OF content_id, tag, confidence ON tags
        BEGIN {_TAGS.format(row="OLD")} {_TAGS.format(row="NEW")} END""",
    "words_passage_added": f"AFTER INSERT ON segments WHEN NEW.text IS NOT NULL BEGIN {_HERE} END",
    "words_passage_removed": f"AFTER DELETE ON segments WHEN OLD.text IS NOT NULL BEGIN {_GONE} END",
    "words_passage_changed": """AFTER UPDATE OF id, text ON segments BEGIN
        INSERT INTO passage_words (passage_words, rowid, text)
            SELECT 'delete', OLD.id, OLD.text WHERE OLD.text IS NOT NULL;
        INSERT INTO passage_words (rowid, text) SELECT NEW.id, NEW.text WHERE NEW.text IS NOT NULL; END""",
}
"""Trigger -> what it does. They keep words and rows in one transaction, whoever writes."""


def upgrade() -> None:
    op.create_table(
        "contents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("modality", sa.String(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("duration", sa.Double(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("taken", sa.String(), nullable=True),
        sa.Column("camera", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contents")),
        sa.UniqueConstraint("sha256", name=op.f("uq_contents_sha256")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_contents_changed", "contents", ["changed"], unique=False)
    op.create_index("ix_contents_modality", "contents", ["modality"], unique=False)

    op.create_table(
        "library",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("floor", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_library_one_row")),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_library_space_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_library")),
    )
    op.create_table(
        "roots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roots")),
        sa.UniqueConstraint("path", name=op.f("uq_roots_path")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_table(
        "spaces",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("layout", sa.String(), nullable=False),
        sa.Column("filled", sa.Integer(), nullable=False),
        sa.Column("storage", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spaces")),
        sa.UniqueConstraint("name", name=op.f("uq_spaces_name")),
    )
    op.create_table(
        "tags",
        sa.Column("content_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["content_id"], ["contents.id"], name=op.f("fk_tags_content_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("content_id", "tag", name=op.f("pk_tags")),
    )
    op.create_index("ix_tags_tag", "tags", ["tag"], unique=False)
    op.create_table(
        "refusals",
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("content_id", sa.Integer(), nullable=False),
        sa.Column("failure", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["content_id"], ["contents.id"], name=op.f("fk_refusals_content_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_refusals_space_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("space_id", "content_id", name=op.f("pk_refusals")),
    )
    op.create_index("ix_refusals_content_id", "refusals", ["content_id"], unique=False)
    op.create_table(
        "projections",
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("base_id", sa.Integer(), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["base_id"], ["spaces.id"], name=op.f("fk_projections_base_id")),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_projections_space_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("space_id", name=op.f("pk_projections")),
    )
    op.create_table(
        "backgrounds",
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("query", sa.String(), nullable=False),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("segment", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("fitted", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_backgrounds_space_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("space_id", "query", "item", "segment", name=op.f("pk_backgrounds")),
    )
    op.create_table(
        "lists",
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("segment", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_lists_space_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("space_id", "item", "segment", name=op.f("pk_lists")),
    )
    op.create_table(
        "commits",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("mark", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("generation", name=op.f("pk_commits")),
    )

    op.create_table(
        "tombstones",
        sa.Column("segment_id", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("segment_id", name=op.f("pk_tombstones")),
    )
    op.create_index("ix_tombstones_generation", "tombstones", ["generation"], unique=False)

    op.create_table(
        "failures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("display", sa.String(), nullable=False),
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("mtime_ns", sa.Integer(), nullable=False),
        sa.Column("failure", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["root_id"], ["roots.id"], name=op.f("fk_failures_root_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failures")),
        sa.UniqueConstraint("path", name=op.f("uq_failures_path")),
    )
    op.create_index("ix_failures_failure", "failures", ["failure"], unique=False)
    op.create_index("ix_failures_root_id", "failures", ["root_id"], unique=False)

    op.create_table(
        "items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("display", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("bundle", sa.LargeBinary(), nullable=False),
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("content_id", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("mtime_ns", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("status IN ('present', 'missing')", name=op.f("ck_items_status")),
        sa.ForeignKeyConstraint(["content_id"], ["contents.id"], name=op.f("fk_items_content_id")),
        sa.ForeignKeyConstraint(["root_id"], ["roots.id"], name=op.f("fk_items_root_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_items")),
        sa.UniqueConstraint("path", name=op.f("uq_items_path")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_items_bundle_status", "items", ["bundle", "status"], unique=False)
    op.create_index("ix_items_content_id_status", "items", ["content_id", "status"], unique=False)
    op.create_index("ix_items_root_id", "items", ["root_id"], unique=False)

    op.create_table(
        "segments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("content_id", sa.Integer(), nullable=False),
        sa.Column("layout", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("modality", sa.String(), nullable=False),
        sa.Column("start", sa.Double(), nullable=True),
        sa.Column("end", sa.Double(), nullable=True),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("char_start", sa.Integer(), nullable=True),
        sa.Column("char_end", sa.Integer(), nullable=True),
        sa.Column("text", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["content_id"], ["contents.id"], name=op.f("fk_segments_content_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_segments_content_id_layout_ordinal", "segments", ["content_id", "layout", "ordinal"], unique=True
    )
    op.create_index(
        "ix_segments_content_id_modality_layout", "segments", ["content_id", "modality", "layout"], unique=False
    )

    op.create_table(
        "embeddings",
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("segment_id", sa.Integer(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["segment_id"], ["segments.id"], name=op.f("fk_embeddings_segment_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_embeddings_space_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("space_id", "segment_id", name=op.f("pk_embeddings")),
    )
    op.create_index("ix_embeddings_segment_id", "embeddings", ["segment_id"], unique=False)

    op.execute(f"CREATE VIRTUAL TABLE item_words USING fts5(name, folder, title, tags, tokenize = '{TOKENS}')")
    # The passages' text lies in segments already: the index alone is kept here.
    op.execute("CREATE VIEW passages AS SELECT id, text FROM segments WHERE text IS NOT NULL")
    passages = f"content = 'passages', content_rowid = 'id', tokenize = '{TOKENS}'"
    op.execute(f"CREATE VIRTUAL TABLE passage_words USING fts5(text, {passages})")
    for name, action in WORDS.items():
        op.execute(f"CREATE TRIGGER {name} {action}")


def downgrade() -> None:
    for trigger in WORDS:
        op.execute(f"DROP TRIGGER {trigger}")
    op.execute("DROP VIEW passages")
    for table in (
        "item_words",
        "passage_words",
        "tags",
        "refusals",
        "backgrounds",
        "embeddings",
        "lists",
        "segments",
        "items",
        "failures",
        "tombstones",
        "commits",
        "projections",
        "library",
        "spaces",
        "runs",
        "roots",
    ):
        op.drop_table(table)
    op.drop_table("contents")
