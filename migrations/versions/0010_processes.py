"""Jobs of several processes, and how many a worker has room for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("jobs", "workers"):
        op.add_column(table, sa.Column("processes", sa.BigInteger(), server_default="1", nullable=False))


def downgrade() -> None:
    for table in ("jobs", "workers"):
        op.drop_column(table, "processes")
