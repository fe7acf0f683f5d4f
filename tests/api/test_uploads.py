"""Uploads: what was downloaded comes back; what is wrong is refused with its reason and leaves nothing."""

from __future__ import annotations

import io
import json
import shutil
import socket
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from brought import MAKE, make_capture, make_dataset, make_world, zipped
from fastapi.testclient import TestClient
from processes import free_port, until
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.api.assets import open_library
from terrarium.api.brought import register
from terrarium.api.server import OPTIONS
from terrarium.store import assets
from terrarium.store.places import place
from terrarium.store.settings import settings
from terrarium.store.tables import Asset
from terrarium.worlds.intake import new_draft, take_in

ZIP = {"content-type": "application/zip"}


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def upload(http: Any, data: Any, **query: str) -> Any:
    return http.post("/v1/uploads", content=data, params=query, headers=ZIP)


def nothing_is_left(http: Any, data_dir: Path) -> bool:
    listed = [asset for asset in http.get("/v1/assets").json()["items"] if asset["id"] != "shipped"]
    files = [path for path in data_dir.rglob("*") if path.is_file()]
    return not listed and not files


@pytest.mark.parametrize("type", MAKE)
def test_a_download_is_uploaded_again(http: TestClient, data_dir: Path, tmp_path_factory: Any, type: str) -> None:
    folder = MAKE[type](tmp_path_factory.mktemp("made") / "mine")
    answer = upload(http, zipped(folder), type=type, name=" Ünser ", file="mine.zip")
    assert answer.status_code == 201, answer.text
    first = answer.json()
    assert (first["type"], first["name"], first["made_by"], first["made_from"]) == (type, "Ünser", None, [])
    origin = first["manifest"]["origin"]
    assert (origin["file"], origin["from"]) == ("mine.zip", "an upload from testclient") and len(origin["sha256"]) == 64
    assert first["size"] > 0 and (first["evaluation"] is not None) == (type == "world-model")
    download = http.get(f"/v1/assets/{first['id']}/download").content
    assert upload(http, download).status_code == 200, "it is there"
    assert http.delete(f"/v1/assets/{first['id']}").status_code == 204 and not place(type, first["id"]).exists()
    again = upload(http, download, file="again.zip")
    assert again.status_code == 201 and (again.json()["id"], again.json()["name"]) == (first["id"], "again")
    with zipfile.ZipFile(io.BytesIO(http.get(f"/v1/assets/{first['id']}/download").content)) as archive:
        for name in set(archive.namelist()) - {"origin.json"}:
            assert archive.read(name) == (folder / name).read_bytes()
    assert not any((data_dir / "incoming").iterdir())


def test_a_job_takes_what_was_uploaded(http: TestClient, tmp_path_factory: Any) -> None:
    folder = make_dataset(tmp_path_factory.mktemp("made") / "mine")
    data = upload(http, zipped(folder, "mine/")).json()
    assert data["name"] == f"dataset-{data['id'][:8]}" and data["uses"]["tokenizer.train"] == "data"
    job = http.post("/v1/jobs", json={"kind": "tokenizer.train", "data": data["id"]})
    assert job.status_code == 201, job.text
    in_use = http.delete(f"/v1/assets/{data['id']}")
    assert in_use.status_code == 409 and in_use.json()["code"] == "asset_in_use"
    assert (place("dataset", data["id"]) / "manifest.json").is_file()
    wrong = http.post("/v1/jobs", json={"kind": "world-model.evaluate", "checkpoint": data["id"]})
    assert wrong.status_code == 422 and "this is a dataset, expected a world-model" in wrong.text


