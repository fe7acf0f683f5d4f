"""The real recipes through the real processes: record, train a tokenizer, train a world model, evaluate it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import pytest
from processes import services, until
from redis import Redis
from sqlalchemy import select, text

from terrarium.store.db import engine_for, session_scope
from terrarium.store.tables import Base, TrainingState

pytestmark = pytest.mark.timeout(900)  # runners are niced: on a busy machine they wait
END = ("succeeded", "failed", "cancelled", "quarantined")
EVALUATIONS = "gpu.generate"  # their queue


class House:
    def __init__(self, url: str, worker_pid: int, data_dir: Path) -> None:
        self.http = httpx.Client(base_url=url, timeout=10)
        self.worker_pid, self.data_dir = worker_pid, data_dir
        self.kinds = self.get("/v1/job-kinds")

    def get(self, path: str) -> Any:
        response = self.http.get(path)
        assert response.is_success, response.text
        return response.json()

    def submit(self, kind: str, preset: str | None = "debug", **fields: Any) -> str:
        config = self.kinds[kind]["presets"][preset] if preset else {}
        response = self.http.post("/v1/jobs", json=config | {"kind": kind} | fields)
        assert response.status_code == 201, response.text
        return response.json()["id"]

    def queue(self, name: str, do: str) -> None:
        assert self.http.post(f"/v1/queues/{name}/{do}").is_success

    def finished(self, id: str, timeout_s: float = 240) -> dict[str, Any]:
        job = until(lambda: (job := self.get(f"/v1/jobs/{id}"))["state"] in END and job, timeout_s, every_s=0.1)
        assert job["state"] == "succeeded", job["error"]
        return job

    def has_state(self, id: str) -> bool:
        """Is there a training state that a resume would take?"""
        with session_scope() as session:
            return session.scalars(select(TrainingState).where(TrainingState.job_id == UUID(id))).first() is not None

    def curve(self, id: str, key: str = "loss") -> list[list[float]]:
        return self.get(f"/v1/jobs/{id}/metrics")["series"][key]

    def events(self, id: str) -> list[tuple[str, dict[str, Any]]]:
        """Of an ended job."""
        lines = self.http.get(f"/v1/jobs/{id}/events").text.splitlines()
        types = [line[7:] for line in lines if line.startswith("event: ")]
        return list(zip(types, (json.loads(line[6:]) for line in lines if line.startswith("data: ")), strict=True))


@pytest.fixture(scope="module")
def house(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data_dir = tmp_path_factory.mktemp("e2e-jobs")
    env = {"TERRARIUM_DATA_DIR": str(data_dir), "TERRARIUM_TORCH_THREADS": "1"}
    with services(data_dir / "logs", **env) as started:
        started.dispatcher()
        worker = started.worker()
        assert worker.pid is not None
        house = House(started.gateway(), worker.pid, data_dir)
        house.queue(
            EVALUATIONS, "pause"
        )  # one follows each training, for minutes; a test lets the one go that it wants
        yield house
    Redis.from_url(redis_url).flushall()
    names = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with engine_for(database_url).begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))


@pytest.fixture(scope="module")
def dataset(house: House) -> str:
    id = house.submit("dataset.record")
    house.finished(id)
    return id


@pytest.fixture(scope="module")
def tokenizer(house: House, dataset: str) -> str:
    id = house.submit("tokenizer.train", data=dataset)
    house.finished(id)
    return id


def test_a_recording_shows_itself(house: House, dataset: str) -> None:
    job = house.get(f"/v1/jobs/{dataset}")
    assert job["result"]["episodes"] == 6 and job["progress"]["step"] == job["progress"]["total"] == 6
    (listed,) = [d for d in house.get("/v1/datasets")["items"] if d["id"] == dataset]
    assert listed["manifest"]["frame_size"] == [32, 32]
    files = house.get(f"/v1/jobs/{dataset}/artifacts")["items"]
    (picture,) = [a for a in files if a["media_type"] == "image/png"]
    assert house.http.get(f"/v1/artifacts/{picture['id']}").content.startswith(b"\x89PNG")
    (shown,) = [data for type, data in house.events(dataset) if type == "file"]
    assert shown == {field: value for field, value in picture.items() if field != "created_at"}


def test_from_recording_to_an_evaluated_world_model(house: House, dataset: str, tokenizer: str) -> None:
    assert [step for step, _ in house.curve(tokenizer)] == list(range(1, 21))
    model = house.submit("world-model.train", data=dataset, tokenizer=tokenizer)
    house.finished(model)
    assert len(house.curve(model)) == 12  # the dynamics' 10 and the painter's warm-up
    (follower,) = house.get(f"/v1/jobs?parent={model}")["items"]  # submitted by the end of the training
    assert (follower["kind"], follower["config"]["checkpoint"]) == ("world-model.evaluate", model)
    evaluation = follower["id"]
    changed = house.http.patch(f"/v1/jobs/{evaluation}", json={"config": {"episodes": 2}})
    assert changed.is_success, changed.text
    house.queue(EVALUATIONS, "resume")
    result = house.finished(evaluation)["result"]
    house.queue(EVALUATIONS, "pause")
    assert result["episodes"] == 2
    (checkpoint,) = [c for c in house.get("/v1/checkpoints?kind=world-model")["items"] if c["id"] == model]
    assert checkpoint["evaluation"] == result and "counterfactual_retrieval" in result
    assert checkpoint["manifest"]["inputs"] == {"data": dataset, "tokenizer": tokenizer}
    folder = house.data_dir / "checkpoints" / model
    assert json.loads((folder / "evaluation.json").read_text()) == result
    files = {a["name"] for a in house.get(f"/v1/jobs/{evaluation}/artifacts")["items"]}
    assert {"evaluation.json", "report.html", "rollouts", "long"} <= files
    assert not (house.data_dir / "runs" / model / "output").exists()
    more = house.submit("world-model.train", data=dataset, tokenizer=model, start=model)
    house.finished(more)
    (checkpoint,) = [c for c in house.get("/v1/checkpoints?kind=world-model")["items"] if c["id"] == more]
    assert checkpoint["manifest"]["inputs"] == {"data": dataset, "tokenizer": model, "start": model}


def test_a_runner_killed_with_9_resumes_and_repeats_the_same_curve(house: House, dataset: str) -> None:
    config = {"data": dataset, "steps": 60, "checkpoint_every_s": 0.3}
    quiet = house.submit("tokenizer.train", **config)
    house.finished(quiet)
    disturbed = house.submit("tokenizer.train", **config)
    until(lambda: house.has_state(disturbed), 240)
    (runner,) = psutil.Process(house.worker_pid).children()
    runner.kill()
    job = house.finished(disturbed)
    events = house.events(disturbed)
    assert [d["state"] for t, d in events if t == "state"] == [
        "queued",
        "running",
        "queued",
        "running",
        "succeeded",
    ]
    (resumed,) = [d["step"] for t, d in events if t == "resumed"]
    assert 0 < resumed < 60, "killed too early or too late to show anything"
    assert house.curve(disturbed) == house.curve(quiet), "bit for bit"
    assert job["result"] == house.get(f"/v1/jobs/{quiet}")["result"]


def test_an_input_that_does_not_fit_is_refused(house: House, tokenizer: str) -> None:
    """What was recorded says enough: no runner has to find out."""
    other = house.submit("dataset.record", width=64, height=64)
    house.finished(other)
    answer = house.http.post("/v1/jobs", json={"kind": "world-model.train", "data": other, "tokenizer": tokenizer})
    assert (answer.status_code, answer.json()["code"]) == (422, "input_misfit")
    assert "was trained on frames of 32x32, the dataset has 64x64" in answer.json()["detail"]


def test_cancel_reaches_a_recipe(house: House) -> None:
    id = house.submit("dataset.record", episodes=100_000)
    until(lambda: house.get(f"/v1/jobs/{id}")["progress"], 240)
    house.http.post(f"/v1/jobs/{id}/cancel")
    job = until(lambda: (job := house.get(f"/v1/jobs/{id}"))["state"] in END and job, 12)
    assert job["state"] == "cancelled"


def test_a_world_model_trains_the_tokenizer_that_it_lacks(house: House, dataset: str) -> None:
    """In one job, whose steps go on from the tokenizer's 20; killed in between, it goes on there."""
    id = house.submit("world-model.train", data=dataset, checkpoint_every_s=0.2)
    until(lambda: house.has_state(id), 240)
    (runner,) = psutil.Process(house.worker_pid).children()
    runner.kill()
    assert house.finished(id)["progress"]["total"] == 36
    assert [step for step, _ in house.curve(id, "tokenizer/loss")] == list(range(1, 21))
    assert [step for step, _ in house.curve(id)] == list(range(21, 33))  # the dynamics, and the painter's warm-up
    resumed = [data["step"] for type, data in house.events(id) if type == "resumed"]
    assert resumed and 0 < resumed[0] < 36
    (checkpoint,) = [c for c in house.get("/v1/checkpoints?kind=world-model")["items"] if c["id"] == id]
    assert checkpoint["manifest"]["inputs"] == {"data": dataset}
