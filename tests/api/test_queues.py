"""Queues over HTTP: places, starts, pauses, workers; changing jobs that wait, and cancelling many."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.api.outlook import Desk, starts
from terrarium.store import jobs, keys
from terrarium.store.settings import settings
from terrarium.store.tables import Job, Worker

RECORD = {"kind": "dataset.record", "episodes": 2, "steps": 16}


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def submit(http: TestClient, **params: Any) -> str:
    answer = http.post("/v1/jobs", json=RECORD | params.pop("config", {}), params=params)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def refused(answer: Any, status: int, code: str) -> str:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return str(answer.json()["detail"])


def queue(http: TestClient, name: str = "cpu") -> dict[str, Any]:
    return next(found for found in http.get("/v1/queues").json()["items"] if found["name"] == name)


def serve(db: Session, name: str = "w", queues: tuple[str, ...] = ("cpu",)) -> None:
    db.add(Worker(name=name, host="here", queues=list(queues), memory_bytes=2**20, disk_free_bytes=2**30))
    db.commit()


def test_starts_follow_who_is_free_first() -> None:
    both, cpu = frozenset({"cpu", "gpu"}), frozenset({"cpu"})
    desks = [Desk(both, 2, 10.0), Desk(cpu, 1, 3.0)]
    line = [("cpu", 1, 5.0), ("cpu", 1, 1.0), ("gpu", 2, math.inf), ("cpu", 1, 1.0), ("gpu", 1, 1.0), ("none", 1, 1.0)]
    assert starts(desks, line) == [3.0, 8.0, 10.0, 9.0, math.inf, math.inf]
    assert starts(desks, [("gpu", 3, 1.0)]) == [math.inf]


def test_places_and_starts(http: TestClient, db: Session) -> None:
    done = submit(http)
    took = {"state": "succeeded", "started_at": func.now(), "finished_at": func.now() + timedelta(seconds=40)}
    db.execute(update(Job).where(Job.id == UUID(done)).values(**took))
    db.commit()
    other = submit(http, config={"steps": 17})  # nothing like it has run
    ids = [submit(http, priority=p, config={"seed": i}) for i, p in enumerate((0, 3, 1))]
    assert [(p["id"], p["starts_in_s"]) for p in queue(http)["first"]] == [
        (id, None) for id in (ids[1], ids[2], other, ids[0])
    ]
    serve(db)
    first = queue(http)["first"]
    assert [p["starts_in_s"] for p in first] == [0.0, 40.0, 80.0, None] and [p["position"] for p in first] == [
        1,
        2,
        3,
        4,
    ]
    assert http.get(f"/v1/jobs/{ids[2]}/place").json() == first[1]
    refused(http.get(f"/v1/jobs/{done}/place"), 409, "job_not_queued")
    job = jobs.claim_next(db, ("cpu",), "w", 60)
    assert job is not None and str(job.id) == ids[1]
    jobs.record(db, job.id, job.fence, [], {"step": 1, "total": 2, "phase": "", "eta_s": 7.0})
    db.commit()
    assert [p["starts_in_s"] for p in queue(http)["first"]] == [7.0, 47.0, None]
    assert queue(http)["running"] == [ids[1]] and queue(http)["queued"] == 3
    (worker,) = http.get("/v1/workers").json()["items"]
    assert worker["job"]["id"] == ids[1] and worker["alive"] and worker["memory_bytes"] == 2**20
    db.execute(update(Worker).values(seen_at=func.now() - timedelta(minutes=10)))
    db.commit()
    assert not http.get("/v1/workers").json()["items"][0]["alive"]
    assert {p["starts_in_s"] for p in queue(http)["first"]} == {None}, "nobody takes them"


def test_a_paused_queue_says_so(http: TestClient, db: Session) -> None:
    serve(db)
    submit(http)
    assert http.post("/v1/queues/cpu/pause").json()["paused_at"] and queue(http)["paused_at"]
    assert queue(http)["first"][0]["starts_in_s"] is None
    assert http.post("/v1/queues/cpu/resume").json()["paused_at"] is None
    assert queue(http)["first"][0]["starts_in_s"] == 0.0
    assert http.post("/v1/queues/none/pause").status_code == 422


def test_priority_above_that_of_others_is_an_admins(
    http: TestClient, monkeypatch: pytest.MonkeyPatch, db: Session
) -> None:
    monkeypatch.setattr(settings(), "require_keys", True)
    ada, root = ({"Authorization": f"Bearer {keys.make(db, scope, (scope,))[1]}"} for scope in ("submit", "admin"))
    db.commit()
    post = {"json": RECORD, "params": {"priority": 1}}
    refused(http.post("/v1/jobs", headers=ada, **post), 403, "scope_missing")
    id = http.post("/v1/jobs", headers=ada, json=RECORD, params={"priority": -3}).json()["id"]
    assert http.patch(f"/v1/jobs/{id}", headers=ada, json={"priority": 0}).json()["priority"] == 0
    refused(http.patch(f"/v1/jobs/{id}", headers=ada, json={"priority": 2}), 403, "scope_missing")
    assert http.patch(f"/v1/jobs/{id}", headers=root, json={"priority": 2}).json()["priority"] == 2
    assert http.patch(f"/v1/jobs/{id}", headers=ada, json={"priority": 1}).json()["priority"] == 1, "lower is anybody's"
    refused(http.post("/v1/queues/cpu/pause", headers=ada), 403, "scope_missing")
    assert http.post("/v1/queues/cpu/pause", headers=root).status_code == 200


def test_a_job_that_waits_is_changed(http: TestClient, db: Session) -> None:
    id = submit(http)
    changed = http.patch(f"/v1/jobs/{id}", json={"name": "more", "config": {"episodes": 5}}).json()
    assert (changed["name"], changed["config"]["episodes"], changed["config"]["steps"]) == ("more", 5, 16)
    wrong = http.patch(f"/v1/jobs/{id}", json={"config": {"episodes": 0}})
    refused(wrong, 422, "invalid_input")
    assert wrong.json()["errors"][0]["loc"] == ["body", "episodes"]
    refused(http.patch(f"/v1/jobs/{id}", json={"config": {"kind": "tokenizer.train"}}), 422, "invalid_input")
    assert jobs.claim_next(db, ("cpu",), "w", 60) is not None
    db.commit()
    assert "is running" in refused(http.patch(f"/v1/jobs/{id}", json={"priority": 1}), 409, "job_started")
    steps = [{"name": "walks", "job": RECORD}]
    step = http.post("/v1/plans", json={"steps": steps}).json()["steps"][0]["job"]["id"]
    refused(http.patch(f"/v1/jobs/{step}", json={"config": {"episodes": 5}}), 409, "job_in_plan")
    assert http.patch(f"/v1/jobs/{step}", json={"priority": 5}).status_code == 200


def test_a_job_after_others(http: TestClient) -> None:
    first = submit(http)
    second = submit(http, after=[first])
    assert http.get(f"/v1/jobs/{second}").json()["state"] == "waiting"
    http.post(f"/v1/jobs/{first}/cancel")
    job = http.get(f"/v1/jobs/{second}").json()
    assert (
        job["state"] == "cancelled" and job["error"]["code"] == "earlier_not_made" and first in job["error"]["message"]
    )
    refused(http.post("/v1/jobs", json=RECORD, params={"after": [first]}), 409, "earlier_not_made")
    refused(http.post("/v1/jobs", json=RECORD, params={"after": [str(uuid4())]}), 404, "job_not_found")


def test_many_are_cancelled_at_once(http: TestClient, db: Session) -> None:
    ids = [submit(http) for _ in range(5)]
    after = submit(http, after=ids[:1])
    assert jobs.claim_next(db, ("cpu",), "w", 60) is not None
    db.commit()
    assert http.post("/v1/cancellations", json={"ids": [ids[1], str(uuid4())]}).json() == {
        "cancelled": 1,
        "cancelling": 0,
    }
    assert http.post("/v1/cancellations", json={"state": "queued"}).json() == {"cancelled": 3, "cancelling": 0}
    assert http.post("/v1/cancellations", json={"queue": "gpu.train"}).json() == {"cancelled": 0, "cancelling": 0}
    assert http.post("/v1/cancellations", json={"kind": "dataset.record"}).json() == {"cancelled": 1, "cancelling": 1}
    refused(http.post("/v1/cancellations", json={}), 422, "invalid_input")
    assert db.scalar(select(Job.state).where(Job.id == UUID(after))) == "cancelled"
