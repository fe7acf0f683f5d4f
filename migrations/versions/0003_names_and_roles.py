"""Jobs get names; artifacts get captions and roles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

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


def upgrade() -> None:
    op.add_column("jobs", sa.Column("name", sa.String(), server_default="", nullable=False))
    op.execute("UPDATE jobs SET name = kind")
    op.add_column("artifacts", sa.Column("caption", sa.String(), server_default="", nullable=False))
    op.add_column("artifacts", sa.Column("role", sa.String(), server_default="result", nullable=False))
    op.execute(ROLES)
    op.execute(EVENTS)


def downgrade() -> None:
    raise RuntimeError("schema 0003 cannot be taken back: 0002 has no room for names, captions and roles")
