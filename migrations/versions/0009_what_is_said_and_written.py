"""What is said in sounds and written in pictures: the lines of extractors, and segments that are cut from them.

Revision: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _of_extraction(name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["content_id", "source"],
        ["extractions.content_id", "extractions.source"],
        name=op.f(name),
        ondelete="CASCADE",
    )


def upgrade() -> None:
    op.add_column("segments", sa.Column("source", sa.String(), nullable=True))
    op.add_column("segments", sa.Column("box", sa.String(), nullable=True))
    op.create_table(
        "extractions",
        sa.Column("content_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("extractor", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("version", sa.String(), nullable=False),
        sa.CheckConstraint("state IN ('done', 'failed', 'skipped')", name=op.f("ck_extractions_state")),
        sa.ForeignKeyConstraint(
            ["content_id"], ["contents.id"], name=op.f("fk_extractions_content_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("content_id", "source", name=op.f("pk_extractions")),
    )
    op.create_table(
        "extraction_lines",
        sa.Column("content_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("start", sa.Double(), nullable=True),
        sa.Column("end", sa.Double(), nullable=True),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("box", sa.String(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("language", sa.String(), nullable=True),
        _of_extraction("fk_extraction_lines_content_id"),
        sa.PrimaryKeyConstraint("content_id", "source", "ordinal", name=op.f("pk_extraction_lines")),
    )
    op.create_table(
        "extraction_cuts",
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("content_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("cut", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name=op.f("fk_extraction_cuts_space_id"), ondelete="CASCADE"
        ),
        _of_extraction("fk_extraction_cuts_content_id"),
        sa.PrimaryKeyConstraint("space_id", "content_id", "source", name=op.f("pk_extraction_cuts")),
    )


def downgrade() -> None:
    op.drop_table("extraction_cuts")
    op.drop_table("extraction_lines")
    op.drop_table("extractions")
    op.execute("DELETE FROM segments WHERE source IS NOT NULL")
    op.drop_column("segments", "box")
    op.drop_column("segments", "source")
