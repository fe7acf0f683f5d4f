"""The model that comes with the project, and what its files say of it."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from terrarium.worlds.materials.data import held_out
from terrarium.worlds.materials.evaluate import mean_maps
from terrarium.worlds.materials.maps import MAPS
from terrarium.worlds.materials.metrics import map_figures
from terrarium.worlds.materials.model import load_model, shipped_model
from terrarium.worlds.materials.train import predict


def test_it_is_small_and_its_evaluation_is_beside_it() -> None:
    assert (shipped_model() / "model.safetensors").stat().st_size < 4e6
    told = json.loads((shipped_model() / "evaluation.json").read_text())
    for name, of in told["baselines"].items():
        for map in of["maps"]:
            assert told["maps"][map]["rmse"] < of["maps"][map]["rmse"], (name, map)
    assert told["maps"]["normal"]["rmse"] < told["shuffled_poses"]["maps"]["normal"]["rmse"]


def test_it_tells_stone_leather_and_metal_apart() -> None:
    """Three materials, so that broken weights show; what it is worth is in evaluation.json."""
    model, _ = load_model(Path("shipped"))
    views, poses, maps = held_out(50, ("cobble", "brushed_metal", "leather"), 1, 64)
    found, average = map_figures(predict(model, views, poses), maps), map_figures(flat(maps), maps)
    share = {name: found[name]["rmse"] / average[name]["rmse"] for name in MAPS}
    assert share["albedo"] < 0.5 and share["metallic"] < 0.1 and share["normal"] < 0.9


def flat(maps: torch.Tensor) -> torch.Tensor:
    return mean_maps().view(1, -1, 1, 1).expand_as(maps)
