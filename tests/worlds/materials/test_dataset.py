"""`material.dataset`: what it writes is read back, and is what was rendered."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_toys import Log

from terrarium.worlds.kinds import kinds
from terrarium.worlds.materials.dataset import make_dataset
from terrarium.worlds.materials.kinds import MaterialDatasetConfig, dataset_bytes, dataset_debug
from terrarium.worlds.materials.maps import smaller
from terrarium.worlds.materials.matsynth import write_material
from terrarium.worlds.materials.multi_view import MultiView, lists_sha256
from terrarium.worlds.materials.photograph import dirty, photograph, rectified
from terrarium.worlds.materials.procedural import FAMILIES, material
from terrarium.worlds.materials.splits import split
from terrarium.worlds.progress import Stopped


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of two materials of 64 pixels."""
    for name, family in {"bricks": "brick", "slabs": "marble"}.items():
        (folder := tmp_path / "own" / name).mkdir(parents=True)
        write_material(folder, material(family, 7, 64))
    return tmp_path / "own"


def test_a_dataset_holds_the_renders_of_its_seeds(debug_materials: Path) -> None:
    data = MultiView(debug_materials)
    manifest = json.loads((debug_materials / "manifest.json").read_text())
    assert manifest["kind"] == "material-dataset" and manifest["samples"] == len(data.materials) == 4
    sample = data.read("sample_0001")
    made = material(list(FAMILIES)[1], 1, 32)
    assert sample.material == made.name
    np.testing.assert_allclose(sample.maps[:5], made.maps[:5], atol=0.6 / 255)
    views, poses = photograph(torch.from_numpy(made.maps)[None], torch.Generator().manual_seed(1))
    np.testing.assert_allclose(sample.views, views[0], atol=0.6 / 255)
    np.testing.assert_allclose(sample.poses, poses[0], rtol=1e-5)
    assert np.abs(data.read("sample_0001", "dirty").views - sample.views).mean() > 0.03


def test_views_of_own_materials(own: Path, tmp_path: Path) -> None:
    """A folder of materials and each folder by itself give the same; names come from the content."""
    config = MaterialDatasetConfig(own=(str(own),), samples=2, size=32, seed=3)
    kinds()["material.dataset"].run(config, tmp_path / "one", Log())
    data = MultiView(tmp_path / "one" / "output")
    first = material("brick", 7, 64)
    sample = data.read("sample_0001")
    expected = smaller(torch.from_numpy(first.maps), 32).numpy()
    assert len(data.materials) == 4 and len(set(data.materials.values())) == 2 and data.kinds == ("clean", "dirty")
    np.testing.assert_allclose(sample.maps[:5], expected[:5], atol=1.2 / 255)
    assert (sample.maps[5:] * expected[5:]).sum(0).min() > 0.99 and sample.poses is not None
    learned, held_out = split(list(data.materials.values()), 0.1, 0)
    assert len(learned) == len(held_out) == 1

    given = (str(own / "bricks"), str(own / "slabs"))
    assert make_dataset(replace(config, own=given), tmp_path / "two", Log())["materials"] == 2
    assert lists_sha256(tmp_path / "two" / "output") == lists_sha256(tmp_path / "one" / "output")


@pytest.mark.parametrize(
    ("names", "size", "says"),
    [
        (["bricks"], 32, r"1 material \(.*bricks\): expected at least 2, one of them to be held out"),
        (["bricks", "copy"], 32, "copy has the same maps as .*bricks"),
        (["bricks", "slabs"], 96, "bricks has maps of 64 pixels a side, expected 96 or more"),
        (["bricks", "lacking"], 32, "lacking has no metallic.png: expected basecolor, roughness, metallic, normal"),
        (["bricks", "nowhere"], 32, "nowhere has no basecolor.png"),
    ],
)
def test_own_materials_are_refused_before_anything_is_rendered(
    own: Path, tmp_path: Path, names: list[str], size: int, says: str
) -> None:
    shutil.copytree(own / "bricks", own / "copy")
    shutil.copytree(own / "slabs", own / "lacking")
    (own / "lacking" / "metallic.png").unlink()
    with pytest.raises(ValueError, match=says):
        make_dataset(MaterialDatasetConfig(own=tuple(str(own / name) for name in names), size=size), tmp_path, Log())
    assert not (tmp_path / "output").exists()


def test_a_job_is_told_of_materials_that_are_too_small() -> None:
    kind, manifests = kinds()["material.dataset"], {"own": [{"kind": "material", "size": 64}, {"kind": "material"}]}
    assert kind.misfits(MaterialDatasetConfig(own=("a", "b"), size=64), manifests) == {}
    misfits = kind.misfits(MaterialDatasetConfig(own=("a", "b")), manifests)
    assert misfits == {"own": "has maps of 64 pixels a side, expected 256 or more, as `size`"}


def test_it_stops_when_it_is_asked(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        make_dataset(dataset_debug(), tmp_path, Log(stop_at=2))


def test_rectified_views_lie_on_the_maps() -> None:
    """Where the albedo alone varies, all three views vary with it, texel for texel."""
    at = torch.linspace(0, 2 * torch.pi, 49)[:-1]
    maps = torch.zeros(1, 8, 48, 48)
    maps[:, :3] = 0.5 + 0.15 * (4 * at).sin().view(-1, 1) + 0.15 * (4 * at).cos()
    maps[:, 3], maps[:, 7] = 1, 1
    views, poses = photograph(maps, torch.Generator().manual_seed(1))

    def alike(seen: torch.Tensor) -> float:
        pairs = torch.stack([seen.mean(2).flatten(2)[0], maps[:, 0].flatten(1).expand(3, -1)])
        return min(float(torch.corrcoef(pair)[0, 1]) for pair in pairs.unbind(1))

    assert alike(rectified(views, poses)) > 0.9 > 0.6 > alike(rectified(views, poses.roll(1, 1)))
    assert (dirty(views, torch.Generator().manual_seed(0)) - views).abs().mean() > 0.03


def test_its_estimate_is_no_less_than_what_it_takes(debug_materials: Path) -> None:
    """PNGs of 32 pixels are mostly headers: the factor is for those."""
    found = sum(file.stat().st_size for file in debug_materials.rglob("*.png"))
    assert found / 3 < dataset_bytes(vars(dataset_debug()), 0) < 3 * found
