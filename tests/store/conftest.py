"""A second database on the server of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text

from terrarium.store.db import sqlalchemy_url


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    server = create_engine(sqlalchemy_url(database_url), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE scratch"))
        yield database_url.replace("/postgres?", "/scratch?")
        connection.execute(text("DROP DATABASE scratch WITH (FORCE)"))
    server.dispose()
