"""A job of two processes, which torchrun starts under a real supervisor and gloo joins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from fastapi.testclient import TestClient
from processes import until
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.store import jobs
from terrarium.store.db import session_scope
from terrarium.store.places import place
from terrarium.store.tables import Asset, Job, Run, TrainingState, Worker
from terrarium.workers.supervisor import Supervisor
from terrarium.worlds.episodes.kinds import record_debug
from terrarium.worlds.kinds import kinds, read_manifest
from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.kinds import tokenizer_debug

WALKS = "5eed0000-0000-4000-8000-000000000000"


class Curve(Silent):
    def __init__(self) -> None:
        self.loss: dict[int, float] = {}

    def metrics(self, step: int, values: Any) -> None:
        if "loss" in values:
            self.loss[step] = values["loss"]


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost") as client:
        yield client


@pytest.fixture
def data(db: Session, data_dir: Path, tmp_path: Path) -> str:
    kinds()["dataset.record"].run(record_debug(), tmp_path / "walks", Silent())
    folder = place("dataset", WALKS)
    folder.parent.mkdir(parents=True)
    (tmp_path / "walks" / "output").rename(folder)
    db.add(Asset(id=WALKS, type="dataset", name="walks", manifest=read_manifest(folder)))
    db.commit()
    return WALKS


def started(id: str) -> tuple[Supervisor, threading.Thread]:
    """A run of the job, as a worker with room for two processes begins it."""
    with session_scope() as session:
        job = jobs.claim_next(session, ["gpu.train"], "w", 60.0, processes=2)
    assert job is not None and str(job.id) == id
    supervisor = Supervisor(job, threading.Event())
    thread = threading.Thread(target=supervisor.run, daemon=True)
    thread.start()
    return supervisor, thread


def ranks(supervisor: Supervisor) -> dict[str, psutil.Process]:
    assert supervisor.process is not None
    children = psutil.Process(supervisor.process.popen.pid).children()
    return {child.environ()["RANK"]: child for child in children}


def test_a_killed_process_ends_the_run_and_the_next_goes_on(
    http: TestClient, db: Session, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRARIUM_PRECISION", "fp32")
    monkeypatch.setenv("TERRARIUM_TORCH_THREADS", "1")
    config = replace(tokenizer_debug(data), steps=40, checkpoint_every_s=0.2)
    answer = http.post("/v1/jobs", json=asdict(config), params={"processes": 2})
    assert answer.status_code == 201 and answer.json()["processes"] == 2, answer.text
    id = answer.json()["id"]

    for name, room in (("small", 1), ("large", 2)):
        lacks = "a worker with 2 processes (TERRARIUM_PROCESSES): the largest of gpu.train has 1" if room == 2 else None
        assert http.get(f"/v1/jobs/{id}/place").json()["waits_for"] == lacks
        db.add(Worker(name=name, host="here", queues=["gpu.train"], processes=room))
        db.commit()
    assert http.get(f"/v1/jobs/{id}/place").json()["waits_for"] is None
    assert jobs.claim_next(db, ["gpu.train"], "small", 60.0) is None
    db.rollback()

    supervisor, thread = started(id)
    states = select(TrainingState.step).where(TrainingState.job_id == UUID(id))
    until(lambda: (db.rollback(), max(db.scalars(states), default=0))[1] >= 5, 300)
    both = ranks(supervisor)
    both["1"].kill()
    thread.join(120)
    job = db.get_one(Job, UUID(id), populate_existing=True)
    assert (job.state, job.lost) == ("queued", 1)
    evidence = db.scalars(select(Run.evidence).where(Run.job_id == job.id)).one()
    assert evidence is not None and "one of its 2 processes was lost" in evidence["reason"]
    assert "SIGKILL" in "\n".join(evidence["log_tail"])
    assert not any(process.is_running() for process in both.values())
    db.commit()

    _, thread = started(id)
    thread.join(300)
    job = db.get_one(Job, UUID(id), populate_existing=True)
    assert job.state == "succeeded", job.error
    series = dict(http.get(f"/v1/jobs/{id}/metrics").json()["series"]["loss"])
    undisturbed = Curve()
    alone = replace(config, data=str(place("dataset", data)), accumulate=2)
    kinds()[config.kind].run(alone, tmp_path / "alone", undisturbed)
    assert series == pytest.approx(undisturbed.loss, rel=1e-3)


def test_only_what_can_share_its_work_gets_several(http: TestClient) -> None:
    answer = http.post("/v1/jobs", json={"kind": "dataset.record", "episodes": 2}, params={"processes": 2})
    assert (answer.status_code, answer.json()["code"]) == (409, "one_process")
    assert "tokenizer.train, world-model.train take more" in answer.json()["detail"]
