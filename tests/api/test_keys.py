"""API keys: who gets in, how far, how often; and what is never written down."""

from __future__ import annotations

import logging
import signal
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from processes import services
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from typer.testing import CliRunner

import terrarium
from terrarium.api import play
from terrarium.api.access import ACCESS, cookie_name
from terrarium.api.app import app
from terrarium.cli.main import app as command_line
from terrarium.cli.up import key_of
from terrarium.store import jobs, keys
from terrarium.store.db import session_scope
from terrarium.store.errors import TerrariumError
from terrarium.store.settings import settings
from terrarium.store.tables import ApiKey, Asset

LONG_AGO = datetime.now(UTC) - timedelta(days=1)
DEBUG = {"kind": "dataset.record", "episodes": 2, "steps": 20, "width": 32, "height": 32}


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(settings(), "require_keys", True)
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def key(*scopes: str, **changes: Any) -> str:
    with session_scope() as session:
        row, token = keys.make(session, "ada", scopes or ("admin",))
        if changes:
            session.execute(update(ApiKey).where(ApiKey.id == row.id).values(**changes))
    return token


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("www-authenticate", "").startswith("Bearer ") == (status == 401)


def test_without_a_key_there_is_the_page_and_its_health_and_no_more(http: TestClient) -> None:
    for path in ("/v1/jobs", "/v1/disk", "/v1/api-keys", "/v1/nothing", "/metrics"):
        refused(http.get(path), 401, "key_missing")
    refused(http.post("/v1/jobs", json=DEBUG), 401, "key_missing")
    refused(http.get("/v1/jobs", headers={"Authorization": "Basic YTpi"}), 401, "key_missing")
    for path in ("/health/live", "/health/ready", "/openapi.json", "/"):
        assert http.get(path).status_code == 200, path


def test_a_key_may_what_its_scopes_say(http: TestClient, db: Session) -> None:
    db.add(Asset(id="dream", type="world-model", name="", manifest={}))
    db.commit()
    asks: dict[str, Any] = {
        "read": lambda h: http.get("/v1/jobs", headers=h),
        "submit": lambda h: http.post("/v1/jobs", json=DEBUG, headers=h),
        "play": lambda h: http.post("/v1/play/sessions", json={"checkpoint": "dream"}, headers=h),
        "admin": lambda h: http.get("/v1/api-keys", headers=h),
    }
    for scope in keys.SCOPES:
        headers = bearer(key(scope))
        for needed, ask in asks.items():
            answer = ask(headers)
            if scope in (needed, "admin"):
                assert answer.status_code in (200, 201), (scope, needed, answer.text)
            else:
                refused(answer, 403, "scope_missing")
    draft = http.post("/v1/job-kinds/tokenizer.train/candidates", json={}, headers=bearer(key("read")))
    assert draft.status_code == 200, "a question"


@pytest.mark.parametrize(
    ("changes", "code"), [({"revoked_at": LONG_AGO}, "key_revoked"), ({"expires_at": LONG_AGO}, "key_expired")]
)
def test_a_key_that_is_over_is_refused_by_name(http: TestClient, changes: Any, code: str) -> None:
    answer = http.get("/v1/jobs", headers=bearer(key(**changes)))
    refused(answer, 401, code)
    assert "ada" in answer.json()["detail"]


def test_a_wrong_key_is_refused_whatever_it_looks_like(http: TestClient) -> None:
    right = key()
    for wrong in (keys.new_token(), right[:-1] + ("A" if right[-1] != "A" else "B"), right.upper(), "trm_", "", "é"):
        headers = [(b"authorization", b"Bearer " + wrong.encode())]
        refused(http.get("/v1/jobs", headers=headers), 401, "key_invalid")


def test_only_a_hash_is_kept_and_the_use_is_noted(http: TestClient, db: Session) -> None:
    token = key("read")
    row = db.scalars(select(ApiKey)).one()
    assert token.split("_", 2)[2] not in str(vars(row)) and row.prefix in token and row.last_used_at is None
    http.get("/v1/jobs", headers=bearer(token))
    db.refresh(row)
    assert row.last_used_at is not None


