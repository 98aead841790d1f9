"""Places: what a segment's part of its document is called.

Revision: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segments", sa.Column("place", sa.String(), nullable=True))


def downgrade() -> None:
    # A batch would copy the table, and lose its triggers.
    op.execute("ALTER TABLE segments DROP COLUMN place")
