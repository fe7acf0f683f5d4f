"""Play sessions may take place in a block world."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("play_sessions", sa.Column("world", sa.String(), nullable=True))
    op.create_foreign_key("play_sessions_world_fkey", "play_sessions", "assets", ["world"], ["id"], ondelete="CASCADE")


def downgrade() -> None:
    op.drop_column("play_sessions", "world")