def test_keys_are_made_listed_and_revoked_over_http(http: TestClient) -> None:
    admin = bearer(key())
    made = http.post("/v1/api-keys", json={"name": "night", "scopes": ["read"], "expires_in_days": 2}, headers=admin)
    assert made.status_code == 201 and made.json()["scopes"] == ["read"]
    left = datetime.fromisoformat(made.json()["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=1.9) < left < timedelta(days=2)
    night = bearer(made.json()["key"])
    assert http.get("/v1/jobs", headers=night).status_code == 200
    listed = http.get("/v1/api-keys", headers=admin)
    assert [row["name"] for row in listed.json()["items"]] == ["night", "ada"] and "key" not in listed.json()["items"][
        0
    ]
    for _ in range(2):
        assert http.delete(f"/v1/api-keys/{made.json()['id']}", headers=admin).status_code == 204
    refused(http.get("/v1/jobs", headers=night), 401, "key_revoked")
    refused(http.delete(f"/v1/api-keys/{'0' * 8}-0000-0000-0000-{'0' * 12}", headers=admin), 404, "key_not_found")


def test_a_browser_exchanges_the_key_for_a_cookie_and_watches_with_it(http: TestClient) -> None:
    refused(http.post("/v1/login", json={"key": keys.new_token()}), 401, "key_invalid")
    answer = http.post("/v1/login", json={"key": key("read")}, headers={"Origin": "http://localhost"})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Secure" not in cookie
    with session_scope() as session:
        job = jobs.submit(session, DEBUG, "cpu")
        jobs.cancel(session, job.id)
    with http.stream("GET", f"/v1/jobs/{job.id}/events") as events:
        assert "cancelled" in events.read().decode()
    assert http.delete("/v1/login").status_code == 204
    refused(http.get("/v1/jobs"), 401, "key_missing")


def test_over_tls_the_cookie_is_for_tls_alone(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "allowed_origins", ["https://garden.example"])
    answer = http.post("/v1/login", json={"key": key()}, headers={"Origin": "https://garden.example"})
    assert "Secure" in answer.headers["set-cookie"]
    other = http.post("/v1/login", json={"key": key()}, headers={"Origin": "https://evil.example"})
    refused(other, 403, "bad_origin")


def test_a_key_has_so_many_requests_and_sessions(
    http: TestClient, db: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "key_requests_per_minute", 3)
    headers = bearer(key("read"))
    answers = [http.get("/v1/jobs", headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers[:3]] == [200] * 3
    refused(answers[3], 429, "key_too_fast")
    assert answers[3].headers["retry-after"]
    assert http.get("/v1/jobs", headers=bearer(key("read"))).status_code == 200, "another key"
    token = key("play")
    with session_scope() as session:
        monkeypatch.setitem(play.OPEN, str(keys.verify(session, token).id), settings().key_sessions)
    refused(http.post("/v1/play/sessions", json={}, headers=bearer(token)), 429, "key_sessions_open")


def test_where_the_database_is_away_the_answer_says_so(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(keys, "verify", away)
    refused(http.get("/v1/jobs", headers=bearer(keys.new_token())), 503, "unavailable")


def test_on_loopback_nobody_is_asked(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "require_keys", False)
    for headers in ({}, bearer("of another Terrarium"), {"Cookie": f"{cookie_name()}=stale"}):
        assert http.get("/v1/jobs", headers=headers).status_code == 200
    for host, needed in {
        "127.0.0.1": False,
        "localhost": False,
        "::1": False,
        "0.0.0.0": True,
        "10.0.0.7": True,
    }.items():
        monkeypatch.setattr(settings(), "host", host)
        assert settings().needs_key is needed, host


def test_no_key_is_ever_logged(http: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = key("read")
    http.get("/v1/jobs", headers=bearer(token))
    http.post("/v1/jobs", json=DEBUG, headers=bearer(token))
    http.post("/v1/login", json={"key": token})
    http.post("/v1/login", json={"key": token, "more": token})
    http.get("/v1/jobs")
    assert token.split("_", 2)[2] not in caplog.text


def test_open_to_others_a_gateway_starts_with_a_key_alone(
    db: Session, redis_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with services(data_dir / "logs", TERRARIUM_HOST="0.0.0.0", TERRARIUM_PORT="0") as started:
        refused_to = started.start("refused", "terrarium.api.server")
        assert refused_to.reap(60) == 1
        assert "0.0.0.0 is not loopback, and there is no API key" in started.log("refused")
        assert "terrarium keys create" in started.log("refused")
        made = CliRunner().invoke(command_line, ["keys", "create", "ada", "--data-dir", str(data_dir)])
        token = made.stdout.strip()
        url = started.gateway()
        with pytest.raises(TerrariumError, match="an API key is needed") as problem:
            terrarium.Client(url).kinds()
        assert problem.value.code == "key_missing"
        monkeypatch.setenv("TERRARIUM_API_KEY", token)
        assert "dataset.record" in terrarium.Client(url).kinds()
        started.stop(started.running[-1], signal.SIGTERM)
        assert token.split("_", 2)[2] not in started.log("gateway")


def test_the_command_line_makes_lists_and_revokes(db: Session, data_dir: Path) -> None:
    def run(*argv: str) -> Any:
        return CliRunner().invoke(command_line, ["keys", *argv, "--data-dir", str(data_dir)])

    token = run("create", "ada", "--scopes", "read, submit", "--days", "30").stdout.strip()
    row = db.scalars(select(ApiKey)).one()
    assert row.scopes == ["read", "submit"] and row.expires_at is not None
    assert row.prefix in run("list").stdout and '"name": "ada"' in run("list", "--json").stdout
    assert run("revoke", row.prefix).exit_code == 0
    db.refresh(row)
    assert row.revoked_at is not None
    with session_scope() as session, pytest.raises(TerrariumError, match="revoked"):
        keys.verify(session, token)
    assert "expected some of read, submit, play, admin" in run("create", "x", "--scopes", "all").stderr
    assert "expected a prefix" in run("revoke", "00000000").stderr


def test_a_first_key_is_made_where_nobody_has_one(db: Session, data_dir: Path) -> None:
    def first() -> str:
        argv = ["keys", "create", "first", "--scopes", "admin", "--if-none", "--data-dir", str(data_dir)]
        return CliRunner().invoke(command_line, argv).stdout.strip()

    with session_scope() as session:
        _, over = keys.make(session, "over", ["admin"])
        keys.revoke(session, keys.verify(session, over).id)
    token = first()
    with session_scope() as session:
        assert keys.verify(session, token).scopes == ["admin"]
    assert first() == ""


def test_up_keeps_one_key_of_its_own(db: Session, database_url: str, tmp_path: Path) -> None:
    first = key_of(tmp_path, database_url)
    assert key_of(tmp_path, database_url) == first == (tmp_path / "key").read_text().strip()
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    with session_scope() as session:
        keys.revoke(session, keys.verify(session, first).id)
    assert key_of(tmp_path, database_url) != first
    ACCESS.forget()
