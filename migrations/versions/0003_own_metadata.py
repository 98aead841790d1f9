"""Metadata that a person gives to contents.

Revision: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("content_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('text', 'whole', 'number', 'bool', 'date', 'datetime')", name=op.f("ck_meta_kind")
        ),
        sa.ForeignKeyConstraint(["content_id"], ["contents.id"], name=op.f("fk_meta_content_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("content_id", "key", name=op.f("pk_meta")),
    )
    op.create_index("ix_meta_key_number", "meta", ["key", "number"], unique=False)
    op.create_index("ix_meta_key_text", "meta", ["key", "text"], unique=False)


def downgrade() -> None:
    op.drop_table("meta")
