"""Block worlds over HTTP: saved as versions, their files, pictures and family, and who may play there."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.api.play import use_ticket
from terrarium.store.places import place
from terrarium.store.tables import Asset

JSON = {"content-type": "application/json"}


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def map_json(*blocks: Any, side: int = 4) -> dict[str, Any]:
    config = {"seed": 1, "dimensions": {"x": side, "y": side, "z": side}}
    placed = [{"position": [i, 0, 0], "blockType": name} for i, name in enumerate(blocks)]
    return {"worldScale": 2, "worldConfig": config, "blocks": placed}


def save(http: TestClient, world: dict[str, Any], **query: str) -> Any:
    query = {"type": "block-world", "file": "map.json"} | query
    return http.post("/v1/uploads", content=json.dumps(world), params=query, headers=JSON)


def png(width: int = 32, height: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def keep(http: TestClient, id: str, picture: bytes, media_type: str = "image/png") -> Any:
    return http.put(f"/v1/worlds/{id}/thumbnail.png", content=picture, headers={"content-type": media_type})


def test_a_saved_edit_is_a_version_of_what_it_was_made_from(http: TestClient) -> None:
    first = save(http, map_json("Grass"), name="Hut")
    assert first.status_code == 201, first.text
    second = save(http, map_json("Grass", "Stone"), name="Hut 2", made_from=first.json()["id"]).json()
    aside = save(http, map_json("Sand"), name="Hut in sand", made_from=first.json()["id"]).json()
    third = save(http, map_json("Grass", "Stone", "Plank"), name="Hut 3", made_from=second["id"]).json()
    save(http, map_json("Water"), name="Pond")
    assert second["made_from"] == [first.json()["id"]] and second["manifest"]["blocks"] == 2
    assert second["manifest"]["origin"]["made_from"] == [first.json()["id"]]
    for id in (first.json()["id"], third["id"], aside["id"]):
        versions = http.get(f"/v1/worlds/{id}/versions").json()["items"]
        assert [v["name"] for v in versions] == ["Hut", "Hut 2", "Hut in sand", "Hut 3"]
    assert http.delete(f"/v1/assets/{second['id']}").status_code == 204
    versions = http.get(f"/v1/worlds/{third['id']}/versions").json()["items"]
    assert [v["deleted_at"] is None for v in versions] == [True, False, True, True]


def test_the_same_map_is_the_same_world(http: TestClient) -> None:
    first = save(http, map_json("Grass"), name="Hut").json()
    again = save(http, map_json("Grass"), name="Another")
    assert again.status_code == 200 and (again.json()["id"], again.json()["name"]) == (first["id"], "Hut")


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (map_json("Grass", "Cheese"), "block 1 at [1, 0, 0] of type 'Cheese': unknown type"),
        (map_json(*["Grass"] * 5), "block 4 at [4, 0, 0] of type 'Grass': x is out of bounds, expected 0..3"),
        ({"blocks": []}, "lacks the key 'worldConfig'"),
    ],
)
def test_a_bad_map_is_refused_and_names_the_block(http: TestClient, world: dict[str, Any], message: str) -> None:
    answer = save(http, world)
    assert answer.status_code == 422 and message in answer.json()["detail"]
    assert not http.get("/v1/assets?type=block-world").json()["items"]


def test_a_version_is_made_from_what_is_there_and_of_its_type(http: TestClient) -> None:
    assert save(http, map_json("Grass"), made_from=str(uuid4())).status_code == 404
    answer = save(http, map_json("Grass"), made_from="shipped")
    assert answer.status_code == 422 and "is a world-model, expected a block-world" in answer.json()["detail"]
    assert not http.get("/v1/assets?type=block-world").json()["items"]


def test_a_map_larger_than_any_world_is_refused(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrarium.api.uploads.MAX_MAP", 1000)
    answer = save(http, map_json(*["Grass"] * 40, side=64))
    assert answer.status_code == 413 and "more than 1000 bytes" in answer.json()["detail"]


def test_files_of_a_world(http: TestClient) -> None:
    world = map_json("Grass", "Stone")
    id = save(http, world).json()["id"]
    answer = http.get(f"/v1/worlds/{id}/map.json")
    assert answer.json() == world and answer.headers["content-type"] == "application/json"
    missing = http.get(f"/v1/worlds/{id}/world.glb")
    assert (missing.status_code, missing.json()["code"]) == (404, "world_file_not_found")
    assert http.get(f"/v1/worlds/{id}/manifest.json").status_code == 422, "not one of its files for others"
    assert http.get("/v1/worlds/shipped/map.json").status_code == 422
    (place("block-world", id) / "world.glb").write_bytes(b"glTF")
    assert http.get(f"/v1/worlds/{id}/world.glb").headers["content-type"] == "model/gltf-binary"


def test_a_thumbnail_is_kept_and_replaced(http: TestClient) -> None:
    asset = save(http, map_json("Grass")).json()
    for picture in (png(), png(64, 48)):
        assert keep(http, asset["id"], picture).status_code == 204
        got = http.get(f"/v1/worlds/{asset['id']}/thumbnail.png")
        assert got.content == picture and got.headers["content-type"] == "image/png"
    assert http.get(f"/v1/assets/{asset['id']}").json()["size"] > asset["size"]
    assert not list(place("block-world", asset["id"]).glob(".*"))


@pytest.mark.parametrize(
    ("picture", "media_type", "status"),
    [(b"GIF89a", "image/png", 422), (png(2000, 20), "image/png", 422), (png(), "image/gif", 415)],
)
def test_what_is_no_thumbnail_is_refused(http: TestClient, picture: bytes, media_type: str, status: int) -> None:
    id = save(http, map_json("Grass")).json()["id"]
    assert keep(http, id, picture, media_type).status_code == status
    assert http.get(f"/v1/worlds/{id}/thumbnail.png").status_code == 404


def test_play_in_a_world_that_is_one_with_a_model_of_block_worlds(http: TestClient, db: Session) -> None:
    world = save(http, map_json("Grass")).json()["id"]
    for id, kind in (("walker", "blocks"), ("gamer", "gym")):
        db.add(Asset(id=id, type="world-model", name=id, manifest={"data": {"source": {"kind": kind}}}))
    db.commit()

    def opened(**body: Any) -> Any:
        return http.post("/v1/play/sessions", json={"checkpoint": "walker", "seed": 3} | body)

    ticket = opened(world=world).json()
    opening = use_ticket(ticket["id"], ticket["ticket"])
    assert opening is not None and (opening.checkpoint, opening.seed, opening.world) == ("walker", 3, world)
    in_use = http.delete(f"/v1/assets/{world}")
    assert in_use.status_code == 409 and "being played" in in_use.json()["detail"]
    assert opened(world=str(uuid4())).status_code == 404
    assert "is a world-model, expected a block-world" in opened(world="walker").json()["detail"]
    assert "was trained on 'gym'" in opened(world=world, checkpoint="gamer").json()["detail"]
