"""Structures on terrain: deterministic, apart from what was there, and off unless asked for."""

import numpy as np
import pytest

from terrarium.worlds.blocks import settlement, terrain
from terrarium.worlds.blocks.palette import AIR
from terrarium.worlds.blocks.world import BlockWorld, world_of
from terrarium.worlds.episodes.kinds import RecordConfig
from terrarium.worlds.episodes.record import block_source
from terrarium.worlds.kinds import Conflict


@pytest.mark.parametrize("kind", terrain.KINDS)
def test_a_seed_builds_the_same_world_again(kind):
    first = terrain.generate(kind, 5, 3).copy()
    terrain.generate.cache_clear()
    np.testing.assert_array_equal(terrain.generate(kind, 5, 3), first)
    assert (terrain.generate(kind, 6, 3) != first).mean() > 0.01


def test_what_is_beside_the_plots_stays(monkeypatch):
    plots = []
    put = settlement._put

    def watched(plot, level, thing):
        plots.append(plot)
        put(plot, level, thing)

    monkeypatch.setattr(settlement, "_put", watched)
    terrain.generate.cache_clear()
    settled = terrain.generate("plains", 3, 2)
    assert len(plots) == 2
    outside = np.ones(settled.shape, bool)
    for plot in plots:
        offset = (plot.__array_interface__["data"][0] - settled.__array_interface__["data"][0]) // settled.itemsize
        x, _, z = np.unravel_index(offset, settled.shape)
        assert outside[x : x + 16, :, z : z + 16].all(), "plots do not overlap"
        outside[x : x + 16, :, z : z + 16] = False
        assert settled[x : x + 16, :, z : z + 16][:, 3].all(), "nothing hangs in the air"
    np.testing.assert_array_equal(settled[outside], terrain.generate("plains", 3)[outside])
    assert (settled != terrain.generate("plains", 3)).sum() > 300


def test_there_may_be_no_room():
    blocks, height = np.zeros((20, 24, 20), np.uint8), np.full((20, 20), 4)
    blocks[:, :5] = 1
    assert len(settlement.settle(blocks, height, (0, 0), 4, 1, 0)) == 1
    assert len(settlement.settle(blocks, height, (0, 0), 4, 3, 0)) == 0


def test_plots_in_water_are_islands():
    blocks, height = np.full((20, 24, 20), AIR), np.full((20, 20), 2)
    blocks[:, :3] = 6
    settlement.settle(blocks, height, (0, 1), 1, 2, 5)
    assert blocks[2:18, :5, 2:18].all() and not blocks[:2, 3:].any()


def test_a_walk_and_a_dataset_know_of_them():
    world = world_of(block_source("plains", 3), 16, 16)
    assert world.structures == 3
    world.reset(4)
    np.testing.assert_array_equal(world.blocks, terrain.generate("plains", 4, 3))
    assert block_source("plains") == {"kind": "blocks", "terrain": "plains"}
    assert BlockWorld(16, 16, terrain="plains").structures == 0


def test_a_map_has_its_own():
    with pytest.raises(Conflict, match="structures: 2 beside a map"):
        RecordConfig(structures=2, map="x")
    with pytest.raises(ValueError, match=r"structures 2 in the map 'castle.json'"):
        block_source("castle.json", 2)
