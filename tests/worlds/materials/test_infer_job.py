"""`material.make` and `material.infer`, and what their folders are checked for."""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from training_toys import Log

from terrarium.worlds.intake import new_draft, take_in
from terrarium.worlds.kinds import kinds
from terrarium.worlds.materials.files import write_picture
from terrarium.worlds.materials.infer_job import infer_material
from terrarium.worlds.materials.kinds import FamilyName, MaterialInferConfig, MaterialMakeConfig
from terrarium.worlds.materials.make import make_material
from terrarium.worlds.materials.manifest import check_material, check_view_set, describe_material, describe_views
from terrarium.worlds.materials.procedural import FAMILIES

Trained = tuple[Path, Log, dict[str, float]]
SIDE = 64


@pytest.fixture(scope="session")
def brick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A material."""
    out = tmp_path_factory.mktemp("brick")
    make_material(MaterialMakeConfig(family="brick", seed=7, size=SIDE), out, Log())
    return out / "output"


@pytest.fixture
def views(tmp_path: Path) -> Path:
    """Three pictures, and from where they were taken."""
    folder = tmp_path / "views"
    folder.mkdir()
    for number, picture in enumerate(np.random.default_rng(0).random((3, 3, SIDE, SIDE))):
        write_picture(folder / f"{number}.png", picture)
    (folder / "poses.json").write_text(json.dumps({"poses": [[0, 0, 4], [20, 90, 4], [40, 200, 3]]}))
    return folder


def test_the_form_offers_every_family() -> None:
    assert get_args(FamilyName) == tuple(FAMILIES)


def test_a_procedural_material_has_all_maps_and_is_what_it_says(brick: Path) -> None:
    manifest = json.loads((brick / "manifest.json").read_text())
    assert (manifest["family"], manifest["seed"], manifest["size"]) == ("brick", 7, SIDE)
    assert set(manifest["files"]) == {
        f"{m}.png" for m in ("basecolor", "roughness", "metallic", "normal", "ao", "height")
    }
    check_material(brick)
    orm, rmaos, ao = (np.asarray(Image.open(brick / f"{name}.png")) for name in ("orm", "rmaos", "ao"))
    np.testing.assert_array_equal(orm[..., 0], ao)
    np.testing.assert_array_equal(rmaos[..., [2, 0, 1]], orm)
    assert (rmaos[..., 3] == 128).all()
    for shape in ("sphere", "cube", "plane"):
        seen = np.asarray(Image.open(brick / f"{shape}.png"))
        inside = seen[seen[..., 3] == 255][:, :3]
        assert 0.2 < (seen[..., 3] > 0).mean() < 1 and 20 < inside.mean() < 235 and inside.std() > 10


def test_maps_of_a_material_are_found_from_rendered_views_and_compared(
    brick: Path, trained: Trained, tmp_path: Path
) -> None:
    config = MaterialInferConfig(views=str(brick), model=str(trained[0] / "output"), seed=3)
    result = infer_material(config, tmp_path, Log())
    assert set(result["figures"]["maps"]) == {"albedo", "roughness", "metallic", "normal"}
    assert result["size"] == SIDE and 0 < result["confidence"] <= 1
    output = tmp_path / "output"
    check_material(output)
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["figures"] == result["figures"] and manifest["posed"]
    names = {"view_0.png", "view_1.png", "view_2.png", "confidence.png", "orm.png", "rmaos.png", "material.gltf"}
    assert names <= {file.name for file in output.iterdir()}
    again = infer_material(replace(config, dirty=True), tmp_path / "dirty", Log())
    assert again["figures"] != result["figures"]


@pytest.mark.parametrize("posed", [True, False])
def test_maps_are_found_from_a_set_of_views(views: Path, trained: Trained, tmp_path: Path, posed: bool) -> None:
    if not posed:
        (views / "poses.json").unlink()
    describe_views(views)
    row = kinds()["material.infer"]
    config = MaterialInferConfig(views=str(views), model=str(trained[0] / "output"))
    result = row.run(config, tmp_path, Log())
    assert result["size"] == SIDE and "figures" not in result
    assert json.loads((tmp_path / "output" / "manifest.json").read_text())["posed"] is posed
    with pytest.raises(ValueError, match="is a material-model, expected a view-set or diffuse or material"):
        row.run(replace(config, views=config.model or ""), tmp_path / "wrong", Log())


def large(file: Path, side: int) -> None:
    Image.fromarray(np.zeros((side, side), np.uint8)).save(file)


VIEWS = {
    "two views": (lambda f: (f / "1.png").unlink(), r"holds 2 views \(0.png, 2.png\), expected 0.png, 1.png, 2.png"),
    "a view twice": (lambda f: shutil.copy(f / "0.png", f / "2.png"), "2.png is the same picture as 0.png"),
    "unequal sizes": (lambda f: large(f / "1.png", 32), "has 32 x 32 pixels, expected 64 x 64"),
    "no square": (
        lambda f: [write_picture(f / f"{i}.png", np.random.rand(3, 32, 48)) for i in range(3)],
        "has 48 x 32 pixels, expected a square",
    ),
    "a truncated view": (
        lambda f: (f / "1.png").write_bytes((f / "1.png").read_bytes()[:2000]),
        "damaged or cut short",
    ),
    "a view of 3,000 pixels": (lambda f: large(f / "0.png", 3000), "3000 x 3000 pixels, expected 16 to 2048"),
    "a view of 30,000 pixels": (lambda f: header(f / "0.png", 30_000), "pixels, expected 16 to 2048 along each side"),
    "a black view": (lambda f: large(f / "1.png", SIDE), "1.png is all black"),
    "a wrong bit depth": (
        lambda f: Image.fromarray(np.ones((SIDE, SIDE), bool)).save(f / "1.png"),
        "1.png: pixels of mode 1, expected 8 bits",
    ),
    "text": (lambda f: (f / "1.png").write_text("no picture"), "1.png is no picture"),
    "two poses": (lambda f: (f / "poses.json").write_text('{"poses": [[0, 0, 4]]}'), "expected three poses"),
    "a low pose": (
        lambda f: (f / "poses.json").write_text('{"poses": [[80, 0, 4], [0, 0, 4], [0, 0, 4]]}'),
        "expected polar angles of 0 to 60",
    ),
}


def header(file: Path, side: int) -> None:
    """Of a PNG; its pixels are not there."""
    large(file, 16)
    data = file.read_bytes()
    head = data[12:16] + side.to_bytes(4, "big") * 2 + data[24:29]
    file.write_bytes(data[:12] + head + zlib.crc32(head).to_bytes(4, "big") + data[33:])


@pytest.mark.parametrize("fault", VIEWS)
def test_bad_views_are_refused_before_they_are_taken_in(views: Path, tmp_path: Path, fault: str) -> None:
    spoil, message = VIEWS[fault]
    spoil(views)
    with new_draft(tmp_path / "incoming") as draft, pytest.raises(ValueError, match=message):
        take_in(views, draft, lambda type, id: tmp_path / type / id, {"name": "x"}, type="view-set")


MAPS = {
    "a missing map": (lambda f: (f / "metallic.png").unlink(), r"has no metallic.png: expected basecolor, roughness"),
    "no normal map": (lambda f: shutil.copy(f / "basecolor.png", f / "normal.png"), "normal.png is no normal map"),
    "a coloured roughness": (lambda f: shutil.copy(f / "normal.png", f / "roughness.png"), "roughness.png is coloured"),
    "unequal sizes": (lambda f: large(f / "height.png", 32), "height.png has 32 x 32 pixels, expected 64 x 64"),
    "a truncated map": (
        lambda f: (f / "normal.png").write_bytes((f / "normal.png").read_bytes()[:900]),
        "damaged or cut short",
    ),
}


@pytest.mark.parametrize("fault", MAPS)
def test_bad_maps_are_refused_before_they_are_taken_in(brick: Path, tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "maps"
    shutil.copytree(brick, folder)
    (folder / "manifest.json").unlink()
    spoil, message = MAPS[fault]
    spoil(folder)
    with new_draft(tmp_path / "incoming") as draft, pytest.raises(ValueError, match=message):
        take_in(folder, draft, lambda type, id: tmp_path / type / id, {"name": "x"}, type="material")


def test_maps_that_were_made_elsewhere_are_taken_in_once(brick: Path, tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    folder.mkdir()
    for name in ("basecolor", "roughness", "metallic", "normal"):
        shutil.copy(brick / f"{name}.png", folder / f"{name}.png")
    large(folder / "notes.png", 16)
    ids = set()
    for _ in range(2):
        with new_draft(tmp_path / "incoming") as draft:
            taken = take_in(folder, draft, lambda type, id: tmp_path / type / id, {"name": "x"})
            ids.add(taken.id)
    assert len(ids) == 1 and taken.type == "material" and not (taken.folder / "notes.png").exists()
    check_material(taken.folder)


def test_a_manifest_of_other_files_is_refused(views: Path, brick: Path, tmp_path: Path) -> None:
    describe_views(views)
    write_picture(views / "2.png", np.random.default_rng(5).random((3, SIDE, SIDE)))
    with pytest.raises(ValueError, match=r"manifest.json: files .*, the files have"):
        check_view_set(views)
    shutil.copytree(brick, tmp_path / "brick")
    describe_material(tmp_path / "brick")
    write_picture(tmp_path / "brick" / "ao.png", np.zeros((SIDE, SIDE)))
    with pytest.raises(ValueError, match=r"manifest.json: files"):
        check_material(tmp_path / "brick")
