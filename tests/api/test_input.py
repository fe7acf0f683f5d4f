"""What nobody's client should send, and somebody's will: each is an answer of 4xx, short, and nothing is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from terrarium.api.app import app

JSON = {"content-type": "application/json"}
SHORT = 6000  # bytes: an answer does not repeat a body
BODIES = ("/v1/jobs", "/v1/play/sessions", "/v1/job-kinds/dataset.record/candidates", "/v1/assets/shipped")
RECORD = {"kind": "dataset.record"}


@pytest.fixture(scope="module")
def http(database_url: str, redis_url: str) -> Iterator[TestClient]:
    """One for all: what is refused leaves nothing behind."""
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def refused(response: Any, status: int, code: str) -> dict[str, Any]:
    """The problem, which must be short."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert len(response.content) < SHORT, f"{len(response.content)} bytes"
    return body


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "x" * 1_000_000},
        RECORD | {"x" * 1_000_000: 1},
        RECORD | {f"field{i}": i for i in range(50_000)},
        RECORD | {"world": ["x" * 100_000] * 9},
        {"kind": "tokenizer.train", "data": "x" * 1_000_000},
        {"kind": "tokenizer.train", "data": "d", "levels": [1] * 100_000},
    ],
    ids=["kind", "name of a field", "many fields", "list", "input", "levels"],
)
def test_a_long_body_is_not_repeated(http: TestClient, body: Any) -> None:
    refused(http.post("/v1/jobs", json=body), 422, "invalid_input")


def test_the_first_of_many_wrong_fields_are_named(http: TestClient) -> None:
    body = refused(http.post("/v1/jobs", json=RECORD | {f"field{i}": i for i in range(50)}), 422, "invalid_input")
    assert [e["loc"][1] for e in body["errors"]] == [f"field{i}" for i in range(20)]


@pytest.mark.parametrize(
    "path", ["/v1/jobs", "/v1/play/sessions", "/v1/job-kinds/dataset.record/candidates", "/v1/assets/shipped"]
)
@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        ('{"kind": "\\ud800", "checkpoint": "\\ud800"}', 400, "malformed_json"),
        ('{"\\ud800": 1}', 400, "malformed_json"),
        ("[" * 500_000, 400, "malformed_json"),
        ('{"seed": ' + "9" * 100_000 + "}", 400, "malformed_json"),
        ("\ufeff{}", 400, "malformed_json"),
        ('{"kind": "dataset.record", "seed": NaN}', 422, "invalid_input"),
        ('{"kind": "dataset.record", "seed": 1e400}', 422, "invalid_input"),
    ],
    ids=["surrogate", "name of a surrogate", "deep", "a long number", "BOM", "NaN", "1e400"],
)
def test_what_is_hardly_json(http: TestClient, path: str, raw: str, status: int, code: str) -> None:
    method = "PATCH" if "assets" in path else "POST"
    refused(http.request(method, path, content=raw.encode(), headers=JSON), status, code)


@pytest.mark.parametrize("seed", [False, True, "7", 7.0, 7.5, [], -1, 2**31])
def test_a_seed_of_play_is_an_integer(http: TestClient, seed: Any) -> None:
    body = refused(http.post("/v1/play/sessions", json={"seed": seed}), 422, "invalid_input")
    assert [(e["loc"], e["value"]) for e in body["errors"]] == [(["body", "seed"], seed)]


@pytest.mark.parametrize(
    "headers",
    [{"Host": "x" * 60_000}, {"Origin": "x" * 60_000}, {"Content-Type": "x" * 60_000}],
    ids=lambda headers: next(iter(headers)),
)
def test_a_long_header_is_not_repeated(http: TestClient, headers: dict[str, str]) -> None:
    response = http.post("/v1/jobs", content=b"{}", headers=JSON | headers)
    assert 400 <= response.status_code < 500 and len(response.content) < SHORT


def test_a_long_path_or_method_is_not_repeated(http: TestClient) -> None:
    refused(http.get("/v1/" + "x" * 50_000), 404, "not_found")
    refused(http.request("X" * 50_000, "/v1/jobs"), 405, "method_not_allowed")


@pytest.mark.parametrize("origin", ["http://[::1", "http://a:99999999", "http://\xff", "null", ""])
def test_an_origin_that_is_none(http: TestClient, origin: str) -> None:
    refused(http.post("/v1/jobs", json=RECORD, headers={"Origin": origin.encode("latin-1")}), 403, "bad_origin")


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"kind": "dataset.record-gym", "env": "a\0b"}, "env", "match pattern"),
        ({"kind": "dataset.import-play", "plays": ["x"] * 100_000}, "plays", "at most 1000 items"),
        ({"kind": "dataset.record", "width": 33}, "width", "33 is not a multiple of 4"),
        ({"kind": "tokenizer.train", "data": "d", "levels": [16] * 8}, "levels", "expected at most 65536"),
        ({"kind": "tokenizer.train", "data": "d", "levels": [2] * 100_000}, "levels", "at most 16 items"),
        ({"kind": "world-model.train", "data": "d", "burn_in": 50}, "burn_in", "50 of the 12 frames"),
        ({"kind": "world-model.train", "data": "d", "accumulate": 3}, "accumulate", "3 parts of a batch of 8"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_what_would_fail_later_is_refused_by_name(http: TestClient, body: Any, field: str, says: str) -> None:
    for path in ("/v1/jobs", f"/v1/job-kinds/{body['kind']}/candidates"):
        (error,) = refused(http.post(path, json=body), 422, "invalid_input")["errors"]
    assert error["loc"] == ["body", field] and says in error["msg"]
    assert error["value"] == body[field] or len(str(error["value"])) < 300
