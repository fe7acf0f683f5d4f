"""The database: one cached engine (sync SQLAlchemy over psycopg 3), a session scope, and the migrations.

with session_scope() as session:          # commits, or rolls back when the block raises
    session.add(Job(...))
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from store.settings import settings

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


def sqlalchemy_url(url: str) -> URL:
    """`postgresql://` and `postgres://` become `postgresql+psycopg://`; anything else is a ValueError."""
    if not url:
        raise ValueError("no database: set DATABASE_URL, or start everything with `terrarium up`")
    parsed = make_url(url)
    if parsed.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise ValueError(f"DATABASE_URL starts with {parsed.drivername}://, expected postgresql://")
    return parsed.set(drivername="postgresql+psycopg")


@lru_cache
def engine_for(url: str) -> Engine:
    return create_engine(sqlalchemy_url(url), pool_pre_ping=True, pool_size=10, max_overflow=20)


def engine() -> Engine:
    """The engine of settings().database_url."""
    return engine_for(settings().database_url)


@contextmanager
def session_scope() -> Iterator[Session]:
    """One transaction. Objects stay readable after the commit."""
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session


def upgrade_database(url: str, revision: str = "head") -> None:
    """Brings the schema to `revision`; safe to call from several processes at once."""
    _alembic(url, "upgrade", revision)


def downgrade_database(url: str, revision: str = "base") -> None:
    _alembic(url, "downgrade", revision)


def _alembic(url: str, verb: str, revision: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = sqlalchemy_url(url)
    getattr(command, verb)(config, revision)


if __name__ == "__main__":  # python -m store.db: brings DATABASE_URL to the newest schema
    upgrade_database(settings().database_url)
