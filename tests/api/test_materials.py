"""Materials and views over HTTP: taken in, refused with what is wrong, their pictures, their jobs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy.orm import Session

from terrarium.api.app import app
from terrarium.store.settings import settings
from terrarium.store.tables import Asset

ZIP = {"content-type": "application/zip"}


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def picture(colour: Any, side: int = 32, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (side, side), colour).save(buffer, "PNG")
    return buffer.getvalue()


def send(http: TestClient, type: str, **files: bytes) -> Any:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"{name.removeprefix('v')}.png", data)
    return http.post("/v1/uploads", content=buffer.getvalue(), params={"type": type, "file": "wall.zip"}, headers=ZIP)


MAPS = {
    "basecolor": picture((180, 90, 60)),
    "roughness": picture(200, mode="L"),
    "metallic": picture(0, mode="L"),
    "normal": picture((128, 128, 255)),
}
VIEWS = {f"v{i}": picture((60 * i + 40, 90, 60)) for i in range(3)}


def test_maps_become_a_material_whose_pictures_are_served(http: TestClient) -> None:
    made = send(http, "material", **MAPS)
    assert made.status_code == 201, made.text
    asset = made.json()
    assert (asset["type"], asset["name"], asset["manifest"]["size"]) == ("material", "wall", 32)
    assert asset["uses"] == {"material.infer": "views"}
    shown = http.get(f"/v1/materials/{asset['id']}/normal.png")
    assert shown.content == MAPS["normal"] and shown.headers["content-type"] == "image/png"
    missing = http.get(f"/v1/materials/{asset['id']}/ao.png")
    assert (missing.status_code, missing.json()["code"]) == (404, "material_file_not_found")
    assert http.get(f"/v1/materials/{asset['id']}/manifest.json").status_code == 422
    assert [item["id"] for item in http.get("/v1/assets", params={"type": "material"}).json()["items"]] == [asset["id"]]


def test_three_views_become_what_a_job_can_take(http: TestClient) -> None:
    views = send(http, "view-set", **VIEWS).json()
    assert views["uses"] == {"material.infer": "views"} and views["manifest"]["poses"] is False
    assert http.get(f"/v1/materials/{views['id']}/2.png").content == VIEWS["v2"]
    job = http.post("/v1/jobs", json={"kind": "material.infer", "views": views["id"]})
    assert job.status_code == 201, job.text
    assert job.json()["name"] == "Find a material's maps, wall, default"
    sample = {"kind": "material.make", "family": "brick", "size": 64}
    steps = [{"name": "sample", "job": sample}, {"name": "maps", "job": {"kind": "material.infer", "views": "@sample"}}]
    plan = http.post("/v1/plans", json={"name": "Bricks", "steps": steps})
    assert plan.status_code == 201, plan.text
    wrong = http.post("/v1/jobs", json=sample | {"family": "cheese"})
    assert wrong.status_code == 422 and "brick" in wrong.text


def test_one_diffuse_texture_becomes_what_a_job_can_take(http: TestClient, db: Session) -> None:
    diffuse = send(http, "diffuse", diffuse=MAPS["basecolor"], normal=MAPS["normal"]).json()
    assert diffuse["uses"] == {"material.infer": "views"} and diffuse["manifest"]["normal"] is True
    assert http.get(f"/v1/materials/{diffuse['id']}/diffuse.png").content == MAPS["basecolor"]
    db.add(Asset(id="three", name="Three", type="material-model", manifest={"kind": "material-model"}))
    db.add(Asset(id="one", name="One", type="texture-model", manifest={"kind": "texture-model"}))
    db.commit()
    body = {"kind": "material.infer", "views": diffuse["id"]}
    assert http.post("/v1/jobs", json=body | {"model": "one"}).status_code == 201
    wrong = http.post("/v1/jobs", json=body | {"model": "three"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "input_misfit")
    assert "is a material-model, which takes three views of one surface" in wrong.json()["detail"]


@pytest.mark.parametrize(
    ("type", "files", "message"),
    [
        (
            "view-set",
            {k: VIEWS[k] for k in ("v0", "v1")},
            "it holds 2 views (0.png, 1.png), expected 0.png, 1.png, 2.png",
        ),
        ("view-set", VIEWS | {"v2": VIEWS["v0"]}, "2.png is the same picture as 0.png, expected another view"),
        ("view-set", VIEWS | {"v1": picture(0, mode="L")}, "1.png is all black, expected a picture of a surface"),
        ("view-set", VIEWS | {"v1": picture(1, mode="1")}, "1.png: pixels of mode 1"),
        ("view-set", VIEWS | {"v1": VIEWS["v1"][:60]}, "1.png is damaged or cut short"),
        ("material", MAPS | {"normal": MAPS["basecolor"]}, "normal.png is no normal map"),
        ("material", MAPS | {"metallic": picture(0, 16, "L")}, "metallic.png has 16 x 16 pixels, expected 32 x 32"),
        ("diffuse", {"diffuse": picture(0)}, "diffuse.png is all black, expected a picture of a surface"),
        ("diffuse", {"diffuse": MAPS["basecolor"], "normal": MAPS["basecolor"]}, "normal.png is no normal map"),
        ("diffuse", {"diffuse": MAPS["basecolor"], "normal": picture(0, 16)}, "expected 32 x 32 as the others have"),
        ("material", {"basecolor": MAPS["basecolor"]}, "it has no roughness.png: expected basecolor"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_uploaded(http: TestClient, type: str, files: Any, message: str) -> None:
    answer = send(http, type, **files)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_upload")
    assert message in answer.json()["detail"]
    assert http.get("/v1/assets").json()["items"] == [
        i for i in http.get("/v1/assets").json()["items"] if i["id"] == "shipped"
    ]


def test_a_loss_of_ones_own_is_imported_where_the_operator_allows_it(
    http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"kind": "material.train", "own_loss": "mine:smooth"}
    refused = http.post("/v1/jobs", json=body)
    assert refused.status_code == 422 and "own_loss: not allowed here: expected one of none" in refused.json()["detail"]
    monkeypatch.setattr(settings(), "allowed_losses", ["mine:smooth"])
    assert http.post("/v1/jobs", json=body).status_code == 201
