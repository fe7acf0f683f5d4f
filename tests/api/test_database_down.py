"""A database that hangs and one that is asked by too many: answers with 503 in seconds, never a 500 or silence."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.store.db import engine
from terrarium.store.settings import settings

PATIENCE_S = 60.0  # for an answer; without limits there is none


@pytest.fixture
def http(
    db: Session, database_url: str, redis_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """Of a gateway that gives up soon, with a pool of its own; `db` empties the tables afterwards."""
    monkeypatch.setenv("TERRARIUM_DATABASE_TIMEOUT_S", "0.5")
    monkeypatch.setenv("DATABASE_URL", f"{database_url}&application_name=impatient")
    settings.cache_clear()
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client
    engine().dispose()
    monkeypatch.undo()
    settings.cache_clear()


@contextmanager
def stopped(postgres_home: Path) -> Iterator[None]:
    """Every process of the server stands still."""
    postmaster = psutil.Process(int((postgres_home / "postmaster.pid").read_text().split()[0]))
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in family:
            process.send_signal(signal.SIGCONT)


def is_unavailable(response: Any) -> bool:
    assert response.headers["content-type"] == "application/problem+json", response.text
    assert response.status_code == 503 and response.headers["retry-after"] == "2"
    return response.json()["code"] == "unavailable"


def test_a_database_that_hangs_is_given_up(http: TestClient, services_dir: Path) -> None:
    assert http.get("/v1/jobs").status_code == 200
    with ThreadPoolExecutor() as pool, stopped(services_dir / "postgres"):
        # The first has a connection that stopped answering, the second needs a new one.
        for _ in range(2):
            assert is_unavailable(pool.submit(http.get, "/v1/jobs").result(PATIENCE_S))
    assert http.get("/v1/jobs").status_code == 200


def test_a_pool_without_a_free_connection_asks_to_come_again(http: TestClient) -> None:
    with ExitStack() as held:
        while engine().pool.checkedout() < 30:  # type: ignore[attr-defined]
            held.enter_context(engine().connect())
        assert is_unavailable(http.get("/v1/jobs"))
    assert http.get("/v1/jobs").status_code == 200


def test_a_statement_that_waits_for_a_lock_is_cancelled(http: TestClient) -> None:
    with ThreadPoolExecutor() as pool, engine().connect() as holder:
        holder.exec_driver_sql("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        assert is_unavailable(pool.submit(http.get, "/v1/jobs").result(PATIENCE_S))
    assert http.get("/v1/jobs").status_code == 200
