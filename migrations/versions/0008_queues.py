"""Queues: priority, jobs that start after others, pauses, and the workers that serve them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# What a step of a plan waits for stood in its config alone, as the ids of the jobs that make its inputs.
AFTER = """
UPDATE jobs AS step SET after = needed.ids
FROM (
    SELECT later.id, array_agg(earlier.id) AS ids
    FROM jobs AS later JOIN jobs AS earlier
      ON earlier.plan_id = later.plan_id AND earlier.id <> later.id
     AND position(earlier.id::text IN later.config::text) > 0
    GROUP BY later.id
) AS needed
WHERE step.id = needed.id
"""


def upgrade() -> None:
    time, texts = postgresql.TIMESTAMP(timezone=True), postgresql.ARRAY(sa.String())
    now = sa.text("clock_timestamp()")
    op.add_column("jobs", sa.Column("priority", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("after", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False))
    op.execute(AFTER)
    op.create_index(
        "jobs_in_line",
        "jobs",
        ["queue", sa.text("priority DESC"), "created_at", "id"],
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "jobs_after", "jobs", ["after"], postgresql_using="gin", postgresql_where=sa.text("state = 'waiting'")
    )
    op.create_table(
        "queue_pauses",
        sa.Column("queue", sa.String(), primary_key=True),
        sa.Column("paused_at", time, server_default=now, nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("queues", texts, nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("disk_free_bytes", sa.BigInteger(), nullable=True),
        sa.Column("started_at", time, server_default=now, nullable=False),
        sa.Column("seen_at", time, server_default=now, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("workers")
    op.drop_table("queue_pauses")
    op.drop_index("jobs_after", table_name="jobs")
    op.drop_index("jobs_in_line", table_name="jobs")
    op.drop_column("jobs", "after")
    op.drop_column("jobs", "priority")
