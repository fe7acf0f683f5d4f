"""Assets over HTTP: lists and views, lineage, names and tags, downloads, deletion; the shipped world model."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.api.assets import add_shipped
from terrarium.store import artifacts, assets, jobs
from terrarium.store.places import place
from terrarium.store.tables import Asset, Job, PlaySession


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def make(db: Session, type: str, *made_from: str, **values: object) -> str:
    """An asset that a job has made, with a file of three bytes."""
    job = Job(id=uuid4(), kind="any", config={}, queue="cpu", state="succeeded")
    db.add(job)
    db.flush()
    asset = assets.add(db, job, type, {"fps": 20}, made_from, 3)
    for name, value in values.items():
        setattr(asset, name, value)
    folder = place(type, asset.id)
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file.bin").write_bytes(b"abc")
    db.commit()
    return asset.id


def test_datasets_and_checkpoints(http: TestClient, db: Session) -> None:
    ids = [uuid4() for _ in range(3)]
    for id in ids:
        db.add(Asset(id=str(id), type="dataset", name="d", manifest={"fps": 20}))
        db.add(Asset(id=str(uuid4()), type="tokenizer", name="c", manifest={"a": 1}, evaluation={"psnr": 20}))
        db.commit()
    first = http.get("/v1/datasets", params={"limit": 2}).json()
    rest = http.get("/v1/datasets", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [d["id"] for d in first["items"] + rest["items"]] == [str(id) for id in ids[::-1]]
    page = http.get("/v1/checkpoints", params={"kind": "tokenizer"}).json()
    assert len(page["items"]) == 3
    assert page["items"][0]["evaluation"] == {"psnr": 20} and page["next_cursor"] is None
    models = http.get("/v1/checkpoints", params={"kind": "world-model"}).json()["items"]
    assert {c["id"] for c in models} <= {"shipped"}


def test_the_shipped_checkpoint_keeps_what_was_measured_here(db: Session, tmp_path: Path) -> None:
    def row() -> Asset:
        db.rollback()
        found = db.get(Asset, "shipped", populate_existing=True)
        assert found is not None
        return found

    assert not add_shipped(tmp_path)
    (tmp_path / "manifest.json").write_text('{"kind": "world-model", "sha256": "1"}')
    (tmp_path / "evaluation.json").write_text('{"seed": 1}')
    assert add_shipped(tmp_path)
    assert (row().type, row().evaluation) == ("world-model", {"seed": 1})
    row().evaluation = {"seed": 2}
    db.commit()
    add_shipped(tmp_path)
    assert row().evaluation == {"seed": 2}
    (tmp_path / "manifest.json").write_text('{"kind": "world-model", "sha256": "2"}')
    add_shipped(tmp_path)
    assert row().evaluation == {"seed": 1}


def test_assets_are_found_by_type_text_and_tag(http: TestClient, db: Session) -> None:
    data = make(db, "dataset", name="Night walks")
    eye = make(db, "tokenizer", data, notes="sharp 100%", tags=["keep"])

    def found(**query: str) -> set[str]:
        answer = http.get("/v1/assets", params=query)
        assert answer.status_code == 200, answer.text
        return {asset["id"] for asset in answer.json()["items"]} - {"shipped"}

    assert found() == {data, eye} and found(type="dataset") == {data}
    assert found(q="night") == {data} and found(q="100%") == {eye} and found(q="1%0") == set()
    assert found(tag="keep") == {eye} and found(tag="lost") == set()
    wrong = http.get("/v1/assets", params={"type": "spaceship"})
    assert wrong.status_code == 422 and "spaceship" in wrong.text and "dataset" in wrong.text


def test_lineage_goes_both_ways_past_what_was_deleted(http: TestClient, db: Session) -> None:
    data = make(db, "dataset")
    eye = make(db, "tokenizer", data)
    model = make(db, "world-model", data, eye)
    lineage = http.get(f"/v1/assets/{eye}/lineage").json()
    assert [a["id"] for a in lineage["made_from"]] == [data] and [a["id"] for a in lineage["made_of_it"]] == [model]
    assert http.delete(f"/v1/assets/{eye}").status_code == 204
    (first, second) = http.get(f"/v1/assets/{model}/lineage").json()["made_from"]
    assert (first["id"], second["id"]) == (data, eye) and second["deleted_at"] is not None
    assert http.get(f"/v1/assets/{eye}").json()["code"] == "asset_not_found"
    (after, _) = http.get(f"/v1/assets/{data}/lineage").json()["made_of_it"]
    assert after["id"] == eye and after["deleted_at"] is not None


def test_the_newest_picture_of_its_job_stands_for_an_asset(http: TestClient, db: Session) -> None:
    id = make(db, "dataset")
    job = jobs.submit(db, {"kind": "dataset.record"}, "cpu")
    db.get_one(Asset, id).made_by = job.id
    assert http.get(f"/v1/assets/{id}").json()["preview"] is None
    pictures = [artifacts.put(job.id, "walk", "image/png", bytes([n])) for n in (1, 2)]
    for kept in (*pictures, artifacts.put(job.id, "runner.log", "text/plain", b"log")):
        db.add(kept)
        db.commit()  # each later than the one before
    newest = str(pictures[-1].id)
    assert http.get(f"/v1/assets/{id}").json()["preview"] == newest
    assert [a["preview"] for a in http.get("/v1/assets?type=dataset").json()["items"]] == [newest]


def test_a_list_of_datasets_counts_their_episodes(http: TestClient, db: Session) -> None:
    episodes = [{"id": f"{i:06}", "length": 65, "split": split} for i, split in enumerate(("train", "train", "val"))]
    for id, manifest in (("full", {"fps": 20, "episodes": episodes}), ("bare", {"fps": 30})):
        db.add(Asset(id=id, type="dataset", name=id, manifest=manifest))
        db.commit()
    bare, full = http.get("/v1/datasets").json()["items"]
    assert full["manifest"] == {"fps": 20}
    assert full["counts"] == {"episodes": 3, "held_out": 1, "frames": 195}
    assert bare["counts"] == {"episodes": 0, "held_out": 0, "frames": 0}
    assert http.get("/v1/datasets/full").json()["manifest"]["episodes"] == episodes
    db.add(Asset(id="other", type="tokenizer", name="w", manifest={"episodes": 3}))
    db.commit()
    other, bare, full = (asset for asset in http.get("/v1/assets").json()["items"] if asset["id"] != "shipped")
    assert full["counts"]["frames"] == 195 and full["manifest"] == {"fps": 20}
    assert other["counts"] is None and other["manifest"] == {"episodes": 3}
    assert http.get("/v1/assets/full").json()["manifest"]["episodes"] == episodes
    assert http.get("/v1/datasets/other").status_code == http.get("/v1/datasets/none").status_code == 404


def test_a_name_notes_and_tags_can_be_changed(http: TestClient, db: Session) -> None:
    id = make(db, "dataset")
    changed = http.patch(f"/v1/assets/{id}", json={"name": "  Harbour ", "tags": ["b", "a", "b"]}).json()
    assert (changed["name"], changed["tags"], changed["notes"]) == ("Harbour", ["a", "b"], "")
    assert http.get("/v1/datasets").json()["items"][0]["name"] == "Harbour"
    for wrong in ({"name": ""}, {"name": "a\x00b"}, {"tags": ["x" * 41]}, {"type": "world"}, {"name": "x" * 101}):
        assert http.patch(f"/v1/assets/{id}", json=wrong).status_code == 422
    assert http.get(f"/v1/assets/{id}").json()["name"] == "Harbour"


def test_all_files_come_as_one_zip(http: TestClient, db: Session) -> None:
    id = make(db, "world-model", name="café")
    (place("world-model", id) / "link").symlink_to("/etc/passwd")
    answer = http.get(f"/v1/assets/{id}/download")
    assert answer.headers["content-disposition"].endswith("caf%C3%A9.zip")
    assert int(answer.headers["content-length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["deep/file.bin"] and archive.read("deep/file.bin") == b"abc"


def test_what_is_needed_is_not_deleted(http: TestClient, db: Session) -> None:
    data, model = make(db, "dataset"), make(db, "world-model")
    job = jobs.submit(db, {"kind": "tokenizer.train", "data": data}, "gpu.train")
    play = PlaySession(checkpoint=model, seed=1, ticket_sha256=None, ended_at=None)
    db.add(play)
    db.commit()
    for id, says in ((data, str(job.id)), (model, "is being played"), ("shipped", "belongs to the package")):
        if id == "shipped":
            add_shipped()
        refused = http.delete(f"/v1/assets/{id}")
        assert refused.status_code == 409 and says in refused.json()["detail"], refused.text
    assert place("dataset", data).is_dir() and place("world-model", model).is_dir()
    jobs.cancel(db, job.id)
    play.ended_at = db.scalar(func.now())
    db.commit()
    for type, id in (("dataset", data), ("world-model", model)):
        assert http.delete(f"/v1/assets/{id}").status_code == 204
        assert not place(type, id).exists()
    assert http.post("/v1/play/sessions", json={"checkpoint": model}).status_code == 404
    refused = http.post("/v1/jobs", json={"kind": "tokenizer.train", "data": data})
    assert refused.status_code == 422 and "no such dataset" in json.dumps(refused.json())


def test_files_that_a_crash_left_behind_are_swept_and_sizes_counted(db: Session, data_dir: Path) -> None:
    gone, kept = make(db, "dataset"), make(db, "dataset", size=None)
    asset = db.get(Asset, gone)
    assert asset is not None
    assets.delete(db, asset)
    db.commit()  # and no remove_files
    with TestClient(app, base_url="http://localhost") as http:
        assert http.get(f"/v1/assets/{kept}").json()["size"] > 0
    assert not place("dataset", gone).exists() and place("dataset", kept).is_dir()
