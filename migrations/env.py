"""Runs migrations in one transaction, under an advisory lock: processes that start together take turns."""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import create_engine, pool, text
from sqlalchemy.engine import make_url

from terrarium.store.tables import Base

LOCK_ID = 0x7E44A01  # any constant of our own


def run() -> None:
    url = context.config.attributes.get("url")
    if url is None:
        url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=True,
            compare_server_default=True,
        )
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_ID})
            context.run_migrations()


run()
