"""Which generator draws new worlds: promoted, replaced, refused, gone; and drawing from one measurement of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.store.tables import Asset

ALIGNED = {"model": {"size": 16}, "aligned": {"pareto": [{"step": 8}, {"step": 16}]}}
PLAIN, STONE = str(uuid4()), str(uuid4())
NOBODY = {"generator": None, "measurement": None, "name": None}


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        db.add(Asset(id=PLAIN, name="plain", type="generator", manifest={"model": {"size": 16}}, tags=["mine"]))
        db.add(Asset(id=STONE, name="stone castles", type="generator", manifest=ALIGNED))
        db.commit()
        yield client


def promote(http: TestClient, **choice: object) -> dict[str, object]:
    response = http.put("/v1/promoted-generator", json=choice)
    assert response.status_code == 200, response.text
    assert http.get("/v1/promoted-generator").json() == response.json()
    return response.json()


def tags(http: TestClient, id: str) -> list[str]:
    return http.get(f"/v1/assets/{id}").json()["tags"]


def test_one_at_a_time_draws_new_worlds(http: TestClient) -> None:
    assert http.get("/v1/promoted-generator").json() == NOBODY
    assert promote(http, generator=PLAIN) == {"generator": PLAIN, "measurement": None, "name": "plain"}
    assert tags(http, PLAIN) == ["draws new worlds", "mine"]
    found = promote(http, generator=STONE, measurement=16)
    assert found == {"generator": STONE, "measurement": 16, "name": "stone castles"}
    assert tags(http, PLAIN) == ["mine"] and tags(http, STONE) == ["draws new worlds, step 16"]
    assert promote(http, generator=STONE)["measurement"] is None
    assert promote(http, generator=None) == NOBODY and tags(http, STONE) == []


def test_one_that_is_deleted_draws_no_more(http: TestClient) -> None:
    promote(http, generator=PLAIN)
    assert http.delete(f"/v1/assets/{PLAIN}").status_code == 204
    assert http.get("/v1/promoted-generator").json() == NOBODY


@pytest.mark.parametrize(
    ("choice", "field", "says"),
    [
        ({"generator": "nobody"}, "generator", "no such generator"),
        ({"generator": STONE, "measurement": 9}, "measurement", "expected one of 8, 16"),
        ({"generator": PLAIN, "measurement": 8}, "measurement", "expected an aligned generator"),
        ({"generator": None, "measurement": 8}, "measurement", "expected an aligned generator"),
        ({"generator": STONE, "measurement": 0}, "measurement", "greater than or equal to 1"),
        ({"measurement": 8}, "generator", "required"),
    ],
)
def test_what_cannot_draw_is_named(http: TestClient, choice: dict[str, object], field: str, says: str) -> None:
    response = http.put("/v1/promoted-generator", json=choice)
    (error,) = response.json()["errors"]
    assert response.status_code == 422 and error["loc"][-1] == field and says in error["msg"], error


def test_a_sample_names_a_measurement_that_is_there(http: TestClient) -> None:
    job = {"kind": "world.sample", "prompt": "a tower", "generator": STONE, "measurement": 9}
    (error,) = http.post("/v1/jobs", json=job).json()["errors"]
    assert error["loc"] == ["body", "measurement"] and "expected one of 8, 16" in error["msg"]
    (error,) = http.post("/v1/jobs", json=job | {"generator": None}).json()["errors"]
    assert error["loc"] == ["body", "measurement"] and "without a generator" in error["msg"]
    assert http.post("/v1/jobs", json=job | {"measurement": 16}).status_code == 201
