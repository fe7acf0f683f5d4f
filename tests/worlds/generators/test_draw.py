"""`world.sample`: from words, around a world, within one; bad input is refused before anything is drawn."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from terrarium.worlds.blocks.map_json import BlockMap, write_map
from terrarium.worlds.blocks.palette import ID
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.generators.draw import canvas
from terrarium.worlds.generators.dream import dream, starts
from terrarium.worlds.generators.kinds import SampleConfig, sample_debug
from terrarium.worlds.generators.samplers import Plan
from terrarium.worlds.kinds import kinds
from terrarium.worlds.progress import Silent
from terrarium.worlds.voxels import export
from terrarium.worlds.voxels.manifest import check_world


@pytest.fixture
def start(tmp_path):
    write_map(tmp_path / "start.json", BlockMap(structure(3, name="tower").blocks))
    return str(tmp_path / "start.json")


def test_a_world_is_drawn_and_is_an_asset(folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(export, "TURN", 4)
    config = replace(sample_debug("a large tower"), generator=str(folder), seed=5)
    result = kinds()["world.sample"].run(config, tmp_path, Silent())
    check_world(tmp_path / "output")
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    assert manifest["made"]["prompts"] == ["a large tower"] and manifest["made"]["seed"] == 5
    assert {"world.glb", "turntable.mp4", "thumbnail.png"} <= {file.name for file in (tmp_path / "output").iterdir()}
    assert result["blocks"] == manifest["blocks"] and result["seconds"] >= 0


def test_windows_reach_every_block_and_overlap() -> None:
    assert starts(16, 16) == [0] and starts(24, 16) == [0, 8] and starts(20, 16) == [0, 4]
    for length in range(16, 70, 2):
        found = starts(length, 16)
        assert found[0] == 0 and found[-1] == length - 16
        assert all(0 < b - a <= 8 for a, b in pairwise(found))


def test_what_is_known_stays_and_the_rest_is_dreamed(generator, start) -> None:
    config = SampleConfig(prompt="a tower", start=start, size=24)
    blocks, known = canvas(config, 16)
    assert blocks.shape == (24, 16, 24) and known.sum() == 16**3 and known[4:20, :, 4:20].all()
    made = dream(generator, "a tower", Plan(seeds=(1,), steps=2), blocks, known)
    assert (made[known] == blocks[known]).all() and made[~known].any()
    within, stays = canvas(replace(config, size=None, dream=(4, 1, 4, 12, 16, 12)), 16)
    assert (~stays).sum() == 8 * 15 * 8
    made = dream(generator, "a tower", Plan(seeds=(1,), steps=2), within, stays)
    assert (made[stays] == within[stays]).all()


def test_bad_input_is_refused_first(folder, start, tmp_path) -> None:
    row = kinds()["world.sample"]

    def refused(match: str, **given) -> None:
        with pytest.raises(ValueError, match=match):
            row.run(row.read({"prompt": "a tower", "generator": str(folder), **given}), tmp_path / "out", Silent())
        assert not (tmp_path / "out").exists()

    refused("'quark' has no word that the model knows", prompt="quark")
    refused("'zzz' has no word that the model knows", negative_prompt="zzz")
    refused("should have at least 1 character", prompt="  ")
    refused("has nothing to dream", start=start)
    refused(
        r"has \[16, 16, 16\] blocks for a world of \[32, 16, 32\]|reaches beyond",
        start=start,
        dream=(0, 0, 0, 4, 4, 40),
    )
    refused("without a start", dream=(0, 0, 0, 4, 4, 4))
    refused("expected six numbers", start=start, dream=(0, 0, 0, 4))
    refused("second corner beyond the first", start=start, dream=(4, 0, 0, 4, 4, 4))
    refused("eta: 0.5 with sampler dpm", sampler="dpm", eta=0.5)
    refused("no checkpoint|is not there", generator=str(tmp_path / "none"))
    blocks = np.zeros((16, 16, 16), np.uint8)
    blocks[0, 0, 0] = ID["Brick"]
    write_map(tmp_path / "brick.json", BlockMap(blocks))
    refused(r"the block at \[0, 0, 0\] is Brick", start=str(tmp_path / "brick.json"), dream=(4, 0, 0, 8, 4, 4))
    write_map(tmp_path / "flat.json", BlockMap(np.ones((16, 8, 16), np.uint8)))
    refused("expected 16 high", start=str(tmp_path / "flat.json"), size=32)


def test_worlds_that_do_not_fit_are_named_by_their_manifests() -> None:
    row = kinds()["world.sample"]
    config = SampleConfig(prompt="a tower", start="-", size=16, dream=(0, 0, 0, 4, 4, 40))
    found = row.misfits(config, {"start": {"size": [32, 24, 32]}, "generator": {"model": {"size": 16}}})
    assert "24 blocks high" in found["start"] and "more than size 16" in found["start"]
    assert "reaches beyond" in found["dream"]
    facts = row.promises(config, {"generator": {"model": {"size": 16}}})
    assert facts == {"size": [16, 16, 16]}
