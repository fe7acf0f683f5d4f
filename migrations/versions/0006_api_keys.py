"""API keys, and whose key opened a play session."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    time = postgresql.TIMESTAMP(timezone=True)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("created_at", time, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("expires_at", time, nullable=True),
        sa.Column("last_used_at", time, nullable=True),
        sa.Column("revoked_at", time, nullable=True),
    )
    op.create_index("ix_api_keys_prefix", "api_keys", ["prefix"])
    op.add_column("play_sessions", sa.Column("key_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "play_sessions_key_id_fkey", "play_sessions", "api_keys", ["key_id"], ["id"], ondelete="SET NULL"
    )


def downgrade() -> None:
    op.drop_column("play_sessions", "key_id")
    op.drop_table("api_keys")