def test_a_map_comes_by_itself(http: TestClient, tmp_path_factory: Any) -> None:
    file = make_world(tmp_path_factory.mktemp("made") / "mine") / "map.json"

    def send(data: bytes) -> Any:
        headers = {"content-type": "application/json"}
        return http.post("/v1/uploads", content=data, params={"file": "castle.json"}, headers=headers)

    world = send(file.read_bytes())
    assert world.status_code == 201, world.text
    assert (world.json()["type"], world.json()["name"]) == ("block-world", "castle")
    assert world.json()["manifest"]["size"] == [16, 16, 16] and world.json()["uses"]["world.generate"]
    bad = send(file.read_bytes().replace(b"Grass", b"Lava"))
    assert (bad.status_code, bad.json()["code"]) == (422, "bad_upload") and "of type 'Lava'" in bad.json()["detail"]
    small = http.post("/v1/jobs", json={"kind": "world.generate", "target": world.json()["id"], "size": 32})
    assert small.status_code == 422 and "has [16, 16, 16] blocks along x, y and z, size says" in small.text
    nothing = http.post("/v1/jobs", json={"kind": "world.generate"})
    assert nothing.status_code == 422 and "rebuilds a world, expected one" in nothing.text


def test_a_capture_set_without_a_manifest_is_a_target(http: TestClient, tmp_path_factory: Any) -> None:
    """As the browser's viewer leaves it."""
    folder = make_capture(tmp_path_factory.mktemp("made") / "mine")
    (folder / "manifest.json").unlink()
    brought = upload(http, zipped(folder)).json()
    assert (brought["type"], brought["manifest"]["views"]) == ("capture-set", 2)
    assert brought["uses"]["world.generate"] == "target"
    job = {"kind": "world.generate", "target": brought["id"]}
    small = http.post("/v1/jobs", json=job | {"size": 32})
    assert small.status_code == 422 and "has [16, 16, 16] blocks along x, y and z, size says" in small.text
    assert http.post("/v1/jobs", json=job | {"size": 16}).status_code == 201
    start = http.post("/v1/jobs", json=job | {"start": brought["id"]})
    assert start.status_code == 422 and "this is a capture-set, expected a block-world" in start.text


