"""A disk full to the last byte under a real `terrarium up`: what runs goes on running, and says what is amiss."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from processes import until
from small_disk import fill, small_disk

from terrarium.store.embedded import socket_dir
from tests.cli.test_up import Up, alive

RECORD = {"kind": "dataset.record", "steps": 256}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TERRARIUM_RESERVE_MB", "32")
    with small_disk(tmp_path / "disk", 240) as disk:
        yield disk


def test_everything_stays_up_on_a_full_disk(small: Path) -> None:
    up = Up(small / "data", "up")
    try:
        up.wait_ready()
        until(lambda: {"dispatcher", "worker"} <= up.pids().keys())
        with httpx.Client(base_url=up.run()["url"], timeout=10) as http:
            go_through_it(http, up, small)
    finally:
        assert up.end(signal.SIGINT) == 0, up.text()


def go_through_it(http: httpx.Client, up: Up, small: Path) -> None:
    def submit(**change: Any) -> httpx.Response:
        return http.post("/v1/jobs", json=RECORD | change)

    def job(id: str) -> dict[str, Any]:
        return http.get(f"/v1/jobs/{id}").json()

    assert http.get("/health/ready").json()["disk"]["reserve_bytes"] == 32_000_000
    refused = submit(episodes=100).json()
    assert refused["code"] == "disk_full" and "takes about 317.4 MB" in refused["detail"]

    id = submit(episodes=40).json()["id"]
    until(lambda: job(id)["progress"])
    before = up.pids()
    filler = fill(small)
    until(lambda: job(id)["state"] == "failed")
    error = job(id)["error"]
    assert error["code"] == "disk_full" and f"{small}/data has " in error["message"], error
    assert "largest there: postgres" in error["message"]
    until(lambda: not (small / "data" / "runs" / id).exists())
    filler = fill(small)  # also what the job has left

    ready = http.get("/health/ready")
    assert ready.status_code == 503 and ready.json()["detail"].startswith(f"low disk: {small}/data has 0 B free")
    assert submit(episodes=2).json()["code"] == "disk_full"
    assert [item["id"] for item in http.get("/v1/jobs").json()["items"]] == [id]
    assert up.pids() == before and all(map(alive, before.values())), up.text()

    # What is killed now is started again, and run.json knows it.
    for name in ("redis", "worker"):
        os.kill(before[name], signal.SIGKILL)
    until(lambda: {name for name, pid in up.pids().items() if pid != before[name]} == {"redis", "worker"})
    end_postgres(small / "data")
    assert "low disk" in http.get("/health/ready").json()["detail"]

    filler.unlink()
    until(lambda: http.get("/health/ready").status_code == 200)
    id = submit(episodes=2, steps=16).json()["id"]
    until(lambda: job(id)["state"] == "succeeded")


def end_postgres(data_dir: Path) -> None:
    """Uses up its log: the next segment cannot be made, and it ends by a PANIC."""
    url = f"postgresql://terrarium@/postgres?host={socket_dir(data_dir)}/pg"
    connection = psycopg.connect(url, autocommit=True)
    with pytest.raises(psycopg.OperationalError):
        for _ in range(20):
            connection.execute("SELECT pg_logical_emit_message(true, '', repeat('x', 2000000))")
    assert connection.closed
