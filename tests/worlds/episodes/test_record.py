import json
from dataclasses import replace

import numpy as np
import pytest

from terrarium.worlds.blocks.map_json import BlockMap, write_map
from terrarium.worlds.blocks.terrain import generate
from terrarium.worlds.blocks.world import world_of
from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.episodes.kinds import record_debug
from terrarium.worlds.episodes.record import record_dataset
from terrarium.worlds.progress import Silent


@pytest.mark.parametrize(("name", "field"), [("castle.json", "world"), ("castle", "world"), ("castle", "map")])
def test_any_map_is_a_world(tmp_path, name, field):
    """Every episode walks in the map, a file's or a block world's, which the dataset brings along."""
    blocks = generate("desert", 5)
    file = tmp_path / name if name.endswith(".json") else tmp_path / name / "map.json"
    file.parent.mkdir(exist_ok=True)
    write_map(file, BlockMap(blocks))
    record_dataset(replace(record_debug(), **{field: str(tmp_path / name)}), tmp_path, Silent())
    file.unlink()
    dataset = open_dataset(tmp_path / "output")
    assert str(tmp_path) not in json.dumps(dataset.manifest)
    assert dataset.manifest["source"]["terrain"] == dataset.manifest["source"]["config"][field] == name
    world = world_of(dataset.manifest["source"], 32, 32)
    np.testing.assert_array_equal(world.blocks, blocks)
    for episode in dataset.episodes[:2]:
        np.testing.assert_array_equal(world.reset(episode.seed), episode.frames[0])
        for t, action in enumerate(episode.actions):
            np.testing.assert_array_equal(world.step(action), episode.frames[t + 1])
    starts = {tuple(e.pose[0].tolist()) for e in dataset.episodes}
    assert len(starts) > 1, "the seed says where a walk starts"
