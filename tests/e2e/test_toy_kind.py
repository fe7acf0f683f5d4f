"""A room added by one name (tests/toy_room): its kinds are validated, shown, queued, run, kept and followed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from processes import ROOT, services, until
from sqlalchemy.orm import Session

from terrarium.store.moves import AT_REST
from terrarium.store.places import place
from terrarium.store.tables import Asset

TOYS = Path(__file__).parents[1] / "toy_room"
PATHS = os.pathsep.join([str(ROOT), str(TOYS)])


def dataset(db: Session, data_dir: Path, width: int) -> str:
    id, manifest = uuid4(), {"frame_size": [32, width], "episodes": []}
    (data_dir / "datasets" / str(id)).mkdir(parents=True)
    (data_dir / "datasets" / str(id) / "manifest.json").write_text(json.dumps(manifest))
    db.add(Asset(id=str(id), type="dataset", name=f"width {width}", manifest=manifest))
    db.commit()
    return str(id)


@pytest.mark.timeout(300)
def test_a_new_kind_needs_its_row_and_its_recipe(db: Session, redis_url: str, data_dir: Path) -> None:
    narrow, square, wide = (dataset(db, data_dir, width) for width in (32, 64, 128))
    with services(data_dir / "logs", TERRARIUM_DATA_DIR=str(data_dir), PYTHONPATH=PATHS) as started:
        started.dispatcher()
        started.worker()
        http = httpx.Client(base_url=started.gateway(), timeout=10)

        def finished(id: str) -> dict[str, Any]:
            job = until(lambda: (job := http.get(f"/v1/jobs/{id}").json())["state"] in AT_REST and job)
            assert job["state"] == "succeeded", (job["error"], started.log("worker")[-3000:])
            return job

        shown = http.get("/v1/job-kinds").json()["toy.paint"]
        assert (shown["title"], shown["makes"], shown["inputs"]) == ("Paint", "painting", {"data": ["dataset"]})
        assert shown["presets"] == {"debug": {"kind": "toy.paint", "strokes": 1}}
        assert shown["schema"]["properties"]["strokes"]["description"] == "Strokes in a picture."
        assert "toy.paint" in json.dumps(http.get("/openapi.json").json()["components"]["schemas"]["JobConfig"])

        config = {"kind": "toy.paint", "data": [narrow, square], "strokes": 2}
        for change, code in {
            '{"strokes": 10}': "invalid_input",
            '{"data": ["shipped"]}': "invalid_input",
            json.dumps({"data": [narrow, wide]}): "input_misfit",
        }.items():
            refused = http.post("/v1/jobs", json=config | json.loads(change))
            assert refused.status_code == 422 and refused.json()["code"] == code, refused.text
        assert "at most 64 fit the canvas; these fit: width 64" in refused.json()["detail"]

        id = http.post("/v1/jobs?name=Autumn", json=config).json()["id"]
        job = finished(id)
        assert job["result"] == {"sizes": [[32, 32], [32, 64]], "strokes": 2} and job["progress"]["step"] == 2
        (painting,) = http.get("/v1/checkpoints?kind=painting").json()["items"]
        assert painting["id"] == id and painting["manifest"]["inputs"] == {"data": [narrow, square]}
        assert painting["name"] == "Autumn"
        assert painting["uses"] == {"toy.frame": "painting"}
        assert (place("painting", id) / "manifest.json").is_file()
        (framing,) = http.get(f"/v1/jobs?parent={id}").json()["items"]
        assert framing["kind"] == "toy.frame" and framing["parent_id"] == id
        assert finished(framing["id"])["result"] == {"strokes": 2}
        assert http.get(f"/v1/assets/{framing['id']}").json()["name"] == f"framed-{framing['id'][:8]}"


def test_a_new_kind_runs_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"frame_size": [8, 8], "episodes": []}')
    command = [
        sys.executable,
        "-m",
        "terrarium.cli.main",
        "run",
        "toy.paint",
        "--preset",
        "debug",
        "--out",
        str(tmp_path / "out"),
    ]
    env = os.environ | {"PYTHONPATH": PATHS}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    done = run("--set", f'data=["{tmp_path}"]', "--set", "strokes=4")
    assert json.loads(done.stdout) == {"sizes": [[8, 8]], "strokes": 4, "output": f"{tmp_path}/out/output"}, done.stderr
    (tmp_path / "manifest.json").write_text('{"frame_size": [8, 80], "episodes": []}')
    wide = run("--set", f'data=["{tmp_path}"]')
    assert wide.returncode == 2 and "at most 64 fit the canvas" in wide.stderr
    missing = run()
    assert missing.returncode == 2 and "data: needed. What to paint." in missing.stderr, missing.stderr
