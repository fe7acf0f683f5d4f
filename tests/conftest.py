"""Real services for every test that wants them.

database_url  an embedded PostgreSQL, migrated, for the whole run; DATABASE_URL names it
redis_url     an embedded Redis for the whole run; REDIS_URL names it
db            a Session; before and afterwards every table is emptied
redis         a client; afterwards the server is emptied
data_dir      an empty data directory for one test; TERRARIUM_DATA_DIR names it
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from terrarium.store.settings import settings

if TYPE_CHECKING:
    from redis import Redis
    from sqlalchemy.orm import Session


if "PYTEST_XDIST_WORKER" in os.environ:  # before torch and numba are loaded: one thread for each process of the tests
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
# Of every player that a test starts: minutes of a core for each. tests/workers/test_freezer.py compiles by itself.
os.environ.setdefault("TERRARIUM_COMPILE_PLAY", "false")


@contextmanager
def named_in_environment(name: str, value: str) -> Iterator[None]:
    """Sets an environment variable and lets settings() read it again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value)
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def services_dir() -> Iterator[Path]:
    """Short, because sockets lie in it, and away from any running `terrarium up`."""
    path = Path(tempfile.mkdtemp(prefix="terrarium-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def database_url(services_dir: Path) -> Iterator[str]:
    from terrarium.store.db import engine_for, upgrade_database
    from terrarium.store.embedded import Postgres

    no_sync = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
    postgres = Postgres(
        services_dir / "postgres", services_dir / "sockets", services_dir / "postgres.log", options=no_sync
    )
    postgres.start()
    try:
        postgres.wait_ready()
        upgrade_database(postgres.url)
        with named_in_environment("DATABASE_URL", postgres.url):
            yield postgres.url
        engine_for(postgres.url).dispose()
    finally:
        postgres.stop()


@pytest.fixture(scope="session")
def redis_url(services_dir: Path) -> Iterator[str]:
    from terrarium.store.embedded import Redis

    server = Redis(services_dir / "redis", services_dir / "sockets", services_dir / "redis.log")
    server.start()
    try:
        server.wait_ready()
        with named_in_environment("REDIS_URL", server.url):
            yield server.url
    finally:
        server.stop()


@pytest.fixture
def db(database_url: str) -> Iterator[Session]:
    from sqlalchemy import text
    from sqlalchemy.orm import Session

    from terrarium.store.db import engine_for
    from terrarium.store.tables import Base

    engine = engine_for(database_url)
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)

    def empty() -> None:
        with engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))

    empty()  # of what tests left that have no session of their own
    with Session(engine, expire_on_commit=False) as session:
        yield session
        session.rollback()
    empty()
    engine.dispose()  # a connection keeps the limits that it was opened with, and tests shorten them


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    from redis import Redis

    with Redis.from_url(redis_url) as client:
        yield client
        client.flushall()


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    with named_in_environment("TERRARIUM_DATA_DIR", str(tmp_path)):
        yield tmp_path
