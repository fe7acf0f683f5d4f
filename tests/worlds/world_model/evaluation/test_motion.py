"""On the simulator's own pictures: the searches find what was done to the camera."""

import numpy as np
import pytest

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.world_model.evaluation.motion import line, shift_px, zoom


@pytest.fixture(scope="module")
def world():
    return BlockWorld(width=64, height=64, terrain="mixed")


def pairs(world, action):
    both = [(world.reset(seed), world.step(action)) for seed in range(12)]
    return np.stack([b for b, _ in both]), np.stack([a for _, a in both])


def test_shift_of_a_turn_is_that_of_the_cameras_geometry(world):
    """At the middle of a picture 75 degrees wide, 64 pixels: 32 / tan(37.5 degrees) = 41.7 pixels a radian."""
    for yaw in (1.0, -0.5):
        found = shift_px(*pairs(world, act.action(yaw=yaw)))
        expected = np.radians(yaw * act.MAX_YAW_DEG) * 32 / np.tan(np.radians(37.5))
        assert np.median(found) == pytest.approx(expected, abs=0.8)
    still = world.reset(3)[None]
    assert shift_px(still, still) == 0 and zoom(still, still) == pytest.approx(1)


def test_walking_ahead_zooms_in_and_back_out(world):
    ahead, back = (np.log(zoom(*pairs(world, act.action(key)))) for key in "ws")
    assert np.median(ahead) > 0.02 and np.median(back) < -0.02


def test_line_through_zero():
    x = np.array([-2.0, -1, 1, 2])
    assert line(x, 3 * x) == {"px_per_degree": 3, "r2": 1}
    assert line(x, np.array([1.0, -1, -1, 1]))["r2"] <= 0
