"""The schema, the session scope and the fixtures themselves, on a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import cast
from urllib.parse import quote

import pytest
from conftest import named_in_environment
from psycopg import OperationalError
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import IdleInTransactionSessionTimeout
from sqlalchemy import Engine, create_engine, func, inspect, select, text
from sqlalchemy.orm import Session

from terrarium.store.db import (
    Connection,
    connect,
    connection_options,
    engine,
    read_scope,
    session_scope,
    sqlalchemy_url,
    upgrade_database,
)
from terrarium.store.errors import Unavailable
from terrarium.store.settings import settings
from terrarium.store.tables import Base, Job


def tables_of(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def test_migrations_give_exactly_the_metadata(empty_database: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    upgrade_database(empty_database)
    upgrade_database(empty_database)  # a second time changes nothing
    engine = create_engine(sqlalchemy_url(empty_database))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == [], "a migration is missing: see migrations/__init__.py"
    assert tables_of(engine) == {"alembic_version", *Base.metadata.tables}
    engine.dispose()


def test_a_newer_schema_is_refused(empty_database: str) -> None:
    upgrade_database(empty_database)
    engine = create_engine(sqlalchemy_url(empty_database))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unavailable, match=r"has schema 9999, this Terrarium knows up to .*: upgrade Terrarium"):
        upgrade_database(empty_database)
    engine.dispose()


def test_session_scope_commits_or_rolls_back(db: Session) -> None:
    with session_scope() as session:
        job = Job(kind="dataset.record", config={"seed": 1}, queue="cpu")
        session.add(job)
    assert job.config == {"seed": 1}  # readable after the commit
    with pytest.raises(RuntimeError, match="half way"), session_scope() as session:
        session.add(Job(kind="dataset.record", config={}, queue="cpu"))
        session.flush()
        raise RuntimeError("half way")
    assert db.scalar(select(func.count()).select_from(Job)) == 1


def test_the_db_fixture_leaves_a_clean_database(db: Session) -> None:
    assert db.scalar(select(func.count()).select_from(Job)) == 0
    assert engine().url.drivername == "postgresql+psycopg"


def test_connections_that_died_in_the_pool_are_replaced(db: Session) -> None:
    db.scalar(select(1))  # keeps its own out of the pool
    with session_scope() as one, session_scope() as another:
        dead = {session.scalar(select(func.pg_backend_pid())) for session in (one, another)}
    for pid in dead:
        db.scalar(select(func.pg_terminate_backend(pid)))
    for scope in (session_scope, read_scope):
        with scope() as session:
            assert session.scalar(select(func.pg_backend_pid())) not in dead


@pytest.mark.parametrize(
    ("url", "message"), [("", "set DATABASE_URL"), ("mysql://x/y", "mysql://, expected postgresql://")]
)
def test_a_wrong_url_says_so(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sqlalchemy_url(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgres_gets_psycopg_3(scheme: str) -> None:
    url = sqlalchemy_url(f"{scheme}://me:secret@host/db?sslmode=require")
    assert url.render_as_string(hide_password=False) == "postgresql+psycopg://me:secret@host/db?sslmode=require"


def test_libpq_s_variables_say_what_the_url_leaves_out(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a deployment quotes no password. Both ways to the database: the engine's, and that of what listens."""
    for name, value in conninfo_to_dict(connection_options()["conninfo"]).items():
        monkeypatch.setenv({"host": "PGHOST", "user": "PGUSER", "dbname": "PGDATABASE"}[name], str(value))
    monkeypatch.setenv("PGAPPNAME", "ours")
    with named_in_environment("DATABASE_URL", "postgresql://"):
        with session_scope() as session, connect() as listener:
            assert session.scalar(text("SHOW application_name")) == "ours"
            assert listener.execute("SHOW application_name").fetchone() == ("ours",)
        engine().dispose()


@pytest.mark.parametrize("password", ["p@ss:w/rd", "a space", "# a comment", "1%41+$x'\\\""])
def test_a_quoted_password_is_read_alike_by_both(password: str) -> None:
    with named_in_environment("DATABASE_URL", f"postgresql://me:{quote(password, safe='')}@host/db"):
        assert conninfo_to_dict(connection_options()["conninfo"])["password"] == password
        assert engine().url.password == password


def test_a_transaction_that_is_left_open_gives_its_locks_back(
    db: Session, database_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.add(Job(kind="dataset.record", config={}, queue="cpu"))
    db.commit()
    monkeypatch.setenv("TERRARIUM_LEASE_S", "0.5")
    settings.cache_clear()
    with Connection.connect(**connection_options(database_url)) as left:
        monkeypatch.delenv("TERRARIUM_LEASE_S")  # the limit is not to end the one who waits, too
        settings.cache_clear()
        left.execute("SELECT * FROM jobs FOR UPDATE")
        assert db.scalars(select(Job).with_for_update()).one(), "waits until the server ends the other"
        with pytest.raises(IdleInTransactionSessionTimeout):
            left.execute("SELECT 1")


def test_a_pipeline_that_is_left_open_gives_its_locks_back(
    db: Session, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the server its client is neither idle nor in a statement."""
    db.add(Job(kind="dataset.record", config={}, queue="cpu"))
    db.commit()
    monkeypatch.setenv("TERRARIUM_LEASE_S", "0.5")
    settings.cache_clear()
    engine().dispose()  # a connection keeps the limits that it was opened with
    pooled = engine().raw_connection()
    monkeypatch.delenv("TERRARIUM_LEASE_S")  # the limit is not to end the one who waits, too
    settings.cache_clear()
    left = cast(Connection, pooled.driver_connection)
    with pytest.raises(OperationalError, match=r"terminat|closed"), left.pipeline():
        left.execute("SELECT * FROM jobs FOR UPDATE")
        left.pgconn.send_flush_request()  # without the sync that would make it idle
        left.pgconn.flush()
        assert db.scalars(select(Job).with_for_update()).one(), "waits until the server ends the other"
    pooled.invalidate()
