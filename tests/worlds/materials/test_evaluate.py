"""Figures of a model, its baselines, and maps from pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training_toys import Log

from terrarium.worlds.materials import matsynth
from terrarium.worlds.materials.data import held_out
from terrarium.worlds.materials.evaluate import evaluate
from terrarium.worlds.materials.infer import TILE, infer
from terrarium.worlds.materials.infer_job import infer_files
from terrarium.worlds.materials.model import MaterialNet, load_model
from terrarium.worlds.materials.procedural import material
from terrarium.worlds.materials.tiles import ramp_of, starts

FIGURES = {"psnr", "rmse", "mae", "ssim"}
MAPS = {"albedo", "roughness", "metallic", "normal"}


@pytest.fixture(scope="session")
def model(trained: tuple[Path, Log, dict[str, float]]) -> tuple[MaterialNet, dict[str, object]]:
    return load_model(trained[0] / "output")


def test_an_evaluation_has_every_figure_and_is_that_of_its_seed(model: tuple[MaterialNet, dict[str, object]]) -> None:
    found = evaluate(model[0], seed=3, side=32)
    json.dumps(found, allow_nan=False)
    for of in (found, found["by_family"]):
        assert set(of["baselines"]) == {"mean_map", "albedo_is_input", "single_view", "without_fusion"}
        for each in (of, *of["baselines"].values(), of["two_views"], of["shuffled_poses"]):
            assert set(each["maps"]["albedo"]) == FIGURES | {"lpips"}
            assert all(set(figures) - {"lpips"} == FIGURES for figures in each["maps"].values())
        assert set(of["maps"]) == MAPS and set(of["baselines"]["albedo_is_input"]["maps"]) == {"albedo"}
        assert set(of["normal_deg"]) == {"mean", "median", "p90", "p95"}
    again, other = (held_out(seed, ("marble",), 1, 32) for seed in (3, 4))
    assert all(a.equal(b) for a, b in zip(again, held_out(3, ("marble",), 1, 32), strict=True))
    assert not again[2].equal(other[2])
    with pytest.raises(ValueError, match="seed -1: expected 0 to"):
        evaluate(model[0], seed=-1)
    with pytest.raises(ValueError, match="size 100: expected 32 to 1024 pixels, a multiple of 8"):
        evaluate(model[0], seed=0, side=100)


def test_folders_of_both_layouts_are_measured(
    model: tuple[MaterialNet, dict[str, object]], debug_materials: Path, tmp_path: Path
) -> None:
    for seed in range(2):
        (tmp_path / f"brick-{seed}").mkdir()
        matsynth.write_material(tmp_path / f"brick-{seed}", material("brick", seed, 36))  # cut to 32
    for folder, count in ((debug_materials, 4), (tmp_path, 2)):
        found = evaluate(model[0], seed=0, folder=folder)
        assert found["materials"] == count and set(found["maps"]) == MAPS
    with pytest.raises(ValueError, match="holds no materials"):
        evaluate(model[0], seed=0, folder=tmp_path / "brick-0")


def test_tiles_cover_a_picture_and_their_weights_leave_no_gap() -> None:
    for full in (TILE, TILE + 8, 700, 2048):
        firsts = starts(full, min(full, TILE))
        assert firsts[0] == 0 and firsts[-1] + TILE == full
        weight = torch.zeros(full)
        for first in firsts:
            weight[first : first + TILE] += ramp_of(TILE, full)[TILE // 2]
        assert weight.min() > 0


def test_seams_of_tiles_are_no_steeper_than_what_is_inside(model: tuple[MaterialNet, dict[str, object]]) -> None:
    """On an even picture, where nothing but tiles could differ."""
    views = torch.full((3, 3, 320, 320), 0.5)
    views += 0.02 * torch.rand(3, 3, 320, 320, generator=torch.Generator().manual_seed(0))
    maps = infer(model[0], views, None)
    steps = (maps[:, :, 1:] - maps[:, :, :-1]).abs().mean((0, 1))[16:-16]
    firsts = starts(320, TILE)
    borders = [at - 17 for at in {*firsts, *(first + TILE for first in firsts)} - {0, 320}]  # begun or ended there
    assert all(steps[at] <= steps.max() * 0.999 for at in borders) and steps[borders].mean() < 1.5 * steps.mean()


def test_maps_are_written_from_three_pictures(
    trained: tuple[Path, Log, dict[str, float]], debug_materials: Path, tmp_path: Path
) -> None:
    model = trained[0] / "output"
    images = sorted((debug_materials / "input/clean/sample_0000").glob("*.png"))
    poses = tmp_path / "poses.json"
    poses.write_text(json.dumps({"poses": json.loads((debug_materials / "poses.json").read_text())["sample_0000"]}))
    told = infer_files(images, tmp_path / "out", model, poses=poses)
    names = ["basecolor", "metallic", "normal", "roughness", "orm", "rmaos", "confidence", "sphere", "cube", "plane"]
    names += ["view_0", "view_1", "view_2"]
    assert told["files"] == sorted(["manifest.json", "material.gltf", *(f"{name}.png" for name in names)])
    back = matsynth.read_maps(tmp_path / "out")
    packed = np.asarray(Image.open(tmp_path / "out" / "orm.png"), np.float32) / 255
    np.testing.assert_allclose(packed[..., 1], back[3], atol=1e-6)
    gltf = json.loads((tmp_path / "out" / "material.gltf").read_text())
    assert all((tmp_path / "out" / image["uri"]).is_file() for image in gltf["images"])
    for some in (images[:2], images[:1], []):
        told = f"{len(some)} pictures? .*: the material-model .* takes three views of one surface"
        with pytest.raises(ValueError, match=told):
            infer_files(some, tmp_path / "two", model)
    with pytest.raises(ValueError, match=r"2 pictures \(.*\): expected three views of one surface or one diffuse"):
        infer_files(images[:2], tmp_path / "two")
    with pytest.raises(ValueError, match="is the same picture as"):
        infer_files([images[0], images[1], images[1]], tmp_path / "twice", model)
    with pytest.raises(ValueError, match="with 3 views: expected them with one diffuse texture alone"):
        infer_files(images, tmp_path / "two", model, normal=images[0])
    poses.write_text(json.dumps({"poses": [[0, 0, 4]] * 2}))
    with pytest.raises(ValueError, match=r"poses: \[\[0, 0, 4\], .*, expected three poses"):
        infer_files(images, tmp_path / "none", model, poses=poses)
    assert not (tmp_path / "two").exists()
