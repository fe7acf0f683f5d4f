"""One diffuse texture becomes maps: sizes, seams, what is refused, the job, the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from training_toys import Log

from terrarium.worlds.kinds import kinds
from terrarium.worlds.materials.files import write_picture
from terrarium.worlds.materials.given import model_for
from terrarium.worlds.materials.infer_job import infer_files
from terrarium.worlds.materials.kinds import MaterialInferConfig, MaterialMakeConfig, infer_misfits
from terrarium.worlds.materials.make import make_material
from terrarium.worlds.materials.manifest import check_material, describe_diffuse
from terrarium.worlds.materials.texture.evaluate import evaluate
from terrarium.worlds.materials.texture.infer import FOUND, agreement, infer
from terrarium.worlds.materials.texture.model import SHAPES, TextureNet, for_inference, save_model

SIDE = 64


@pytest.fixture(scope="module")
def plan_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose heads say something, with adapters, as the last phases make it."""
    torch.manual_seed(0)
    model = TextureNet(SHAPES["debug"], 3)
    model.adapt(2)
    for name, p in model.named_parameters():
        if name.endswith("out.weight") and ".heads." in name:
            torch.nn.init.normal_(p, std=0.1)
    folder = tmp_path_factory.mktemp("plan") / "output"
    facts = {"classes": ["a", "b", "c"], "config": {"side": SIDE}}
    save_model(folder, model, dict(model.state_dict()), facts)
    return folder


@pytest.fixture(scope="module")
def texture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """diffuse.png and normal.png of bricks; the folder of the material beside them in material/."""
    folder = tmp_path_factory.mktemp("texture")
    make_material(MaterialMakeConfig(family="brick", seed=3, size=SIDE), folder / "made", Log())
    made = folder / "made" / "output"
    (folder / "diffuse.png").write_bytes((made / "basecolor.png").read_bytes())
    (folder / "normal.png").write_bytes((made / "normal.png").read_bytes())
    return folder


def test_maps_repeat_as_the_texture_does_and_show_no_tiles(plan_model: Path) -> None:
    """At two and a half tiles a side: rolled input gives rolled maps but for what tiles do, steps across their borders
    are no larger than inside."""
    model, side = for_inference(plan_model)
    assert side == SIDE
    size = 160
    smooth = torch.from_numpy(np.random.default_rng(0).random((3, 10, 10), np.float32))
    diffuse = torch.nn.functional.interpolate(smooth[None], (size, size), mode="bicubic")[0].clamp(0, 1)
    found = infer(model, side, diffuse, None)
    assert found.shape == (FOUND.stop, size, size) and found[[0, 1, 2, 3, 4, 8, 9]].min() >= 0
    torch.testing.assert_close(found[5:8].norm(dim=0), torch.ones(size, size))
    flat = infer(model, side, torch.full((3, size, size), 0.5), None)[[0, 1, 2, 3, 4, 8, 9]]
    steps = (flat[:, :, 1:] - flat[:, :, :-1]).abs().mean((0, 1))
    across = (flat[:, :, 0] - flat[:, :, -1]).abs().mean()
    assert across <= steps.max() and (flat[:, 0] - flat[:, -1]).abs().mean() <= steps.max()
    confidence = agreement(model, side, diffuse, None)
    assert confidence.shape == (size, size) and 0 <= confidence.min() < confidence.max() <= 1


