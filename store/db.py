"""The database: one cached engine (sync SQLAlchemy over psycopg 3), a session scope, and the migrations.

with session_scope() as session:          # commits, or rolls back when the block raises
    session.add(Job(...))
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from terrarium.store.errors import Unavailable
from terrarium.store.settings import settings

if TYPE_CHECKING:
    from alembic.config import Config

TRANSACTION_TIMEOUT_SINCE = 17_00_00  # as libpq writes versions
MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


def sqlalchemy_url(url: str) -> URL:
    """`postgresql://` and `postgres://` become `postgresql+psycopg://`; anything else is a ValueError."""
    if not url:
        raise ValueError("no database: set DATABASE_URL, or start everything with `terrarium up`")
    parsed = make_url(url)
    if parsed.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise ValueError(f"DATABASE_URL starts with {parsed.drivername}://, expected postgresql://")
    return parsed.set(drivername="postgresql+psycopg")


def connection_options(url: str = "") -> dict[str, Any]:
    """What psycopg needs to connect to `url`, or else to the database of the settings.

    The server cancels a statement after `database_timeout_s`, and a transaction in which nothing was asked for
    `lease_s`: a worker that stands still must not lock its job's row. A peer whose machine vanished is noticed within a
    minute.
    """
    _, parts = PGDialect_psycopg().create_connect_args(sqlalchemy_url(url or settings().database_url))
    options = str(parts.pop("options", ""))
    limit_s = settings().database_timeout_s
    limits = {"statement_timeout": limit_s, "idle_in_transaction_session_timeout": settings().lease_s}
    set_limits = [f"-c {name}={math.ceil(seconds * 1000)}" for name, seconds in limits.items()]
    return {
        "conninfo": make_conninfo(**parts),  # not a URL: SQLAlchemy quotes not all that libpq wants quoted
        "options": " ".join([options, *set_limits]),
        "connect_timeout": max(2, math.ceil(limit_s)),  # libpq takes no less than 2
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }


class Connection(psycopg.Connection[Any]):
    """Gives up on a server that hangs, and so cancels nothing itself: an OperationalError, and it is closed."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        limit_s = settings().database_timeout_s + 1  # the server's own statement_timeout comes first
        try:
            return super().wait(gen, interval, limit_s if timeout is None else timeout)
        except psycopg.OperationalError as e:
            if timeout is None and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
                raise psycopg.OperationalError(f"the database did not answer within {limit_s:g} s") from e
            raise


def connect() -> Connection:
    """A connection to the database of the settings that commits every statement."""
    return Connection.connect(**connection_options(), autocommit=True)


@lru_cache
def engine_for(url: str) -> Engine:
    return create_engine(
        sqlalchemy_url(url),
        creator=lambda: _connect_for_transactions(url),
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=20,
        pool_timeout=settings().database_timeout_s,
    )


def _connect_for_transactions(url: str) -> Connection:
    """A connection whose transactions end after `lease_s`, whatever they are at.

    The limits of `connection_options` do not see a client that stands still between the statements of a pipeline: for
    the server it is neither idle nor in a statement. PostgreSQL before 17 has no limit for that.
    """
    connection = Connection.connect(**connection_options(url))
    if connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
        connection.execute(f"SET transaction_timeout = {math.ceil(settings().lease_s * 1000)}")
        connection.commit()
    return connection


def engine() -> Engine:
    """The engine of settings().database_url."""
    return engine_for(settings().database_url)


@contextmanager
def session_scope() -> Iterator[Session]:
    """One transaction. Objects stay readable after the commit."""
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def read_scope() -> Iterator[Session]:
    """For reading alone: each statement is a transaction of its own, so Postgres is asked for no BEGIN and no COMMIT.
    A later statement sees what was committed since the one before."""
    with Session(_autocommit(settings().database_url), expire_on_commit=False) as session:
        yield session


@lru_cache
def _autocommit(url: str) -> Engine:
    return engine_for(url).execution_options(isolation_level="AUTOCOMMIT")


def upgrade_database(url: str) -> None:
    """Brings the schema up to date; safe to call from several processes at once.

    Unavailable where a newer Terrarium has written it: there is no way back, since it would drop what the newer keeps.
    """
    from alembic import command

    config = _alembic(url)
    _check_known(config, url)
    command.upgrade(config, "head")


def check_schema(url: str) -> None:
    """Unavailable where the schema is not the one that this Terrarium works with."""
    from alembic.script import ScriptDirectory

    config = _alembic(url)
    found, head = _check_known(config, url), ScriptDirectory.from_config(config).get_current_head()
    if found != head:
        raise Unavailable(
            f"the database has schema {found}, this Terrarium works with {head}: "
            "start its gateway's machine first, with this version",
            code="older_schema",
        )


def _alembic(url: str) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = sqlalchemy_url(url)
    return config


def _check_known(config: Config, url: str) -> str | None:
    """The schema that the database has; Unavailable for one of a newer Terrarium."""
    from alembic.script import ScriptDirectory

    scripts, found = ScriptDirectory.from_config(config), _revision(url)
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        message = f"the database has schema {found}, this Terrarium knows up to {scripts.get_current_head()}"
        raise Unavailable(f"{message}: upgrade Terrarium, or choose another --data-dir", code="newer_schema")
    return found


def _revision(url: str) -> str | None:
    from alembic.migration import MigrationContext

    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


if __name__ == "__main__":  # python -m terrarium.store.db: brings DATABASE_URL to the newest schema
    upgrade_database(settings().database_url)
