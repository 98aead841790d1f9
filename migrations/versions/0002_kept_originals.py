"""Items say whether the library keeps their bytes.

Revision: 0002
Revises: 0001

Media that were handed over in memory have no file; the bytes of those that are kept lie below the library's folder. An
older release would take such an item for a file that is gone, so it must not open a library that may have some.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A plain ALTER TABLE: the table is not made again, so its triggers stay.
    op.add_column("items", sa.Column("kept", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.execute("ALTER TABLE items DROP COLUMN kept")