@pytest.mark.parametrize("given", [True, False])
def test_one_picture_gives_what_three_give(plan_model: Path, texture: Path, tmp_path: Path, given: bool) -> None:
    normal = texture / "normal.png" if given else None
    told = infer_files([texture / "diffuse.png"], tmp_path / "out", plan_model, normal=normal)
    maps = ["basecolor", "roughness", "metallic", "normal", "ao", "height", "orm", "rmaos", "confidence", "diffuse"]
    assert {f"{name}.png" for name in (*maps, "sphere", "cube", "plane")} | {"manifest.json", "material.gltf"} == set(
        told["files"]
    )
    check_material(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["pictures"] == 1 and manifest["normals_given"] is given and "ao.png" in manifest["files"]
    packed, ao = (np.asarray(Image.open(tmp_path / "out" / f"{name}.png")) for name in ("orm", "ao"))
    np.testing.assert_array_equal(packed[..., 0], ao)
    if given:
        same = [np.asarray(Image.open(f / "normal.png").convert("RGB"), int) for f in (texture, tmp_path / "out")]
        assert abs(same[0] - same[1]).max() <= 1


def test_the_job_takes_a_diffuse_or_a_material(plan_model: Path, texture: Path, tmp_path: Path) -> None:
    row, given = kinds()["material.infer"], tmp_path / "given"
    given.mkdir()
    (given / "diffuse.png").write_bytes((texture / "diffuse.png").read_bytes())
    describe_diffuse(given)
    result = row.run(MaterialInferConfig(views=str(given), model=str(plan_model)), tmp_path / "found", Log())
    assert result["size"] == SIDE and "figures" not in result
    made = MaterialInferConfig(views=str(texture / "made" / "output"), model=str(plan_model))
    found = row.run(made, tmp_path / "compared", Log())
    assert set(found["figures"]["maps"]) == {"albedo", "roughness", "metallic", "normal"}
    wrong = {"views": {"kind": "diffuse"}, "model": {"kind": "material-model"}}
    assert infer_misfits(made, wrong) == [
        ("model", "is a material-model, which takes three views of one surface, but `views` is a diffuse")
    ]


def black(file: Path) -> Path:
    write_picture(file, np.zeros((3, SIDE, SIDE)))
    return file


def test_what_is_wrong_is_said_before_anything_is_computed(plan_model: Path, texture: Path, tmp_path: Path) -> None:
    diffuse, normal = texture / "diffuse.png", texture / "normal.png"
    write_picture(tmp_path / "small.png", np.full((3, 32, 32), (0.5, 0.5, 1.0)[0]))
    write_picture(tmp_path / "wide.png", np.random.default_rng(0).random((3, 32, 48)))
    cases: list[tuple[list[Path], dict[str, Any], str]] = [
        ([diffuse, normal], {}, r"2 pictures .*: the texture-model .* takes one diffuse texture"),
        ([diffuse] * 3, {}, "3 pictures .* takes one diffuse texture"),
        ([diffuse], {"normal": diffuse}, "diffuse.png is no normal map"),
        ([diffuse], {"normal": tmp_path / "small.png"}, "small.png has 32 x 32 pixels, expected 64 x 64"),
        ([diffuse], {"poses": normal}, "with one picture: expected them with 3 views alone"),
        ([tmp_path / "wide.png"], {}, "has 48 x 32 pixels, expected a square"),
        ([black(tmp_path / "black.png")], {}, "black.png is all black"),
        ([tmp_path / "none.png"], {}, "none.png is missing"),
    ]
    for images, more, message in cases:
        with pytest.raises(ValueError, match=message):
            infer_files(images, tmp_path / "out", plan_model, **more)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="expected 'material-model' or 'texture-model'"):
        model_for([diffuse], texture / "made" / "output")


def test_its_evaluation_has_every_figure(plan_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrarium.worlds.materials.texture.evaluate.FAMILIES", ("brick",))
    found = evaluate(*for_inference(plan_model), seed=1, size=32)
    json.dumps(found, allow_nan=False)
    assert found["materials"] == 2
    for of in (found, found["without_normals"], found["baked"]):
        bare = of is found["without_normals"]
        grey = {"roughness", "metallic", "ao", "height"} | ({"normal"} if bare else set())
        assert set(of["maps"]) == {"albedo"} | grey == set(of["baselines"]["mean_map"]["maps"])
        assert ("normal_deg" in of) is bare and set(of["baselines"]["albedo_is_input"]["maps"]) == {"albedo"}
    with pytest.raises(ValueError, match="size 5000: expected 32 to 1024 pixels"):
        evaluate(*for_inference(plan_model), seed=1, size=5000)
