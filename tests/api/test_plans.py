"""REST of plans on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.store.tables import Asset, Job, Plan

RECORD = {"kind": "dataset.record", "episodes": 2, "steps": 16}
STEPS = [
    {"name": "walks", "job": RECORD},
    {"name": "eye", "job": {"kind": "tokenizer.train", "data": "@walks"}},
    {"name": "model", "job": {"kind": "world-model.train", "data": "@walks", "tokenizer": "@eye"}},
]


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def refused(http: TestClient, steps: list[Any], status: int = 422) -> dict[str, Any]:
    answer = http.post("/v1/plans", json={"steps": steps})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_plan_names_its_inputs_before_they_are_made(http: TestClient) -> None:
    answer = http.post("/v1/plans", json={"name": "Plains", "steps": STEPS})
    plan = answer.json()
    assert answer.status_code == 201 and answer.headers["location"] == f"/v1/plans/{plan['id']}"
    walks, eye, model = (step["job"] for step in plan["steps"])
    assert [job["state"] for job in (walks, eye, model)] == ["queued", "waiting", "waiting"] and plan[
        "state"
    ] == "queued"
    assert eye["config"]["data"] == model["config"]["data"] == walks["id"] and model["config"]["tokenizer"] == eye["id"]
    assert (model["name"], model["plan_id"], model["step"]) == ("Plains, model", plan["id"], "model")
    assert http.get(f"/v1/plans/{plan['id']}").json() == plan == http.get("/v1/plans").json()["items"][0]
    assert http.get("/v1/jobs?state=waiting").json()["items"][0] == model


def test_what_is_wrong_is_refused_with_its_step_and_nothing_is_queued(http: TestClient, db: Session) -> None:
    wrong = refused(http, [STEPS[0], {"name": "eye", "job": {"kind": "tokenizer.train", "data": "@walks", "steps": 0}}])
    assert wrong["detail"] == "steps.eye.steps: Input should be greater than or equal to 1"
    assert wrong["errors"][0]["loc"] == ["body", "steps", "eye", "steps"]
    assert "steps.model.data: takes @walks, expected a step before it: none" in refused(http, [STEPS[2]])["detail"]
    gone = [STEPS[0], {"name": "eye", "job": {"kind": "tokenizer.train", "data": "none-such"}}]
    assert refused(http, gone)["detail"] == "steps.eye.data: no such dataset"
    shipped = {"kind": "world-model.train", "data": "@walks", "start": "shipped"}
    db.add(Asset(id="dream", name="dream", type="world-model", manifest={"data": {"frame_size": [32, 32]}}))
    db.commit()
    misfit = refused(http, [STEPS[0], {"name": "model", "job": shipped | {"start": "dream"}}])
    assert misfit["code"] == "input_misfit" and misfit["errors"][0]["loc"] == ["body", "steps", "model", "start"]
    assert "was trained on frames of 32x32, the dataset has 64x64" in misfit["detail"]
    assert refused(http, [{"name": "Bad name", "job": RECORD}])["errors"][0]["loc"] == ["body", "steps", 0, "name"]
    assert refused(http, [])["code"] == "invalid_input"
    assert db.scalar(select(func.count()).select_from(Job)) == db.scalar(select(func.count()).select_from(Plan)) == 0


def test_the_same_key_makes_one_plan(http: TestClient, db: Session) -> None:
    def send(_: int) -> Any:
        return http.post("/v1/plans", json={"steps": STEPS}, headers={"Idempotency-Key": "k"})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert sorted(a.status_code for a in answers) == [200, 200, 200, 201]
    assert len({a.json()["id"] for a in answers}) == 1 and db.scalar(select(func.count()).select_from(Job)) == 3
    for path, body in (("/v1/plans", {"steps": STEPS[:1]}), ("/v1/jobs", RECORD)):
        answer = http.post(path, json=body, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")


def test_cancel_and_retry(http: TestClient) -> None:
    plan = http.post("/v1/plans", json={"steps": STEPS}).json()
    walks, eye, _ = (step["job"]["id"] for step in plan["steps"])
    cancelled = http.post(f"/v1/plans/{plan['id']}/cancel")
    assert cancelled.status_code == 202 and cancelled.json()["state"] == "cancelled"
    assert {step["job"]["state"] for step in cancelled.json()["steps"]} == {"cancelled"}
    assert http.get(f"/v1/jobs/{eye}").json()["error"]["code"] == "step_not_made"
    again = http.post(f"/v1/jobs/{walks}/retry").json()
    plan = http.get(f"/v1/plans/{plan['id']}").json()
    assert [step["job"]["state"] for step in plan["steps"]] == ["queued", "waiting", "waiting"]
    assert plan["steps"][0]["job"]["id"] == again["id"] == plan["steps"][2]["job"]["config"]["data"]
    missing = http.get(f"/v1/plans/{walks}")
    assert (missing.status_code, missing.json()["code"]) == (404, "plan_not_found")


def test_playable_from_words_and_from_a_world(http: TestClient, db: Session) -> None:
    words = http.post("/v1/playable", json={"prompt": " a hut ", "preset": "debug"}).json()
    assert words["name"] == "a hut"
    assert [step["name"] for step in words["steps"]] == ["world", "recording", "tokenizer", "world-model"]
    assert words["steps"][1]["job"]["config"]["map"] == words["steps"][0]["job"]["id"]
    db.add(Asset(id="hill", name="Hill", type="block-world", manifest={"kind": "block-world", "size": [16, 16, 16]}))
    db.commit()
    here = http.post("/v1/playable", json={"world": "hill", "preset": "debug"}).json()
    assert here["name"] == "Play in Hill" and here["steps"][0]["job"]["config"]["map"] == "hill"
    for body, detail in (
        ({}, "prompt: neither a prompt nor a world: expected one of them"),
        ({"world": "none-such"}, "there is no asset none-such"),
        ({"prompt": "x", "preset": "huge"}, "preset: Input should be 'debug', 'cpu' or 'small'"),
    ):
        assert http.post("/v1/playable", json=body).json()["detail"] == detail


def test_the_texture_plan_is_queued_as_a_chain(http: TestClient) -> None:
    plan = http.post("/v1/texture", json={"preset": "debug", "release": "a trial"}).json()
    jobs = {step["name"]: step["job"] for step in plan["steps"]}
    assert len(jobs) == 14 and {name for name, job in jobs.items() if job["state"] == "queued"} == {"clean", "game"}
    assert jobs["b"]["config"]["start"] == jobs["a"]["id"]
    assert jobs["b"]["config"]["albedo"] == jobs["a-albedo-syn"]["id"]
    assert jobs["d-height"]["config"]["release"] == "a trial"
    wrong = http.post("/v1/texture", json={"preset": "debug", "clean": "none-such"}).json()
    assert "steps.a0.clean: no such texture-set" in wrong["detail"]


def test_a_closed_gate_is_released_with_a_reason(http: TestClient, db: Session) -> None:
    """B's gate is closed and C has failed of it; C and what follows are tried again, and C's config says why."""
    plan = http.post("/v1/texture", json={"preset": "debug", "release": ""}).json()
    jobs = {step["name"]: step["job"]["id"] for step in plan["steps"]}
    b, c = (db.get(Job, jobs[name]) for name in ("b", "c"))
    assert b is not None and c is not None
    b.state, b.result = "succeeded", {"gate": {"open": False, "why": "epoch 3: game 0.0795 > 0.0789"}}
    db.commit()
    body = {"step": "b", "why": "seen"}
    early = http.post(f"/v1/plans/{plan['id']}/release", json=body)
    assert (early.status_code, early.json()["code"]) == (409, "gate_not_closed")
    c.state, c.error = "failed", {"code": "invalid_input", "message": "start has a closed gate"}
    db.commit()
    for wrong, status in (({"step": "b", "why": ""}, 422), ({"step": "a", "why": "x"}, 409)):
        assert http.post(f"/v1/plans/{plan['id']}/release", json=wrong).status_code == status
    answer = http.post(f"/v1/plans/{plan['id']}/release", json=body)
    assert answer.status_code == 202, answer.text
    now = {step["name"]: step["job"] for step in answer.json()["steps"]}
    assert now["c"]["id"] != jobs["c"] and now["c"]["config"]["release"] == "seen"
    assert now["c"]["config"]["start"] == jobs["b"] and now["cp"]["config"]["start"] == now["c"]["id"]
    assert now["cp"]["config"]["release"] == "" and now["b"]["id"] == jobs["b"]
    again = http.post(f"/v1/plans/{plan['id']}/release", json=body)
    assert again.status_code == 409
