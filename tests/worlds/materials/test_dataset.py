"""`material.dataset`: what it writes is read back, and is what was rendered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from training_toys import Log

from terrarium.worlds.materials.dataset import make_dataset
from terrarium.worlds.materials.kinds import dataset_bytes, dataset_debug
from terrarium.worlds.materials.multi_view import MultiView
from terrarium.worlds.materials.photograph import dirty, photograph, rectified
from terrarium.worlds.materials.procedural import FAMILIES, material
from terrarium.worlds.progress import Stopped


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
