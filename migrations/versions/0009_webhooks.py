"""Webhooks and what is to be delivered to them; plans whose end was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Nobody is told of plans that ended before there were webhooks.
ENDED = """
UPDATE plans SET told_at = clock_timestamp() WHERE NOT EXISTS (
    SELECT FROM jobs WHERE jobs.plan_id = plans.id AND jobs.state NOT IN ('succeeded', 'failed', 'cancelled')
)
"""


def upgrade() -> None:
    time, now = postgresql.TIMESTAMP(timezone=True), sa.text("clock_timestamp()")
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("old_secret", sa.String(), nullable=True),
        sa.Column("old_secret_until", time, nullable=True),
        sa.Column("failing_since", time, nullable=True),
        sa.Column("disabled_at", time, nullable=True),
        sa.Column("disabled_because", sa.String(), nullable=True),
        sa.Column("created_at", time, server_default=now, nullable=False),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("webhook_id", sa.Uuid(), sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due_at", time, server_default=now, nullable=True),
        sa.Column("delivered_at", time, nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("created_at", time, server_default=now, nullable=False),
    )
    op.create_index("deliveries_due", "webhook_deliveries", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))
    op.create_index("deliveries_by_age", "webhook_deliveries", ["webhook_id", "created_at", "id"])
    op.add_column("plans", sa.Column("told_at", time, nullable=True))
    op.execute(ENDED)
    op.create_index("plans_untold", "plans", ["id"], postgresql_where=sa.text("told_at IS NULL"))


def downgrade() -> None:
    op.drop_index("plans_untold", table_name="plans")
    op.drop_column("plans", "told_at")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
