"""The gateway does what its OpenAPI document says, for requests that nobody thought of."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import schemathesis
import uvicorn
from brought import make_dataset, zipped
from hypothesis import HealthCheck, settings
from processes import ROOT, free_port
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.api.server import OPTIONS
from terrarium.store.settings import settings as store_settings
from terrarium.store.tables import Asset, Job
from terrarium.worlds.episodes.kinds import RecordConfig
from terrarium.worlds.kinds import kinds


@pytest.fixture(scope="module")
def url(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("openapi")
        patch.setenv("TERRARIUM_DATA_DIR", str(folder))
        patch.setenv("TERRARIUM_WEBHOOK_PRIVATE", "true")  # no names are resolved here
        store_settings.cache_clear()
        record(folder / "plays" / "walk" / "000")
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", **OPTIONS))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(10)
    store_settings.cache_clear()


def record(part: Path) -> None:
    """Play of two frames."""
    part.mkdir(parents=True)
    np.save(part / "frames.npy", np.zeros((2, 4, 4, 3), np.uint8))
    np.save(part / "actions.npy", np.zeros((1, 9), np.float32))
    (part / "play.json").write_text(json.dumps({"fps": 20, "frame_size": [4, 4], "frames": 2}))


REFUSED = {"expected-statuses": [400, 404, 413, 415, 422]}  # too long is wrong, too
CONFIG = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": REFUSED}})


def test_the_client_is_built_for_this_api() -> None:
    kept = json.loads((ROOT / "web" / "openapi.json").read_text())
    assert kept == app.openapi(), "run: python -m terrarium.api.app > web/openapi.json, then npm run build in web/"


schema = schemathesis.openapi.from_dict(app.openapi(), config=CONFIG)
JOB, DATASET = uuid4(), str(uuid4())
with TemporaryDirectory() as made:
    DATASET_ZIP = zipped(make_dataset(Path(made, "mine")))
KNOWN = {"dataset": DATASET, "tokenizer": "eye", "world-model": "dream", "block-world": "hill", "voxel-prior": "taste"}
KNOWN |= {"play": "walk", "generator": "dreamer", "material-dataset": "rocks", "material-model": "eyes"}
KNOWN |= {"material": "bricks", "view-set": "photographs", "texture-set": "walls", "texture-model": "painter"}


@pytest.fixture
def known(db: Session) -> None:
    """A row of everything that a request may name."""
    for type in KNOWN.keys() - {"play"}:
        db.add(Asset(id=KNOWN[type], name=type, type=type, manifest={}))
    db.add(Job(id=JOB, kind="dataset.record", config=asdict(RecordConfig()), queue="cpu", state="cancelled"))
    db.commit()


@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_endpoint_keeps_its_word(case: schemathesis.Case, url: str, known: None) -> None:
    """All of schemathesis' checks, with data that fits the schema and data that does not."""
    if case.meta is not None and case.meta.generation.mode.is_positive:
        name_what_is_there(case)
    case.call_and_validate(base_url=url, timeout=10)


def name_what_is_there(case: schemathesis.Case) -> None:
    """What a schema cannot say: ids are those of rows, a cursor was given out, some fields depend on others, and an
    integer is not written as 7.0."""
    if "id" in case.path_parameters:
        case.path_parameters["id"] = str(JOB)
    case.query.pop("cursor", None)
    if case.operation.path == "/v1/uploads":
        case.query.pop("type", None)
        case.body = DATASET_ZIP
    if not isinstance(case.body, dict):
        return
    case.body = {k: whole(v) for k, v in case.body.items()}
    match case.operation.path:
        case "/v1/play/sessions":
            case.body["checkpoint"] = "dream"
        case "/v1/job-kinds/{kind}/candidates":
            case.body = {}
        case "/v1/jobs":
            case.body = agreeing(case.body)
        case "/v1/webhooks":
            case.body["url"] = "https://192.0.2.1/hook"
        case "/v1/webhooks/{id}":
            case.body.pop("url", None)
        case "/v1/cancellations":
            case.body = {"ids": [str(JOB)]}
        case "/v1/plans":
            record = {"name": "walks", "job": {"kind": "dataset.record"}}
            learn = {"name": "model", "job": {"kind": "world-model.train", "data": "@walks"}}
            case.body = {"steps": [record, learn]}
        case "/v1/promoted-generator":
            case.body = {"generator": KNOWN["generator"]}
        case "/v1/playable":
            case.body = {"prompt": "a hut", "preset": "debug"}
        case "/v1/texture":
            case.body = {"preset": "debug"}


def whole(value: Any) -> Any:
    if isinstance(value, list):
        return [whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def agreeing(body: dict[str, Any]) -> dict[str, Any]:
    """The config, without its contradictions."""
    row = kinds()[body["kind"]]
    there = {field: KNOWN[slot.types[0]] for field, slot in row.inputs.items() if slot.many or body.get(field)}
    named = {field: [id] if row.inputs[field].many else id for field, id in there.items()}
    if "plays" in named:
        named["pictures"] = "model"  # of what was recorded here, the simulator's were not shown
    rest = {
        "accumulate": 1,
        "burn_in": 2,
        "frames": 8,
        "levels": [8, 8],
        "env": "crafter:Env",
        "flow": True,
        "keep_painter": False,
    }
    rest["steps"] = max(1, body.get("steps", 1))
    rest |= {"guidance": "target", "coarse": [], "coarse_steps": [], "prompt_weights": [], "t_min": 0.02, "t_max": 0.98}
    rest |= {
        "hold": 0.0,
        "settle": 0.0,
        "structures": 0,
        "dim": 64,
        "heads": 8,
        "gan": 0.0,
        "larger": 0.0,
        "reward_weights": [],
        "rewards": ["colour"],
        "own_rewards": [],
        "own_loss": None,
        "reward_threshold": None,
        "precomputed_rewards": None,
        "dream": [],
        "measurement": None,
        "sampler": "ddim",
        "width": 64,
        "patch": 2,
    }
    if body["kind"] == "texture.train":
        named |= {"phase": "A0", "map": None, "start": None, "albedo": None, "lion": False, "crop": None}
    if "target" in row.inputs:
        named["target"] = KNOWN["block-world"]
    return body | named | {field: value for field, value in rest.items() if field in body}
