"""Indexes that lists of jobs read, so that a filter does not look at every job."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("jobs_by_state", table_name="jobs")
    op.create_index("jobs_by_state", "jobs", ["state", "created_at", "id"])
    op.create_index("jobs_by_kind", "jobs", ["kind", "created_at", "id"])
    op.create_index("jobs_by_parent", "jobs", ["parent_id", "created_at", "id"])


def downgrade() -> None:
    for name in ("jobs_by_parent", "jobs_by_kind", "jobs_by_state"):
        op.drop_index(name, table_name="jobs")
    op.create_index("jobs_by_state", "jobs", ["state"])
