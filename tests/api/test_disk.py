"""What takes up the disk, over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.store import artifacts, jobs
from terrarium.store.settings import settings
from terrarium.store.tables import Asset


def test_what_there_is_by_type_and_when_it_is_low(
    db: Session, redis_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (5000, 7000):
        db.add(Asset(id=f"d{size}", type="dataset", name="", manifest={}, size=size))
    job = jobs.submit(db, {"kind": "dataset.record"}, "cpu")
    db.add(artifacts.put(job.id, "a.txt", "text/plain", b"twelve bytes"))
    db.commit()
    (data_dir / "runs" / "some").mkdir(parents=True)
    (data_dir / "runs" / "some" / "weights").write_bytes(bytes(8192))
    with TestClient(app, base_url="http://localhost") as http:
        found = http.get("/v1/disk").json()
        sizes = {part["type"]: part["size"] for part in found["parts"]}
        assert (sizes["dataset"], sizes["artifact"]) == (12_000, 12) and sizes["run"] >= 8192 and sizes["database"] > 0
        assert list(sizes.values()) == sorted(sizes.values(), reverse=True) and "play" not in sizes
        assert not found["low"] and http.get("/health/ready").status_code == 200
        monkeypatch.setattr(settings(), "reserve_mb", 10**12)
        assert http.get("/v1/disk").json()["low"] and "low disk" in http.get("/health/ready").json()["detail"]
