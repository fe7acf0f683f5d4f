"""Terrain: deterministic, furnished, closed by a rim."""

import numpy as np
import pytest

from terrarium.worlds.blocks import terrain
from terrarium.worlds.blocks.palette import ID, NAMES
from terrarium.worlds.episodes.kinds import Terrain


def test_kinds_are_those_of_the_config():
    assert set(terrain.KINDS) == set(Terrain.__args__)


@pytest.mark.parametrize("kind", terrain.KINDS)
def test_same_seed_same_blocks(kind):
    first = terrain.generate(kind, 5).copy()
    terrain.generate.cache_clear()
    np.testing.assert_array_equal(terrain.generate(kind, 5), first)
    assert (terrain.generate(kind, 6) != first).mean() > 0.01


@pytest.mark.parametrize("kind", terrain.KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_worlds_hold_ground_things_and_room_above(kind, seed):
    blocks = terrain.generate(kind, seed)
    assert blocks.shape == terrain.SIZE and blocks.dtype == np.uint8
    assert blocks.max() < len(NAMES)
    assert (blocks[:, :3] != 0).all() and (blocks[:, -2:] == 0).mean() > 0.99
    things = np.isin(blocks, [i for name, i in ID.items() if "Wool" in name or name in ("Log", "Cactus", "Leaves")])
    assert 100 < things.sum() < 0.1 * blocks.size
    edge = np.concatenate([blocks[0], blocks[-1], blocks[:, :, 0], blocks[:, :, -1]], axis=None)
    assert (edge != 0).mean() > 0.3  # the rim stands well above the ground


def test_lakes_have_water_and_deserts_none():
    assert (terrain.generate("lake", 1) == ID["Water"]).sum() > 200
    assert not (terrain.generate("desert", 1) == ID["Water"]).any()


def test_unknown_kind():
    with pytest.raises(ValueError, match=r"unknown terrain 'moon'.*plains"):
        terrain.generate("moon", 0)
