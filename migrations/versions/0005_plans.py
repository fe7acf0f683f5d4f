"""Plans: jobs that follow each other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    now = sa.text("clock_timestamp()")
    op.create_table(
        "plans",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("steps", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=now, nullable=False),
    )
    op.create_index("plans_by_age", "plans", ["created_at", "id"])
    op.add_column("jobs", sa.Column("plan_id", sa.Uuid(), nullable=True))
    op.add_column("jobs", sa.Column("step", sa.String(), nullable=True))
    op.create_foreign_key("jobs_plan_id_fkey", "jobs", "plans", ["plan_id"], ["id"], ondelete="SET NULL")
    op.create_index("ix_jobs_plan_id", "jobs", ["plan_id"])


def downgrade() -> None:
    op.drop_index("ix_jobs_plan_id", table_name="jobs")
    op.drop_column("jobs", "step")
    op.drop_column("jobs", "plan_id")
    op.drop_table("plans")
