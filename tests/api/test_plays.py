"""Recorded play over HTTP: listed, filtered, looked at, deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.store import jobs, plays


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def play(data_dir: Path, id: str, *, checkpoint: str = "shipped", terrain: str = "plains", parts: int = 2) -> Path:
    """A recording of `parts` times 20 frames, as the player leaves it."""
    source = {"kind": "blocks", "terrain": terrain} if terrain else {"kind": "gym"}
    facts = {"seed": 7, "checkpoint": checkpoint, "fps": 10.0, "frames": 20, "frame_size": [8, 8], "source": source}
    for i in range(parts):
        part = data_dir / "plays" / id / f"{i:03d}"
        part.mkdir(parents=True)
        np.save(part / "frames.npy", np.zeros((20, 8, 8, 3), np.uint8))
        np.save(part / "actions.npy", np.zeros((19, 2), np.float32))
        more = {"action_names": ["left", "right"], "keys": {}, "state": {"x": 0} if terrain else None}
        (part / "play.json").write_text(json.dumps(facts | more))
    (data_dir / "plays" / id / plays.PICTURE).write_bytes(b"\xff\xd8")
    return data_dir / "plays" / id


def test_what_was_recorded_is_listed_and_filtered(http: TestClient, data_dir: Path) -> None:
    play(data_dir, "7-a")
    play(data_dir, "8-b", checkpoint="other", terrain="", parts=1)
    (data_dir / "plays" / ".7-c-000").mkdir()  # still being written
    answer = http.get("/v1/plays").json()
    by_id = {p["id"]: p for p in answer["items"]}
    assert set(by_id) == {"7-a", "8-b"} and answer["total"] == 2
    assert by_id["7-a"]["frames"] == 39, "parts overlap by one frame"
    assert by_id["7-a"]["seconds"] == 3.9 and by_id["7-a"]["world"] == "plains" and by_id["8-b"]["world"] is None
    assert answer["size"] == sum(p["size"] for p in by_id.values()) < answer["max_size"]
    assert [p["id"] for p in http.get("/v1/plays", params={"checkpoint": "other"}).json()["items"]] == ["8-b"]
    assert [p["id"] for p in http.get("/v1/plays", params={"world": "plains"}).json()["items"]] == ["7-a"]
    assert http.get("/v1/plays/7-a/picture").headers["content-type"] == "image/jpeg"


def test_a_damaged_recording_is_listed_with_what_is_wrong(http: TestClient, data_dir: Path) -> None:
    first, second, third = (play(data_dir, f"7-{name}") for name in "abc")
    (first / "001" / "play.json").write_text("{")
    frames = second / "000" / "frames.npy"
    frames.write_bytes(frames.read_bytes()[:-100])
    (third / "000" / "actions.npy").unlink()
    problems = {p["id"]: p["problem"] for p in http.get("/v1/plays").json()["items"]}
    assert "001: play.json cannot be read" in problems["7-a"]
    assert "000: frames.npy is truncated: expected 20 frames of 8x8" in problems["7-b"]
    assert "000: actions.npy is missing" in problems["7-c"]


@pytest.mark.parametrize(
    "change",
    [{"frames": 1e308}, {"frames": "9"}, {"frame_size": [8]}, {"fps": 0}, {"source": [1]}, {"action_names": 5}, None],
    ids=str,
)
def test_an_odd_recording_hides_no_other(http: TestClient, data_dir: Path, change: dict[str, Any] | None) -> None:
    file = play(data_dir, "7-a", parts=1) / "000" / "play.json"
    file.write_text("[" * 100_000 if change is None else json.dumps(json.loads(file.read_text()) | change))
    play(data_dir, "7-b")
    problems = {p["id"]: p["problem"] for p in http.get("/v1/plays").json()["items"]}
    assert "play.json cannot be read" in problems["7-a"] and problems["7-b"] is None


def test_a_recording_is_deleted_but_not_under_a_job_that_needs_it(
    http: TestClient, data_dir: Path, db: Session
) -> None:
    play(data_dir, "7-a"), play(data_dir, "7-b"), play(data_dir, "7-c")
    job = jobs.submit(db, {"kind": "dataset.import-play", "plays": ["7-a"]}, "cpu")
    db.commit()
    refused = http.delete("/v1/plays/7-a")
    assert refused.status_code == 409 and refused.json()["code"] == "play_in_use" and str(job.id) in refused.text
    assert http.delete("/v1/plays/7-b").status_code == 204
    everything = jobs.submit(db, {"kind": "dataset.import-play", "plays": []}, "cpu")
    db.commit()
    assert http.delete("/v1/plays/7-c").status_code == 409, "no names: every recording"
    jobs.cancel(db, everything.id)
    jobs.cancel(db, job.id)
    db.commit()
    assert http.delete("/v1/plays/7-c").status_code == http.delete("/v1/plays/7-a").status_code == 204
    assert http.get("/v1/plays").json()["items"] == [] and list((data_dir / "plays").iterdir()) == []


@pytest.mark.parametrize("id", ["nowhere", "..", "%2e%2e", ".7-a", "a/b", "x" * 101, "a%00b"])
def test_no_other_name_reaches_a_folder(http: TestClient, data_dir: Path, id: str) -> None:
    play(data_dir, "7-a").rename(data_dir / "plays" / ".7-a")
    (data_dir / "play.json").write_text("{}")
    assert http.delete(f"/v1/plays/{id}").status_code in (404, 405, 422)
    assert (data_dir / "play.json").exists() and (data_dir / "plays" / ".7-a").exists()
