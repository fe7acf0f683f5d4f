"""Spawns: on the ground, free, facing something, and spread over the map."""

import numpy as np
import pytest

from terrarium.worlds.blocks import physics, raycast, spawn, terrain
from terrarium.worlds.blocks.camera import basis
from terrarium.worlds.blocks.palette import ID


@pytest.mark.parametrize("kind", terrain.KINDS)
def test_spawns_stand_free_on_natural_ground(kind):
    for seed in range(6):
        volume = raycast.Volume(terrain.generate(kind, seed))
        body = spawn.choose(volume, seed)
        x, y, z = body[:3]
        assert not physics.hits(volume.blocks, x, y, z)
        assert spawn.NATURAL[volume.blocks[int(x), int(y) - 1, int(z)]]
        np.testing.assert_array_equal(spawn.choose(volume, seed), body)


def test_something_stands_in_the_middle_distance():
    near = []
    for seed in range(20):
        volume = raycast.Volume(terrain.generate("mixed", seed))
        body = spawn.choose(volume, seed)
        eye, yaw = (body[0], body[1] + physics.EYE, body[2]), body[physics.YAW_DEG]
        fan = [basis(yaw + turn, 0)[2] for turn in range(-30, 31, 3)]
        hits = [raycast.cast(volume.flat, *volume.shape, *eye, *ray, 40.0)[1] for ray in fan]
        near.append(min(hits))
    assert np.mean([1.5 < d < 15 for d in near]) >= 0.9


def test_one_map_has_many_spawns():
    blocks = np.zeros((40, 6, 40), np.uint8)
    blocks[:, 0] = ID["Grass"]
    volume = raycast.Volume(blocks)
    assert len({tuple(spawn.choose(volume, seed)[:3]) for seed in range(10)}) > 5


def test_a_map_filled_to_the_top_is_stood_on():
    volume = raycast.Volume(np.full((6, 3, 6), ID["Stone"], np.uint8))
    assert spawn.choose(volume, 0)[physics.Y] == 3
