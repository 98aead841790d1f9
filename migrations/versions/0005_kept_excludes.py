"""What is left out below a root, when it was last scanned, and where backups and exports were written.

Revision: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "copies",
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_copies")),
    )
    op.add_column("roots", sa.Column("exclude", sa.String(), nullable=False, server_default=""))
    op.add_column("roots", sa.Column("scanned_at", sa.DateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("roots", "scanned_at")
    op.drop_column("roots", "exclude")
    op.drop_table("copies")
