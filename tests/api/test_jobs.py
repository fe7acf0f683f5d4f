"""REST of jobs and what they leave behind, on a real Postgres; every error as problem+json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.store import artifacts, jobs
from terrarium.store.events import Event
from terrarium.store.settings import settings
from terrarium.store.tables import Artifact, Asset, Job, Metric, Outbox

RECORD = {"kind": "dataset.record", "episodes": 2, "steps": 16}


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The body, which must be a problem of this status and code."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code), body
    assert body["type"] == f"urn:terrarium:error:{code}" and body["title"] and body["detail"]
    return body


def submit(http: TestClient, **headers: str) -> dict[str, Any]:
    response = http.post("/v1/jobs", json=RECORD, headers=headers)
    assert response.status_code in (200, 201), response.text
    return response.json()


# ---- submitting


def test_a_job_is_queued_with_its_defaults_and_its_message(http: TestClient, db: Session) -> None:
    response = http.post("/v1/jobs", json=RECORD)
    job = response.json()
    assert response.status_code == 201 and response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["state"] == "queued" and job["progress"] is None and job["attempt"] == 0
    assert job["config"]["world"] == "mixed" and job["config"]["episodes"] == 2
    assert db.scalars(select(Outbox.job_id)).one() == UUID(job["id"])
    assert http.get(f"/v1/jobs/{job['id']}").json() == job


def test_a_job_has_a_name(http: TestClient, db: Session) -> None:
    data = str(uuid4())
    db.add(Asset(id=data, type="dataset", name="Harbour walks", manifest={"episodes": []}))
    db.commit()
    debug = http.get("/v1/job-kinds").json()["tokenizer.train"]["presets"]["debug"] | {"data": data}
    made = http.post("/v1/jobs", json=debug).json()
    assert made["name"] == "Train a tokenizer, Harbour walks, debug"
    assert http.post("/v1/jobs", json=debug | {"steps": 21}).json()["name"] == "Train a tokenizer, Harbour walks"
    given = http.post("/v1/jobs", params={"name": "Señal 1"}, json=debug).json()
    assert given["name"] == "Señal 1"
    http.post(f"/v1/jobs/{given['id']}/cancel")
    assert http.post(f"/v1/jobs/{given['id']}/retry").json()["name"] == "Señal 1"
    problem(http.post("/v1/jobs", params={"name": "x" * 101}, json=debug), 422, "invalid_input")


def test_unknown_kind_lists_the_kinds(http: TestClient) -> None:
    body = problem(http.post("/v1/jobs", json={"kind": "world.paint"}), 422, "invalid_input")
    assert body["errors"][0]["loc"] == ["body", "kind"] and body["errors"][0]["value"] == "world.paint"
    for kind in (
        "dataset.record",
        "dataset.record-gym",
        "dataset.import-play",
        "tokenizer.train",
        "world-model.train",
        "world-model.evaluate",
    ):
        assert kind in body["detail"]


def test_no_client_names_code_to_import(http: TestClient) -> None:
    body = problem(http.post("/v1/jobs", json={"kind": "dataset.record-gym", "env": "os:system"}), 422, "invalid_input")
    (error,) = body["errors"]
    assert error["loc"] == ["body", "env"] and "one of crafter:Env" in error["msg"] and error["value"] == "os:system"
    for env in ("crafter:Env", "CartPole-v1"):
        assert http.post("/v1/jobs", json={"kind": "dataset.record-gym", "env": env}).status_code == 201


def test_no_client_names_a_folder_to_read(http: TestClient) -> None:
    for path in ("/etc", "..", "a\x00b"):
        body = {"kind": "dataset.import-play", "plays": [path]}
        (error,) = problem(http.post("/v1/jobs", json=body), 422, "invalid_input")["errors"]
        assert error["loc"][:2] == ["body", "plays"] and error["msg"] == "no such play"
    (error,) = problem(http.post("/v1/jobs", json={"kind": "dataset.import-play"}), 422, "invalid_input")["errors"]
    assert "nothing was recorded here yet" in error["msg"]
    assert http.post("/v1/jobs", json={"kind": "dataset.import", "path": "/etc"}).status_code == 422


@pytest.mark.parametrize(
    "change, field, says",
    [
        ({"colour": "red"}, "colour", "Unexpected keyword"),
        ({"episodes": 1}, "episodes", "greater than or equal to 2"),
        ({"episodes": "12"}, "episodes", "valid integer"),
        ({"episodes": True}, "episodes", "valid integer"),
        ({"episodes": None}, "episodes", "valid integer"),
        ({"world": "moon"}, "world", "'mixed'"),
        ({"seed": 2**70}, "seed", ""),
    ],
)
def test_a_wrong_field_is_named_with_its_value(http: TestClient, change: Any, field: str, says: str) -> None:
    body = problem(http.post("/v1/jobs", json=RECORD | change), 422, "invalid_input")
    (error,) = body["errors"]
    assert error["loc"] == ["body", field] and says in error["msg"]
    assert error["value"] == change[field] and field in body["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(http: TestClient, db: Session, number: str) -> None:
    db.add(Asset(id=str(uuid4()), type="dataset", name="d", manifest={}))
    db.commit()
    data = db.scalars(select(Asset.id).where(Asset.type == "dataset")).one()
    raw = f'{{"kind": "tokenizer.train", "data": "{data}", "checkpoint_every_s": {number}}}'
    response = http.post("/v1/jobs", content=raw, headers={"content-type": "application/json"})
    assert problem(response, 422, "invalid_input")["errors"][0]["loc"] == ["body", "checkpoint_every_s"]


def test_no_body_no_json_wrong_type(http: TestClient) -> None:
    json_type = {"content-type": "application/json"}
    problem(http.post("/v1/jobs"), 415, "unsupported_media_type")
    problem(
        http.post("/v1/jobs", content=b"kind=x", headers={"content-type": "text/plain"}), 415, "unsupported_media_type"
    )
    problem(http.post("/v1/jobs", content=b'{"kind": ', headers=json_type), 400, "malformed_json")
    problem(http.post("/v1/jobs", content=b"", headers=json_type), 400, "malformed_json")
    problem(http.post("/v1/jobs", content=b"[1]", headers=json_type), 422, "invalid_input")
    problem(http.post("/v1/jobs", content=b'{"kind": "\xff"}', headers=json_type), 400, "malformed_json")


def test_inputs_must_exist_and_be_of_their_kind(http: TestClient, db: Session) -> None:
    dataset = uuid4()
    db.add(Asset(id=str(dataset), type="dataset", name="d", manifest={}))
    db.add(Asset(id="model", name="s", type="world-model", manifest={}))
    db.add(Asset(id="eye", name="e", type="tokenizer", manifest={}))
    db.commit()
    train = {"kind": "world-model.train", "data": str(dataset), "tokenizer": "eye"}
    assert http.post("/v1/jobs", json=train).status_code == 201
    goes_on = train | {"tokenizer": "model", "start": "model"}  # with the tokenizer that it holds
    assert http.post("/v1/jobs", json=goes_on).status_code == 201
    wrong = train | {"data": "../../etc", "tokenizer": "ear", "start": "eye"}
    errors = problem(http.post("/v1/jobs", json=wrong), 422, "invalid_input")["errors"]
    assert [e["loc"][-1] for e in errors] == ["data", "tokenizer", "start"]
    assert errors[0]["value"] == "../../etc" and "no such dataset" in errors[0]["msg"]
    assert errors[1]["msg"] == "no such tokenizer or world-model"
    assert errors[2]["msg"] == "this is a tokenizer, expected a world-model"
    evaluate = {"kind": "world-model.evaluate", "checkpoint": "nul\x00"}
    problem(http.post("/v1/jobs", json=evaluate), 422, "invalid_input")
    missing = {"kind": "tokenizer.train"}
    assert problem(http.post("/v1/jobs", json=missing), 422, "invalid_input")["errors"][0]["loc"] == ["body", "data"]


def test_idempotency_key(http: TestClient, db: Session) -> None:
    first = http.post("/v1/jobs", json=RECORD, headers={"Idempotency-Key": "a"})
    again = http.post("/v1/jobs", json=RECORD | {"world": "mixed"}, headers={"Idempotency-Key": "a"})
    assert (first.status_code, again.status_code) == (201, 200), "the default spelt out is the same request"
    assert first.json()["id"] == again.json()["id"]
    other = http.post("/v1/jobs", json=RECORD | {"seed": 1}, headers={"Idempotency-Key": "a"})
    problem(other, 409, "idempotency_conflict")
    problem(http.post("/v1/jobs", json=RECORD, headers={"Idempotency-Key": "x" * 201}), 422, "invalid_input")
    assert db.scalar(select(func.count()).select_from(Job)) == 1


def test_one_key_at_the_same_time_makes_one_job(http: TestClient, db: Session) -> None:
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: submit(http, **{"Idempotency-Key": "k"})["id"], range(6)))
    assert len(set(made)) == 1
    assert db.scalar(select(func.count()).select_from(Job)) == 1


# ---- looking


def test_lists_by_cursor_neither_skip_nor_repeat(http: TestClient) -> None:
    made = [submit(http)["id"] for _ in range(7)]
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = http.get("/v1/jobs", params=query).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        submit(http)  # newer ones do not shift the pages
    assert seen == made[::-1] and cursor is None


def test_a_list_shows_what_each_job_alone_shows(http: TestClient, db: Session) -> None:
    first, second = submit(http), submit(http)
    for id, change in (
        (first["id"], {"progress": {"step": 1, "total": 2}, "result": {"loss": 1e-7, "ü": [None, "\u2028"]}}),
        (second["id"], {"state": "failed", "error": {"code": "x", "message": "y"}, "after": [UUID(first["id"])]}),
    ):
        db.execute(update(Job).where(Job.id == UUID(id)).values(change | {"finished_at": func.now()}))
    db.commit()
    alone = [http.get(f"/v1/jobs/{job['id']}").json() for job in (second, first)]
    assert http.get("/v1/jobs").json() == {"items": alone, "next_cursor": None}


def test_lists_filter(http: TestClient) -> None:
    first, second = submit(http), submit(http)
    http.post(f"/v1/jobs/{first['id']}/cancel")

    def ids(**query: str) -> list[str]:
        return [job["id"] for job in http.get("/v1/jobs", params=query).json()["items"]]

    assert ids(state="cancelled") == [first["id"]] and ids(state="queued") == [second["id"]]
    assert len(ids(kind="dataset.record")) == 2 and ids(kind="tokenizer.train") == []
    problem(http.get("/v1/jobs", params={"state": "asleep"}), 422, "invalid_input")
    problem(http.get("/v1/jobs", params={"limit": 0}), 422, "invalid_input")


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets", "/v1/checkpoints"])
@pytest.mark.parametrize("cursor", ["!!!", "eHh4", "AAAA", "MjAyNi0wMS0wMXxh", "é"])
def test_bad_cursor(http: TestClient, path: str, cursor: str) -> None:
    problem(http.get(path, params={"cursor": cursor}), 422, "bad_cursor")


@pytest.mark.parametrize("rest", ["", "/events", "/metrics", "/artifacts", "/logs"])
def test_no_such_job(http: TestClient, rest: str) -> None:
    problem(http.get(f"/v1/jobs/{uuid4()}{rest}"), 404, "job_not_found")
    body = problem(http.get(f"/v1/jobs/7{rest}"), 422, "invalid_input")
    assert body["errors"][0]["loc"] == ["path", "id"] and body["errors"][0]["value"] == "7"


def test_no_such_job_to_act_on(http: TestClient) -> None:
    for act in ("cancel", "retry", "release"):
        problem(http.post(f"/v1/jobs/{uuid4()}/{act}"), 404, "job_not_found")


def test_metrics_artifacts_logs(http: TestClient, db: Session, data_dir: Path) -> None:
    id = UUID(submit(http)["id"])
    assert http.get(f"/v1/jobs/{id}/logs").text == ""
    log = data_dir / "runs" / str(id) / "0" / "runner.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"hello\xff\n")
    assert http.get(f"/v1/jobs/{id}/logs").text == "hello\ufffd\n"
    job = db.get_one(Job, id)
    job.started_at = job.created_at
    for step in (10, 2, 1):
        at = job.created_at + timedelta(seconds=step / 2)
        db.add(Metric(job_id=id, key="loss", step=step, value=1 / step, created_at=at))
    db.add(artifacts.put(id, "a picture.png", "image/png", b"\x89PNG..."))
    db.add(artifacts.put(id, "runner.log", "text/plain", b"kept\n"))
    db.commit()
    assert http.get(f"/v1/jobs/{id}/metrics").json() == {
        "series": {"loss": [[1, 1.0], [2, 0.5], [10, 0.1]]},
        "times": [[1, 0.5], [2, 1.0], [10, 5.0]],
    }
    names = [a["name"] for a in http.get(f"/v1/jobs/{id}/artifacts").json()["items"]]
    assert names == ["a picture.png", "runner.log"]
    response = http.get(f"/v1/jobs/{id}/logs")
    assert response.text == "kept\n" and response.headers["content-type"].startswith("text/plain")


# ---- acting


def test_cancel_is_safe_to_repeat(http: TestClient, db: Session) -> None:
    id = submit(http)["id"]
    for _ in range(2):
        response = http.post(f"/v1/jobs/{id}/cancel")
        assert (response.status_code, response.json()["state"]) == (202, "cancelled")
    running = UUID(submit(http)["id"])
    jobs.claim(db, running, "w", 60)
    db.commit()
    for _ in range(2):
        assert http.post(f"/v1/jobs/{running}/cancel").json()["state"] == "cancelling"
    jobs.finish(db, running, 1, {"done": 1})
    db.commit()
    ended = http.get(f"/v1/jobs/{running}").json()
    assert ended["state"] == "succeeded" and http.post(f"/v1/jobs/{running}/cancel").json() == ended


def test_retry_makes_a_new_job(http: TestClient) -> None:
    job = submit(http)
    problem(http.post(f"/v1/jobs/{job['id']}/retry"), 409, "job_not_ended")
    http.post(f"/v1/jobs/{job['id']}/cancel")
    response = http.post(f"/v1/jobs/{job['id']}/retry")
    again = response.json()
    assert response.status_code == 201 and again["state"] == "queued"
    assert again["parent_id"] == job["id"] and again["config"] == job["config"]


def test_release_is_for_quarantined_jobs(http: TestClient, db: Session) -> None:
    id = UUID(submit(http)["id"])
    problem(http.post(f"/v1/jobs/{id}/release"), 409, "job_not_quarantined")
    for fence in (1, 2, 3):
        jobs.claim(db, id, "w", 60)
        jobs.lose(db, id, fence, {"reason": "the runner was ended by SIGKILL", "log_tail": ["x"]})
    db.commit()
    job = http.get(f"/v1/jobs/{id}").json()
    assert job["state"] == "quarantined" and job["error"]["evidence"]["log_tail"] == ["x"]
    assert http.post(f"/v1/jobs/{id}/release").json()["state"] == "queued"


# ---- artifacts


@pytest.fixture
def picture(http: TestClient, db: Session) -> Artifact:
    id = UUID(submit(http)["id"])
    artifact = artifacts.put(id, 'a "b"\n/é.png', "image/png", bytes(range(200)))
    db.add(artifact)
    db.commit()
    return artifact


def test_artifact_whole(http: TestClient, picture: Artifact) -> None:
    response = http.get(f"/v1/artifacts/{picture.id}")
    assert response.content == bytes(range(200)) and response.headers["content-type"] == "image/png"
    assert response.headers["etag"] == f'"{picture.sha256}"' and response.headers["content-length"] == "200"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-disposition"].endswith("a%20%22b%22%0A%2F%C3%A9.png")
    cached = http.get(f"/v1/artifacts/{picture.id}", headers={"If-None-Match": response.headers["etag"]})
    assert (cached.status_code, cached.content) == (304, b"")
    problem(http.get(f"/v1/artifacts/{uuid4()}"), 404, "artifact_not_found")


@pytest.mark.parametrize(
    "range, start, end",
    [("bytes=0-9", 0, 10), ("bytes=190-", 190, 200), ("bytes=-5", 195, 200), ("bytes=50-999", 50, 200)],
)
def test_artifact_part(http: TestClient, picture: Artifact, range: str, start: int, end: int) -> None:
    response = http.get(f"/v1/artifacts/{picture.id}", headers={"Range": range})
    assert response.status_code == 206
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/200"
    assert list(response.content) == list(bytes(__import__("builtins").range(200))[start:end])


@pytest.mark.parametrize("range", ["bytes=9-1", "bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=a-b"])
def test_artifact_part_that_is_none_means_the_whole(http: TestClient, picture: Artifact, range: str) -> None:
    response = http.get(f"/v1/artifacts/{picture.id}", headers={"Range": range})
    assert response.status_code == 200 and len(response.content) == 200


@pytest.mark.parametrize("range", ["bytes=200-", "bytes=500-600", "bytes=-0"])
def test_artifact_part_outside(http: TestClient, picture: Artifact, range: str) -> None:
    response = http.get(f"/v1/artifacts/{picture.id}", headers={"Range": range})
    problem(response, 416, "bad_range")
    assert response.headers["content-range"] == "bytes */200"


# ---- the rest of the gateway


def test_paths_and_methods(http: TestClient) -> None:
    problem(http.get("/v1/nothing"), 404, "not_found")
    problem(http.get("/v1/nothing", headers={"Accept": "text/html"}), 404, "not_found")
    response = http.delete("/v1/jobs")
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, POST"


def test_big_bodies_are_refused(http: TestClient) -> None:
    big = json.dumps(RECORD | {"world": "x" * 2**20}).encode()
    json_type = {"content-type": "application/json"}
    problem(http.post("/v1/jobs", content=big, headers=json_type), 413, "too_large")
    problem(http.post("/v1/jobs", content=iter([big]), headers=json_type), 413, "too_large")
    problem(http.post(f"/v1/jobs/{uuid4()}/cancel", content=big), 413, "too_large")


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1@evil.example", "[::1"])
def test_foreign_hosts_are_refused(http: TestClient, host: str) -> None:
    problem(http.get("/health/live", headers={"Host": host}), 400, "bad_host")


@pytest.mark.parametrize("host", ["localhost:8420", "127.0.0.1", "[::1]:9", "LOCALHOST"])
def test_own_hosts_are_served(http: TestClient, host: str) -> None:
    assert http.get("/health/live", headers={"Host": host}).status_code == 200


def test_foreign_pages_may_read_nothing_and_change_nothing(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for origin in ("http://evil.example", "null", "http://localhost:1", "https://localhost.evil.example"):
        problem(http.post("/v1/jobs", json=RECORD, headers={"Origin": origin}), 403, "bad_origin")
    assert http.post("/v1/jobs", json=RECORD, headers={"Origin": "http://localhost"}).status_code == 201
    monkeypatch.setenv("TERRARIUM_ALLOWED_ORIGINS", '["https://friend.example"]')
    settings.cache_clear()
    assert http.post("/v1/jobs", json=RECORD, headers={"Origin": "https://friend.example"}).status_code == 201
    assert http.get("/health/live", headers={"Host": "friend.example"}).status_code == 200


def test_unexpected_errors_show_nothing_of_the_inside(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(jobs, "submit_all", broken)
    response = http.post("/v1/jobs", json=RECORD)
    problem(response, 500, "internal_error")
    assert "swordfish" not in response.text


def test_health_and_metrics(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(http)
    assert http.get("/health/live").json() == {"status": "ok"}
    ready = http.get("/health/ready").json()
    assert ready.pop("disk")["reserve_bytes"] == settings().reserve_bytes
    assert ready == {"status": "ready", "database": True, "redis": True}
    text = http.get("/metrics").text
    assert 'terrarium_jobs{state="queued"} 1.0' in text and 'terrarium_jobs{state="failed"} 0.0' in text
    assert 'terrarium_http_requests_total{method="POST",route="/v1/jobs",status="201"}' in text
    monkeypatch.setenv("REDIS_URL", "unix:///nowhere/redis.sock")
    settings.cache_clear()
    body = problem(http.get("/health/ready"), 503, "not_ready")
    assert body["detail"] == "no answer from: redis"


def test_a_job_that_cannot_fit_is_refused_with_the_estimate(http: TestClient, db: Session, data_dir: Path) -> None:
    huge = {"kind": "dataset.record", "episodes": 100_000, "steps": 10_000, "width": 256, "height": 256}
    body = problem(http.post("/v1/jobs", json=huge), 409, "disk_full")
    for part in ("takes about 196.7 TB", "512.0 MB are kept in reserve", f"{data_dir} has ", " free; largest there: "):
        assert part in body["detail"]
    kept = jobs.submit(db, huge, "cpu")
    jobs.cancel(db, kept.id)
    db.commit()
    problem(http.post(f"/v1/jobs/{kept.id}/retry"), 409, "disk_full")
    assert len(http.get("/v1/jobs").json()["items"]) == 1


def test_low_disk_turns_readiness_red_and_nothing_else(
    http: TestClient, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    id = submit(http)["id"]
    monkeypatch.setenv("TERRARIUM_RESERVE_MB", str(10**9))
    settings.cache_clear()
    detail = problem(http.get("/health/ready"), 503, "not_ready")["detail"]
    assert detail.startswith(f"low disk: {data_dir} has ") and detail.endswith(" free, expected 1000.0 TB")
    assert http.get("/health/live").status_code == http.get(f"/v1/jobs/{id}").status_code == 200
    problem(http.post("/v1/jobs", json=RECORD), 409, "disk_full")


def test_a_database_without_room_is_named(http: TestClient, monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OperationalError("INSERT", {}, psycopg.errors.DiskFull("could not extend file"))

    monkeypatch.setattr(jobs, "submit_all", full)
    body = problem(http.post("/v1/jobs", json=RECORD), 503, "disk_full")
    assert body["detail"].startswith(f"the database has no room to write: {data_dir} has ")


def test_events_of_an_ended_job(http: TestClient, db: Session) -> None:
    id = UUID(submit(http)["id"])
    jobs.claim(db, id, "w", 60)
    jobs.record(db, id, 1, [Event("progress", {"step": n, "total": 2}) for n in (1, 2)], {"step": 2, "total": 2})
    jobs.finish(db, id, 1, {})
    db.commit()
    response = http.get(f"/v1/jobs/{id}/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    ids = [line.removeprefix("id: ") for line in response.text.splitlines() if line.startswith("id: ")]
    assert ids == ["1", "2", "4", "5"], "overtaken progress is left out"
    later = http.get(f"/v1/jobs/{id}/events", headers={"Last-Event-ID": "4"}).text
    assert later.splitlines() == ["event: state", 'data: {"state": "succeeded"}', "id: 5", ""]
    assert http.get(f"/v1/jobs/{id}/events?after=4").text == later
    assert http.get(f"/v1/jobs/{id}/events", headers={"Last-Event-ID": "5"}).status_code == 204
    problem(http.get(f"/v1/jobs/{id}/events", headers={"Last-Event-ID": "x"}), 422, "invalid_input")
