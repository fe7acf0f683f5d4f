"""A world from words, guided by a tiny random SDXL, over HTTP: the real gateway, dispatcher, worker and runner."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from processes import services, until
from sqlalchemy.orm import Session

pytest.importorskip("diffusers", reason="the extra `sds` is not installed")

from tiny_sdxl import save_tiny_sdxl

from terrarium.store.moves import AT_REST


@pytest.mark.timeout(600)
def test_sdxl_makes_a_world(db: Session, redis_url: str, data_dir: Path, tmp_path: Path) -> None:
    model = save_tiny_sdxl(tmp_path / "tiny-sdxl")
    config = {"kind": "world.generate", "guidance": "sdxl", "model": str(model), "local_files_only": True}
    config |= {"prompts": ["a stone castle"], "size": 8, "image": 32, "steps": 4, "image_every": 2, "log_every": 1}
    with services(data_dir / "logs", TERRARIUM_DATA_DIR=str(data_dir)) as started:
        started.dispatcher()
        started.worker()
        http = httpx.Client(base_url=started.gateway(), timeout=10)
        id = http.post("/v1/jobs", json=config).json()["id"]
        job = until(lambda: (job := http.get(f"/v1/jobs/{id}").json())["state"] in AT_REST and job, timeout_s=250)
        assert job["state"] == "succeeded", (job["error"], started.log("worker")[-3000:])
        assert job["progress"]["step"] == 4 and job["result"]["blocks"] > 0
        world = http.get(f"/v1/assets/{id}").json()
        assert world["type"] == "block-world" and world["manifest"]["made"]["prompts"] == ["a stone castle"]
