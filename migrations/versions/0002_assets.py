"""Datasets and checkpoints become assets, with what they were made by and from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MADE_BY = "(SELECT j.id FROM jobs j WHERE j.id::text = old.id::text)"
MADE_FROM = """ARRAY(SELECT DISTINCT value FROM jsonb_each_text(coalesce(old.manifest->'inputs', '{}'::jsonb))
  WHERE value IN (SELECT id::text FROM datasets UNION SELECT id FROM checkpoints) ORDER BY value)"""


def upgrade() -> None:
    now = sa.text("clock_timestamp()")
    op.create_table(
        "assets",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("notes", sa.String(), server_default="", nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("manifest", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("evaluation", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("made_by", sa.Uuid(), nullable=True),
        sa.Column("made_from", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=now, nullable=False),
        sa.Column("deleted_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["made_by"], ["jobs.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("assets_by_age", "assets", ["created_at", "id"])
    op.create_index("assets_made_from", "assets", ["made_from"], postgresql_using="gin")
    columns = "id, type, name, manifest, evaluation, made_by, made_from, created_at"
    op.execute(
        f"INSERT INTO assets ({columns}) "
        f"SELECT id::text, 'dataset', name, manifest, NULL, {MADE_BY}, {MADE_FROM}, created_at FROM datasets old"
    )
    op.execute(
        f"INSERT INTO assets ({columns}) "
        f"SELECT id, kind, name, manifest, evaluation, {MADE_BY}, {MADE_FROM}, created_at FROM checkpoints old"
    )
    op.drop_constraint("play_sessions_checkpoint_fkey", "play_sessions", type_="foreignkey")
    op.create_foreign_key(None, "play_sessions", "assets", ["checkpoint"], ["id"], ondelete="CASCADE")
    op.drop_table("datasets")
    op.drop_table("checkpoints")


def downgrade() -> None:
    raise RuntimeError("schema 0002 cannot be taken back: it keeps names, tags and lineage that 0001 has no room for")
