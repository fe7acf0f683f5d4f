"""`terrarium backup` and `terrarium restore`, on real databases, while jobs come in."""

from __future__ import annotations

import stat
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from brought import make_dataset
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from terrarium.api.app import app as gateway
from terrarium.cli import backup
from terrarium.cli.adopt import adopt
from terrarium.cli.main import app
from terrarium.store import artifacts, jobs
from terrarium.store.db import engine_for, session_scope
from terrarium.store.embedded import Postgres, make_socket_dir, remove_socket_dir, socket_dir
from terrarium.store.settings import settings
from terrarium.store.tables import Artifact, Job, TrainingState
from terrarium.worlds.kinds import kinds

CONFIG = {"kind": "dataset.record", "episodes": 2, "steps": 16}


def terrarium(*argv: object) -> Any:
    return CliRunner().invoke(app, list(map(str, argv)))


def files_of(folder: Path, *parts: str) -> dict[str, bytes]:
    found = (file for part in parts for file in (folder / part).rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


def fill(db: Session, data_dir: Path, tmp_path: Path) -> list[str]:
    """Two datasets, an artifact, and a running job with a training state; ids of the datasets."""
    ids = []
    for seed in range(2):
        ids.append(adopt(make_dataset(tmp_path / f"made-{seed}", seed), data_dir, "dataset").id)
    job = jobs.submit(db, CONFIG, kinds()["dataset.record"].queue)
    db.flush()
    db.add(artifacts.put(job.id, "a.txt", "text/plain", b"hello"))
    db.add(Artifact(job_id=job.id, name="deleted meanwhile", media_type="text/plain", size=1, sha256=""))
    job.state, job.fence = "running", 1
    state = data_dir / "runs" / str(job.id) / "1" / "state" / "step_000000007"
    state.mkdir(parents=True)
    (state / "model.safetensors").write_bytes(b"weights")
    db.add(TrainingState(job_id=job.id, step=7, path="state/step_000000007", fence=1))
    db.commit()
    return ids


def submit_until(over: threading.Event) -> None:
    while not over.is_set():
        with session_scope() as session:
            jobs.submit(session, CONFIG, "cpu")


def test_a_restored_directory_lists_the_same(
    db: Session, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "garden.tar"
    old.mkdir()
    monkeypatch.setenv("TERRARIUM_DATA_DIR", str(old))
    settings.cache_clear()
    ids = fill(db, old, tmp_path)
    with TestClient(gateway, base_url="http://localhost") as http:  # its start lists the datasets
        before = http.get("/v1/assets").json()["items"]
    assert {asset["id"] for asset in before} >= set(ids)
    over = threading.Event()
    jobs_come = threading.Thread(target=submit_until, args=[over])
    jobs_come.start()
    try:
        taken = terrarium("backup", file, "--data-dir", old)
    finally:
        over.set()
        jobs_come.join()
    assert taken.exit_code == 0, taken.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    monkeypatch.delenv("DATABASE_URL")
    settings.cache_clear()
    restored = terrarium("restore", file, "--data-dir", new)
    assert restored.exit_code == 0, restored.output
    parts = ("datasets", "artifacts", "runs")
    assert files_of(new, *parts) == files_of(old, *parts) and len(files_of(new, *parts)) > 8
    again = terrarium("restore", file, "--data-dir", new)
    assert again.exit_code == 2 and "is not empty" in again.stderr

    make_socket_dir(new)
    server = Postgres(new / "postgres", socket_dir(new), new / "logs" / "postgres.log")
    server.start()
    try:
        server.wait_ready()
        monkeypatch.setenv("DATABASE_URL", server.url)
        monkeypatch.setenv("TERRARIUM_DATA_DIR", str(new))
        settings.cache_clear()
        with TestClient(gateway, base_url="http://localhost") as http:
            assert http.get("/v1/assets").json()["items"] == before
            (artifact,) = db.scalars(select(Artifact).where(Artifact.name == "a.txt")).all()
            assert http.get(f"/v1/artifacts/{artifact.id}").content == b"hello"
        with session_scope() as session:  # the database's own counters go on
            jobs.submit(session, CONFIG, "cpu")
        with session_scope() as session:
            assert session.scalars(select(Artifact.name)).all() == ["a.txt"]
            kept = session.scalars(select(Job)).all()
            assert {job.state for job in kept} == {"running", "queued"}
    finally:
        engine_for(server.url).dispose()
        server.stop()
        remove_socket_dir(new)
        settings.cache_clear()


def test_damage_is_named_and_leaves_nothing(db: Session, data_dir: Path, tmp_path: Path) -> None:
    home, file, new = data_dir / "home", tmp_path / "b.tar", tmp_path / "new"
    play = home / "plays" / "7-abc" / "000"
    play.mkdir(parents=True)
    (play / "play.json").write_bytes(b"here is recorded play")
    assert terrarium("backup", file, "--data-dir", home).exit_code == 0
    data = file.read_bytes()
    file.write_bytes(data.replace(b"here is recorded play", b"here is something els"))
    refused = terrarium("restore", file, "--data-dir", new)
    assert refused.exit_code == 2 and "plays/7-abc/000/play.json is damaged" in refused.stderr and not new.exists()
    file.write_bytes(data[:2048])
    assert "is no backup" in terrarium("restore", file, "--data-dir", new).stderr
    with tarfile.open(file, "w") as tar:
        backup._put_text(tar, backup.MANIFEST, '{"format": 1, "files": {"../x": {}}, "gone": {}}')
    assert "expected paths within" in terrarium("restore", file, "--data-dir", new).stderr
    assert not new.exists()
