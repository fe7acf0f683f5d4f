"""Landmarks: each is something, and is cut off at the border instead of coming in on the other side."""

import numpy as np
import pytest

from terrarium.worlds.blocks import terrain

THINGS = sorted({thing for biome in terrain.BIOMES.values() for thing in biome.things}, key=lambda t: t.__name__)


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.__name__)
def test_things_stand_where_they_are_put(thing):
    for seed in range(5):
        blocks = np.zeros((32, 24, 32), np.uint8)
        thing(blocks, 16, 6, 16, np.random.default_rng(seed))
        xs, ys, zs = np.nonzero(blocks)
        assert 3 <= xs.size < 200 and ys.min() == 6
        assert max(np.abs(xs - 16).max(), np.abs(zs - 16).max()) <= 3


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.__name__)
def test_things_are_cut_off_at_the_border(thing):
    blocks = np.zeros((32, 8, 32), np.uint8)
    thing(blocks, 0, 6, 31, np.random.default_rng(0))
    xs, _, zs = np.nonzero(blocks)
    assert xs.max() <= 4 and zs.min() >= 27
