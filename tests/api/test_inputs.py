"""Inputs that fit each other: what is refused, what is offered instead, what an asset can be used for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.store.tables import Asset, Job

BLOCKS = {"kind": "blocks", "terrain": "mixed"}
CRAFTER = {"kind": "gym", "env": "crafter:Env"}


def facts(side: int, source: dict[str, Any], *names: str) -> dict[str, Any]:
    return {
        "fps": 20,
        "frame_size": [side, side],
        "action_names": list(names or ("yaw", "pitch", "w")),
        "source": source,
        "seeds": [0, 9],
    }


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost") as client:
        yield client


class Shelf:
    """Datasets and checkpoints by name: {name: id}."""

    def __init__(self, db: Session) -> None:
        self.db = db
        self.ids: dict[str, str] = {}

    def dataset(self, name: str, *of: Any) -> None:
        id = uuid4()
        manifest = facts(*of) | {"episodes": [{"length": 17}]}
        self.db.add(Asset(id=str(id), type="dataset", name=name, manifest=manifest))
        self.ids[name] = str(id)

    def checkpoint(self, name: str, type: str, *of: Any, **more: Any) -> None:
        self.db.add(Asset(id=name, name=name, type=type, manifest={"kind": type, "data": facts(*of)} | more))
        self.ids[name] = name


@pytest.fixture
def shelf(db: Session) -> Shelf:
    shelf = Shelf(db)
    shelf.dataset("small", 32, BLOCKS)
    shelf.dataset("large", 64, BLOCKS)
    shelf.dataset("odd", 30, BLOCKS)
    shelf.dataset("game", 32, CRAFTER, "left", "right")
    shelf.checkpoint("eye-32", "tokenizer", 32, BLOCKS, tokenizer_sha256="1")
    shelf.checkpoint("eye-64", "tokenizer", 64, BLOCKS)
    shelf.checkpoint("eye-game", "tokenizer", 32, CRAFTER, "left", "right")
    shelf.checkpoint("model-32", "world-model", 32, BLOCKS, tokenizer_sha256="2", dynamics={"channels": 64})
    shelf.checkpoint("model-game", "world-model", 32, CRAFTER, "left", "right")
    db.commit()
    return shelf


def refused(http: TestClient, **config: Any) -> dict[str, str]:
    """{field: message} of a 422 for inputs that do not fit."""
    answer = http.post("/v1/jobs", json=config)
    assert answer.status_code == 422 and answer.json()["code"] == "input_misfit", answer.text
    return {error["loc"][-1]: error["msg"] for error in answer.json()["errors"]}


def test_a_training_on_what_does_not_fit_is_refused(http: TestClient, db: Session, shelf: Shelf) -> None:
    """Today's two: a tokenizer of another frame size, which failed after a minute, and one of another world, which
    did not."""
    ids = shelf.ids
    train = {"kind": "world-model.train", "data": ids["small"]}
    size = "was trained on frames of 64x64, the dataset has 32x32; these fit: model-32 (model-32), eye-32 (eye-32)"
    assert refused(http, **train, tokenizer="eye-64") == {"tokenizer": size}
    other = refused(http, **train, tokenizer="eye-game")["tokenizer"]
    assert other.startswith("was trained on crafter:Env, the dataset shows blocks; these fit: ")
    game = refused(http, kind="world-model.train", data=ids["game"], tokenizer="eye-32")["tokenizer"]
    assert game.endswith("these fit: model-game (model-game), eye-game (eye-game)")
    assert db.scalars(select(Job)).all() == []
    assert http.post("/v1/jobs", json=train | {"tokenizer": "eye-32"}).status_code == 201
    assert http.post("/v1/jobs", json=train).status_code == 201, "without a tokenizer one is trained first"


def test_a_start_must_fit_data_shape_and_tokenizer(http: TestClient, shelf: Shelf) -> None:
    train = {"kind": "world-model.train", "data": shelf.ids["small"], "start": "model-32"}
    assert "has channels 64, this training 16; none here fits" in refused(http, **train, channels=16)["start"]
    assert "was trained with another tokenizer" in refused(http, **train, tokenizer="eye-32")["start"]
    assert "the dataset has 64x64" in refused(http, **train | {"data": shelf.ids["large"]})["start"]
    assert "was trained on crafter:Env" in refused(http, **train | {"start": "model-game"})["start"]
    for fits in ({}, {"tokenizer": "model-32"}):
        assert http.post("/v1/jobs", json=train | fits).status_code == 201


def test_data_must_fit_the_training(http: TestClient, shelf: Shelf) -> None:
    ids = shelf.ids
    odd = refused(http, kind="tokenizer.train", data=ids["odd"])["data"]
    assert odd.startswith("has frames of 30x30: width and height must be multiples of 4; these fit: game (")
    assert "odd" not in odd.partition("these fit")[2]
    camera = refused(http, kind="world-model.train", data=ids["game"], film="paths")["data"]
    assert camera.startswith("has no camera")


def test_an_evaluation_needs_a_simulator(http: TestClient, shelf: Shelf) -> None:
    message = refused(http, kind="world-model.evaluate", checkpoint="model-game")["checkpoint"]
    assert message.startswith("was trained on crafter:Env: only block worlds have a simulator; these fit: model-32")
    rows = {row["id"]: row for row in http.get("/v1/checkpoints").json()["items"]}
    assert rows["model-game"]["uses"] == {"world-model.train": "tokenizer"}
    assert rows["model-32"]["uses"] == {"world-model.train": "tokenizer", "world-model.evaluate": "checkpoint"}
    data = {row["name"]: row["uses"] for row in http.get("/v1/datasets").json()["items"]}
    assert data["small"] == {"tokenizer.train": "data", "world-model.train": "data"} and data["odd"] == {}


def test_candidates_are_judged_beside_what_is_chosen(http: TestClient, shelf: Shelf) -> None:
    def offered(draft: dict[str, Any]) -> dict[str, list[str]]:
        answer = http.post("/v1/job-kinds/world-model.train/candidates", json=draft)
        assert answer.status_code == 200, answer.text
        inputs = answer.json()["inputs"]
        return {
            f: sorted(c["name"] for c in of if f not in c["misfits"] and c["name"] != "shipped")
            for f, of in inputs.items()
        }

    tokenizers = ["eye-32", "eye-64", "eye-game", "model-32", "model-game"]
    assert offered({}) == {
        "data": ["game", "large", "small"],
        "tokenizer": tokenizers,
        "start": ["model-32", "model-game"],
    }
    beside = offered({"data": shelf.ids["small"]})
    assert beside["tokenizer"] == ["eye-32", "model-32"] and beside["start"] == ["model-32"]
    assert offered({"data": shelf.ids["small"], "channels": 16})["start"] == []
    answer = http.post("/v1/job-kinds/world-model.train/candidates", json={"tokenizer": "eye-64"}).json()
    data = {c["name"]: c["misfits"] for c in answer["inputs"]["data"]}
    assert data["large"] == {} and "tokenizer" in data["small"], "what the choice of this one would rule out"
    for body in ({"steps": 0}, {"nothing": 1}, {"data": 7}):
        assert http.post("/v1/job-kinds/world-model.train/candidates", json=body).status_code == 422
    assert http.post("/v1/job-kinds/dataset.import/candidates", json={}).status_code == 422
    id = UUID(shelf.ids["small"])
    assert http.get(f"/v1/datasets/{id}").json()["manifest"]["episodes"], "judging it leaves its episodes"
