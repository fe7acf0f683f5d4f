"""Jobs get names, artifacts get captions and roles, metrics get a time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# What the rows' columns told before: a preview was an event of its own, the log an artifact of this name.
ROLES = """UPDATE artifacts SET role = CASE WHEN name = 'runner.log' THEN 'log'
  WHEN media_type LIKE 'image/%' THEN 'preview' ELSE 'result' END"""
EVENTS = """UPDATE job_events e SET type = 'file', data = jsonb_build_object('id', a.id, 'name', a.name,
  'media_type', a.media_type, 'caption', '', 'role', 'preview', 'size', a.size, 'sha256', a.sha256)
  FROM artifacts a WHERE e.type = 'preview' AND a.id::text = e.data->>'artifact_id'"""

TIMES = """UPDATE metrics m SET created_at = e.created_at FROM job_events e
  WHERE e.job_id = m.job_id AND e.type = 'metrics' AND (e.data->>'step')::bigint = m.step"""


def upgrade() -> None:
    op.add_column("jobs", sa.Column("name", sa.String(), server_default="", nullable=False))
    op.execute("UPDATE jobs SET name = kind")
    op.add_column("artifacts", sa.Column("caption", sa.String(), server_default="", nullable=False))
    op.add_column("artifacts", sa.Column("role", sa.String(), server_default="result", nullable=False))
    op.execute(ROLES)
    op.execute(EVENTS)
    op.add_column("metrics", sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.execute(TIMES)
    op.alter_column("metrics", "created_at", server_default=sa.text("clock_timestamp()"))


def downgrade() -> None:
    raise RuntimeError("schema 0003 cannot be taken back: 0002 has no room for names, captions, roles and times")