def test_what_is_wrong_is_named_and_leaves_nothing(http: TestClient, data_dir: Path, tmp_path_factory: Any) -> None:
    folder = make_dataset(tmp_path_factory.mktemp("made") / "mine")
    whole = zipped(folder)
    with zipfile.ZipFile(link := io.BytesIO(), "w") as archive:
        info = zipfile.ZipInfo("manifest.json")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with zipfile.ZipFile(parent := io.BytesIO(), "w") as archive:
        archive.writestr("../../postgres/PG_VERSION", "18")
    for data, query, says in (
        (b"\x89PNG\r\n" + bytes(999), {}, "the archive is damaged, or no zip"),
        (b"", {}, "the archive is damaged, or no zip"),
        (whole[: len(whole) // 2], {}, "the archive is damaged, or no zip"),
        (whole.replace(b"\x93NUMPY", b"\x93NUMPI"), {}, "damaged"),
        (link.getvalue(), {}, "'manifest.json', which is a link"),
        (parent.getvalue(), {}, "expected relative names, without . and .."),
        (whole, {"type": "tokenizer"}, "its manifest.json is that of 'dataset', expected a tokenizer"),
        (zipped(folder / "episodes"), {}, "manifest.json is not there"),
    ):
        refused = upload(http, data, **query)
        assert (refused.status_code, refused.json()["code"]) == (422, "bad_upload"), refused.text
        assert says in refused.json()["detail"] and nothing_is_left(http, data_dir), refused.text
    unknown = upload(http, whole, type="spaceship")
    assert unknown.status_code == 422 and "spaceship" in unknown.text and "world-model" in unknown.text
    assert upload(http, whole, name="x" * 101).status_code == 422
    text = http.post("/v1/uploads", content=whole, headers={"content-type": "text/plain"})
    assert text.status_code == 415 and "expected application/zip" in text.json()["detail"]
    assert nothing_is_left(http, data_dir)


def test_what_is_too_large_is_refused_with_the_limit(
    http: TestClient, data_dir: Path, tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = zipped(make_dataset(tmp_path_factory.mktemp("made") / "mine"))
    monkeypatch.setattr(settings(), "max_upload_gb", 2e-6)
    for data in (whole, iter([whole[:1500], whole[1500:]])):  # the second does not say how long it is
        refused = upload(http, data)
        assert refused.status_code == 413, refused.text
        assert "2000 bytes (TERRARIUM_MAX_UPLOAD_GB)" in refused.json()["detail"]
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("manifest.json", *(f"episodes/{i}/frames.npy" for i in range(3))):
            archive.writestr(name, json.dumps({"episodes": []}) if name == "manifest.json" else bytes(1000))
    refused = upload(http, buffer.getvalue())
    assert refused.status_code == 413 and "unpacks to 3016 bytes, expected at most 2000" in refused.json()["detail"]
    assert nothing_is_left(http, data_dir)


def test_the_reserve_of_the_disk_is_not_eaten(
    http: TestClient, data_dir: Path, tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = zipped(make_dataset(tmp_path_factory.mktemp("made") / "mine"))
    monkeypatch.setattr(settings(), "reserve_mb", 10**9)
    for data in (whole, iter([whole])):
        refused = upload(http, data)
        assert (refused.status_code, refused.json()["code"]) == (409, "disk_full")
        assert "the upload takes about" in refused.json()["detail"] and nothing_is_left(http, data_dir)


def test_a_gateway_without_the_data_says_so(http: TestClient, data_dir: Path) -> None:
    shutil.rmtree(data_dir)
    assert upload(http, b"").json()["code"] == "no_data_dir"


def test_an_upload_that_is_cut_off_leaves_nothing(db: Session, redis_url: str, data_dir: Path) -> None:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", **OPTIONS))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        head = "POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/zip\r\nContent-Length: 999999"
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"{head}\r\n\r\n".encode() + bytes(100_000))
            until(lambda: any(file.stat().st_size >= 100_000 for file in data_dir.glob("incoming/*/upload.zip")))
        until(lambda: not any((data_dir / "incoming").iterdir()))
        assert nothing_is_left(httpx.Client(base_url=f"http://localhost:{port}"), data_dir)
    finally:
        server.should_exit = True
        thread.join(20)


def bring(path: Path, name: str) -> str:
    """As `terrarium add` does where no server runs."""
    with new_draft(settings().incoming_dir) as draft:
        (draft / "asset").mkdir()
        return take_in(path, draft / "asset", place, {"name": name, "file": "mine", "from": "here"}).id


def names(db: Session) -> list[str]:
    db.rollback()
    shown = select(Asset.name).where(Asset.deleted_at.is_(None), Asset.id != "shipped").order_by(Asset.name)
    return list(db.scalars(shown))


def test_the_next_start_finds_what_was_brought_alone(db: Session, data_dir: Path, tmp_path_factory: Any) -> None:
    made = tmp_path_factory.mktemp("made")
    first = bring(make_dataset(made / "a", seed=1), "a")
    second = bring(make_dataset(made / "b", seed=2), "b")
    (place("dataset", second) / "manifest.json").write_text("{")
    make_dataset(place("dataset", "11111111-1111-4111-8111-111111111111"))  # the unfinished work of a job
    half = data_dir / "incoming" / "half"
    half.mkdir()
    open_library()
    open_library()
    assert names(db) == ["a"] and not half.exists() and place("dataset", second).is_dir()
    asset = db.get_one(Asset, first)
    asset.deleted_at = db.scalar(select(func.clock_timestamp()))
    db.commit()  # and a crash before its files are gone
    open_library()
    assert names(db) == [] and not place("dataset", first).exists()
    bring(made / "a", "a again")
    open_library()
    assert names(db) == ["a again"] and place("dataset", first).is_dir()


def test_deleting_spares_what_was_brought_again_meanwhile(db: Session, data_dir: Path, tmp_path_factory: Any) -> None:
    path = make_dataset(tmp_path_factory.mktemp("made") / "a")
    id = bring(path, "a")
    assert register(db, place("dataset", id))
    asset = assets.get(db, id)
    assets.delete(db, asset)
    db.commit()
    bring(path, "again")  # finds the files in their place
    assert register(db, place("dataset", id)) and not register(db, place("dataset", id))
    db.commit()
    assets.remove_files(db, id)
    db.commit()
    assert names(db) == ["again"] and place("dataset", id).is_dir()
