"""What /metrics says, from rows in a real Postgres; and whether the dashboard asks for what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, func, null, update
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.store import line
from terrarium.store.db import engine
from terrarium.store.play_protocol import Frame, frame_latency_s, pack_frame
from terrarium.store.settings import settings
from terrarium.store.tables import Job, Run, Webhook, WebhookDelivery, Worker

DASHBOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "terrarium.json"
METRIC = re.compile(r"\bterrarium_\w+")
RECORD = {"kind": "dataset.record", "episodes": 2, "steps": 16}


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def samples(http: TestClient) -> dict[tuple[str, tuple[str, ...]], float]:
    """{(name, values of its labels in the order of their names): value}"""
    families = text_string_to_metric_families(http.get("/metrics").text)
    return {
        (s.name, tuple(v for _, v in sorted(s.labels.items()))): s.value for family in families for s in family.samples
    }


def submit(http: TestClient, db: Session, **values: object) -> UUID:
    """A job whose row then has `values`."""
    id = UUID(http.post("/v1/jobs", json=RECORD).json()["id"])
    if values:
        db.execute(update(Job).where(Job.id == id).values(values))
        db.commit()
    return id


def test_jobs_and_queues(http: TestClient, db: Session) -> None:
    empty = samples(http)
    assert empty["terrarium_queue_jobs", ("gpu.train", "queued")] == 0 and empty["terrarium_outbox_jobs", ()] == 0
    ago = func.clock_timestamp() - timedelta(seconds=100)
    submit(http, db, queued_at=ago)
    submit(http, db)
    times = {"started_at": ago, "finished_at": ago + timedelta(seconds=7)}
    for _ in range(2):
        submit(http, db, state="succeeded", **times)
    submit(http, db, state="cancelled")  # never started
    line.pause(db, "cpu")
    db.commit()
    found = samples(http)
    assert found["terrarium_jobs", ("queued",)] == 2 and found["terrarium_jobs", ("succeeded",)] == 2
    assert found["terrarium_queue_jobs", ("cpu", "queued")] == 2
    assert found["terrarium_queue_jobs", ("cpu", "running")] == 0
    assert found["terrarium_queue_oldest_wait_seconds", ("cpu",)] >= 100
    assert found["terrarium_queue_paused", ("cpu",)] == 1 and found["terrarium_queue_paused", ("gpu.train",)] == 0
    assert found["terrarium_job_run_seconds_count", ("dataset.record", "succeeded")] == 2
    assert found["terrarium_job_run_seconds_sum", ("dataset.record", "succeeded")] == pytest.approx(14)
    assert ("terrarium_job_run_seconds_count", ("dataset.record", "cancelled")) not in found
    assert found["terrarium_outbox_jobs", ()] == 5 and found["terrarium_outbox_lag_seconds", ()] > 0


def test_workers_steps_deliveries_and_the_disk(http: TestClient, db: Session) -> None:
    running = submit(http, db, state="running", fence=2, progress={"step": 3, "total": 9, "rate": 4.0})
    db.add(Run(job_id=running, fence=1, worker="before", state="lost"))
    db.add(Run(job_id=running, fence=2, worker="busy"))
    for name in ("busy", "idle", "before"):
        db.add(Worker(name=name, host="here", queues=["cpu"], memory_bytes=1, disk_free_bytes=1))
    db.flush()
    missed = func.clock_timestamp() - timedelta(seconds=10 * settings().heartbeat_s)
    db.execute(update(Worker).where(Worker.name == "before").values(seen_at=missed))
    hook = Webhook(name="", url="https://a.example", events=[], secret="")
    db.add(hook)
    db.flush()
    now = func.clock_timestamp()
    for over in ({}, {"due_at": null(), "delivered_at": now}, {"due_at": null(), "error": "500"}, {"due_at": null()}):
        db.add(WebhookDelivery(webhook_id=hook.id, event="ping", body="{}", **over))
    db.commit()
    found = samples(http)
    assert [found["terrarium_workers", (state,)] for state in ("busy", "idle", "gone")] == [1, 1, 1]
    assert found["terrarium_job_step_seconds", (str(running), "dataset.record", "busy")] == 0.25
    states = ("pending", "delivered", "failed")
    assert [found["terrarium_webhook_deliveries", (state,)] for state in states] == [1, 1, 2]
    assert found["terrarium_disk_free_bytes", ()] > 0
    assert found["terrarium_disk_reserve_bytes", ()] == settings().reserve_bytes


def test_a_scrape_asks_the_database_once(http: TestClient, db: Session) -> None:
    asked: list[str] = []

    def see(connection: object, cursor: object, statement: str, *rest: object) -> None:
        asked.append(statement)

    event.listen(engine(), "before_cursor_execute", see)
    try:
        assert http.get("/metrics").status_code == 200
    finally:
        event.remove(engine(), "before_cursor_execute", see)
    assert len(asked) == 1, asked


def test_latency_of_a_frame() -> None:
    frame = Frame(0, 1, 1, 1, 12.0, 3.0, 5.0, 20.0, 0.0, 0, b"", b"")
    assert frame_latency_s(pack_frame(frame)) == pytest.approx(0.02)
    assert frame_latency_s(pack_frame(frame._replace(model_ms=0.0))) is None


def test_the_dashboard_draws_what_there_is(http: TestClient, db: Session) -> None:
    ended = {"started_at": func.now(), "finished_at": func.now()}
    running = submit(http, db, state="running", fence=1, progress={"rate": 4.0})
    db.add(Run(job_id=running, fence=1, worker="busy"))
    submit(http, db, state="succeeded", **ended)
    there = {name for name, _ in samples(http)}
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    drawn = {name for panel in panels for t in panel["targets"] for name in METRIC.findall(t["expr"])}
    assert all(panel["targets"] for panel in panels) and drawn <= there, drawn - there
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
