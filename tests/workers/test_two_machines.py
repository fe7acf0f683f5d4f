"""Machines that share a database, a broker and an object store, and no disk: each process has an empty data directory
of its own, and a whole pipeline runs across them, from an uploaded map to a dataset of what was played.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from play_client import PlayClient
from processes import Services, free_port, services, until
from s3 import s3_server
from sqlalchemy import select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from terrarium.cli.main import app as terrarium
from terrarium.store.embedded import Child
from terrarium.store.moves import AT_REST
from terrarium.store.settings import settings
from terrarium.store.tables import JobEvent
from terrarium.worlds.world_model.kinds import world_model_debug

SIDE = 8
LAWN = [{"position": [x, 0, z], "blockType": "Grass"} for x in range(SIDE) for z in range(SIDE)]
MAP = {"worldScale": 2, "worldConfig": {"seed": 1, "dimensions": dict.fromkeys("xyz", SIDE)}, "blocks": LAWN}
WALKS = {"kind": "dataset.record", "episodes": 2, "steps": 24, "val_fraction": 0.5}
EYE = {"kind": "tokenizer.train", "codes": 64, "channels": 16, "steps": 150, "batch": 8, "log_every": 1}


class Deployment:
    """A gateway and a dispatcher on one machine, others that join them."""

    def __init__(self, started: Services, tmp_path: Path) -> None:
        self.services, self.root = started, tmp_path
        self.player_port = free_port()
        self.player_url = f"ws://127.0.0.1:{self.player_port}"
        started.env |= {"TERRARIUM_DATA_DIR": str(tmp_path / "gateway"), "TERRARIUM_PLAYER_URL": self.player_url}
        (tmp_path / "gateway").mkdir()
        started.dispatcher()
        self.url = started.gateway()
        self.http = httpx.Client(base_url=self.url, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))

    def join(self, name: str, *options: str) -> Child:
        """Returns once it says so; its data directory is `name`."""
        argv = ["terrarium.cli.main", "join", "--data-dir", str(self.root / name), *options]
        child = self.services.start(name, *argv)
        until(lambda: "joined:" in self.services.log(name), 300)
        return child

    def made(self, **config: Any) -> dict[str, Any]:
        """The asset of a job."""
        return self.asset(self.submit(**config))

    def submit(self, **config: Any) -> str:
        answer = self.http.post("/v1/jobs", json=config)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def asset(self, id: str) -> dict[str, Any]:
        until(lambda: self.job(id)["state"] in AT_REST, 600, every_s=0.2)
        job = self.job(id)
        assert job["state"] == "succeeded", (job["kind"], job["error"])
        return self.http.get(f"/v1/assets/{id}").json()

    def job(self, id: str) -> dict[str, Any]:
        return self.http.get(f"/v1/jobs/{id}").json()

    def steps(self, id: str) -> list[int]:
        return [step for step, _ in self.http.get(f"/v1/jobs/{id}/metrics").json()["series"]["loss"]]


@pytest.fixture
def deployment(db: Any, redis: Any, tmp_path: Path) -> Iterator[Deployment]:
    quick = {"TERRARIUM_TORCH_THREADS": "1", "TERRARIUM_RESERVE_MB": "1"}
    with s3_server() as shared, services(tmp_path / "logs", **shared, **quick) as started:
        yield Deployment(started, tmp_path)


def test_a_pipeline_runs_on_machines_that_share_no_disk(db: Session, deployment: Deployment) -> None:
    house = deployment
    first = house.join("worker")
    world = house.http.post("/v1/uploads", params={"type": "block-world", "name": "lawn"}, json=MAP)
    assert world.status_code == 201, world.text
    walks = house.made(**WALKS, map=world.json()["id"])
    frames = house.http.get(f"/v1/assets/{walks['id']}/episodes/000000/frames")  # by way of the gateway's own copy
    assert len(frames.content) == 25 * 64 * 64 * 3

    training = house.submit(**EYE, data=walks["id"])
    until(lambda: (house.job(training)["progress"] or {"step": 0})["step"] >= 20, 300)
    house.services.stop(first)  # a drain: its state is all that another machine gets
    assert house.job(training)["state"] == "queued"
    house.join("other-worker")
    eye = house.asset(training)
    assert house.steps(training) == list(range(1, 151))
    resumed = db.scalars(select(JobEvent.data).where(JobEvent.job_id == UUID(training), JobEvent.type == "resumed"))
    assert [data["step"] >= 20 for data in resumed] == [True]
    db.commit()

    model = house.made(**asdict(world_model_debug(walks["id"], eye["id"])))
    evaluation = house.http.get("/v1/jobs", params={"kind": "world-model.evaluate"}).json()["items"][0]
    assert house.http.post(f"/v1/jobs/{evaluation['id']}/cancel").status_code == 202  # it takes minutes
    player = house.join("player", "--no-worker", "--player", house.player_url)
    asyncio.run(play(house, model["id"]))
    house.services.stop(player)  # before it compiles the step
    (recorded,) = until(lambda: house.http.get("/v1/plays").json()["items"])
    assert recorded["problem"] is None and recorded["checkpoint"] == model["id"]
    assert house.http.get(f"/v1/plays/{recorded['id']}/picture").content[:2] == b"\xff\xd8"
    again = house.made(kind="dataset.import-play", plays=[recorded["id"]], pictures="model")
    assert again["manifest"]["episodes"][0]["length"] > 16
    assert not (house.root / "gateway/runs").exists() and not (house.root / "player/datasets").exists()


async def play(house: Deployment, checkpoint: str) -> None:
    ticket = house.http.post("/v1/play/sessions", json={"checkpoint": checkpoint, "seed": 3}).json()
    client = await PlayClient.open(house.url.replace("http", "ws") + ticket["url"], True, ticket["ticket"])
    await client.text("hello", 60)
    await client.say("settings", record=True)
    await client.input("w", hold=True)
    await client.more_frames(30, 60)
    await client.close()


@pytest.mark.parametrize(
    "change, options, message",
    [
        ({"TERRARIUM_ARTIFACTS_URL": ""}, [], "TERRARIUM_ARTIFACTS_URL is not set: expected that of the gateway's"),
        ({"REDIS_URL": ""}, [], "REDIS_URL is not set"),
        ({}, ["--no-worker"], "nothing to run"),
        ({}, ["--player", "http://here"], "--player 'http://here': expected ws://host:port"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/x"}, [], "DATABASE_URL does not answer"),
        ({"REDIS_URL": "redis://127.0.0.1:9"}, [], "REDIS_URL does not answer"),
        ({"TERRARIUM_ARTIFACTS_URL": "moon://x"}, [], "TERRARIUM_ARTIFACTS_URL does not answer"),
    ],
)
def test_join_says_what_is_missing(
    database_url: str, redis_url: str, data_dir: Path, change: dict[str, str], options: list[str], message: str
) -> None:
    env = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "TERRARIUM_ARTIFACTS_URL": "memory:///"} | change
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        settings.cache_clear()
        said = CliRunner().invoke(terrarium, ["join", "--data-dir", str(data_dir / "here"), *options])
    settings.cache_clear()
    assert said.exit_code in (1, 2) and message in said.stderr, said.output
    assert not (data_dir / "here").exists()
