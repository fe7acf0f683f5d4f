"""Frames of a dataset's episodes over HTTP: raw, in parts, cached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brought import make_dataset, zipped
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.store.places import place
from terrarium.worlds.episodes.format import open_dataset

FRAME = 8 * 8 * 3


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def dataset(http: TestClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    made = make_dataset(tmp_path_factory.mktemp("made") / "mine")
    answer = http.post("/v1/uploads", content=zipped(made), headers={"content-type": "application/zip"})
    return answer.json()["id"]


def test_frames_come_as_they_are_whole_and_in_parts(http: TestClient, dataset: str) -> None:
    episode = open_dataset(place("dataset", dataset)).episodes[1]
    url = f"/v1/assets/{dataset}/episodes/{episode.id}/frames"
    whole = http.get(url)
    assert (np.frombuffer(whole.content, np.uint8).reshape(episode.frames.shape) == episode.frames).all()
    part = http.get(url, headers={"range": f"bytes={2 * FRAME}-{4 * FRAME - 1}"})
    assert part.status_code == 206 and part.content == episode.frames[2:4].tobytes()
    assert part.headers["content-range"] == f"bytes {2 * FRAME}-{4 * FRAME - 1}/{5 * FRAME}"
    assert http.get(url, headers={"if-none-match": whole.headers["etag"]}).status_code == 304
    beyond = http.get(url, headers={"range": "bytes=999999-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "bad_range")


@pytest.mark.parametrize("episode", ["000007", "..", "..%2F..", "%2e%2e", "manifest.json", "000000%2F.."])
def test_only_episodes_of_the_manifest_are_served(http: TestClient, dataset: str, episode: str) -> None:
    answer = http.get(f"/v1/assets/{dataset}/episodes/{episode}/frames")
    assert answer.status_code in (404, 422) and answer.headers["content-type"] == "application/problem+json"


def test_what_has_no_episodes_or_lost_them_says_so(http: TestClient, dataset: str) -> None:
    def code(id: str) -> Any:
        return http.get(f"/v1/assets/{id}/episodes/000000/frames").json()["code"]

    assert code("1f0c2a3b-0000-4000-8000-000000000000") == "asset_not_found"
    assert code("shipped") in ("episode_not_found", "asset_not_found")
    file = place("dataset", dataset) / "episodes" / "000000" / "frames.npy"
    file.write_bytes(file.read_bytes()[:-1])
    assert code(dataset) == "asset_files_gone"
    file.unlink()
    assert code(dataset) == "asset_files_gone"
