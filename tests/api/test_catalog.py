"""Kinds, datasets, checkpoints, the shipped checkpoint, the web client's files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from terrarium.api import errors, jobs, web
from terrarium.api.app import app
from terrarium.store.moves import STATES
from terrarium.worlds.kinds import kinds


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def test_filters_know_every_state() -> None:
    assert set(get_args(jobs.State)) == set(STATES)


def test_kinds_say_all_that_a_form_needs(http: TestClient) -> None:
    found = http.get("/v1/job-kinds").json()
    assert set(found) == {name for name, kind in kinds().items() if kind.http}
    train = found["world-model.train"]
    assert train["inputs"] == {
        "data": ["dataset"],
        "tokenizer": ["tokenizer", "world-model"],
        "start": ["world-model"],
    }
    assert (
        train["schema"]["properties"]["burn_in"]["description"]
        == "Real frames before a self-rollout, fewer than `frames`."
    )
    assert (train["title"], train["makes"]) == ("Train a world model", "world-model")
    assert train["schema"]["properties"]["burn_in"]["maximum"] == 64
    assert train["schema"]["additionalProperties"] is False
    assert train["schema"]["properties"]["burn_in"]["group"] == "Clips and rollouts"
    assert "group" not in train["schema"]["properties"]["steps"]
    assert train["preset_help"]["cpu"] == "A small world model, trained on a CPU."
    for kind, entry in found.items():
        for name, preset in entry["presets"].items():
            slots, made = kinds()[kind].inputs, kinds()[kind].presets[name]()
            chosen = [field for field in entry["inputs"] if getattr(made, field)]  # "-": still to be chosen
            filled = preset | {field: ["an-id"] if slots[field].many else "an-id" for field in chosen}
            TypeAdapter(kinds()[kind].config).validate_json(json.dumps(filled), strict=True)


@pytest.fixture
def client_app(tmp_path: Path) -> TestClient:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>the client</title>")
    (tmp_path / "assets" / "app-1234.js").write_text("play()")
    app = FastAPI()
    errors.install(app)
    web.add_client(app, tmp_path)
    return TestClient(app, base_url="http://localhost")


def test_the_client_answers_every_page_of_its_own(client_app: TestClient) -> None:
    page = {"Accept": "text/html,*/*"}
    for path in ("/", "/jobs", "/jobs/1234"):
        assert "the client" in client_app.get(path, headers=page).text
    assert client_app.get("/assets/app-1234.js").text == "play()"
    assert client_app.get("/assets/gone.js").status_code == 404
    assert client_app.get("/v1/nothing", headers=page).json()["code"] == "not_found"
    assert client_app.get("/%2e%2e/%2e%2e/etc/passwd").status_code == 404


def test_without_a_built_client_there_is_a_page_that_says_so(tmp_path: Path) -> None:
    app = FastAPI()
    web.add_client(app, tmp_path / "nothing")
    answer = TestClient(app).get("/")
    assert answer.status_code == 200 and "npm run build" in answer.text


def test_the_gateway_loads_no_torch() -> None:
    code = "import sys, terrarium.api.app; sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
