import json

import pytest

pytest.importorskip("diffusers", reason="the extra `sds` is not installed")

import torch

from terrarium.worlds.blocks.structures.captions import vocabulary
from terrarium.worlds.voxels import export, recognised
from terrarium.worlds.voxels.kinds import GenerateConfig, PriorConfig
from terrarium.worlds.voxels.prior.model import Prior
from terrarium.worlds.voxels.prior.recipe import save_prior


def test_worlds_are_made_named_counted_and_shown_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(export, "TURN", 2)
    monkeypatch.setattr(recognised, "CLASSES", ("tower", "tree"))
    config = PriorConfig(channels=(8, 16), text=16)
    save_prior(tmp_path / "prior", Prior(vocabulary(), config.channels, config.text), config, {})
    monkeypatch.setattr(recognised, "GenerateConfig", lambda **kw: GenerateConfig(**kw, steps=2, views=2))
    found = recognised.evaluate(str(tmp_path / "prior"), tmp_path / "out", 1, 2)
    assert {how: each["worlds"] for how, each in found.items()} == {"init": 2, "blocks": 2, "target": 2}
    assert (tmp_path / "out" / "sheet.png").is_file()
    report = json.loads((tmp_path / "out" / "recognised.json").read_text())
    assert {(row["class"], row["by"]) for row in report["worlds"]} == {
        (name, by) for name in ("tower", "tree") for by in ("init", "blocks", "target")
    }
    torch.manual_seed(1)  # nothing is made again, so nothing depends on it
    assert recognised.evaluate(str(tmp_path / "prior"), tmp_path / "out", 1, 2) == found
