"""Physics on a flat floor with walls placed by hand."""

import numpy as np
import pytest

from terrarium.worlds.blocks import physics
from terrarium.worlds.blocks.actions import MAX_PITCH_DEG, MAX_YAW_DEG, action
from terrarium.worlds.blocks.palette import ID

FLOOR = 4  # the feet stand at this height


@pytest.fixture
def blocks():
    grid = np.zeros((24, 16, 24), np.uint8)
    grid[:, :FLOOR] = ID["Stone"]
    return grid


def walker(x=12.5, z=12.5, yaw=0.0, y=FLOOR):
    return physics.new_body(x, y, z, yaw)


def walk(blocks, body, act, frames):
    """Step `frames` times; returns the feet's positions, float64 [frames + 1, 3]."""
    track = [body[:3].copy()]
    for _ in range(frames):
        physics.step(blocks, body, act)
        track.append(body[:3].copy())
    return np.array(track)


@pytest.mark.parametrize(("key", "way"), [("w", (0, -1)), ("s", (0, 1)), ("a", (-1, 0)), ("d", (1, 0))])
def test_every_key_walks_its_way_in_its_own_frame(blocks, key, way):
    track = walk(blocks, walker(), action(key), 3)
    np.testing.assert_allclose(np.diff(track[:, [0, 2]], axis=0), [np.multiply(way, physics.WALK)] * 3)


def test_diagonals_are_no_faster(blocks):
    track = walk(blocks, walker(), action("w", "d"), 1)
    np.testing.assert_allclose(np.linalg.norm(track[1] - track[0]), physics.WALK)


@pytest.mark.parametrize(("key", "factor"), [("sprint", 1.5), ("sneak", 0.5)])
def test_sprint_and_sneak(blocks, key, factor):
    track = walk(blocks, walker(), action("w", key), 4)
    np.testing.assert_allclose(track[0, 2] - track[-1, 2], 4 * physics.WALK * factor)


def test_opposite_keys_cancel(blocks):
    track = walk(blocks, walker(yaw=30), action("w", "s", "a", "d"), 2)
    np.testing.assert_array_equal(track[0], track[-1])


def test_forth_and_back_returns(blocks):
    body = walker(yaw=37.0)
    walk(blocks, body, action("w", "a"), 6)
    walk(blocks, body, action("s", "d"), 6)
    np.testing.assert_allclose(body[:3], walker()[:3], atol=1e-9)


def test_nothing_moves_without_a_key(blocks):
    body = walker(yaw=11.0)
    before = body.copy()
    walk(blocks, body, action(), 3)
    np.testing.assert_array_equal(body, before)


def test_yaw_wraps_and_pitch_is_clipped(blocks):
    body = walker(yaw=356.0)
    physics.step(blocks, body, action(yaw=1, pitch=1))
    assert body[physics.YAW_DEG] == MAX_YAW_DEG - 4 and body[physics.PITCH_DEG] == MAX_PITCH_DEG
    physics.step(blocks, body, action(yaw=-1))
    assert body[physics.YAW_DEG] == 356
    for _ in range(40):
        physics.step(blocks, body, action(yaw=0.7, pitch=-1))
        assert 0 <= body[physics.YAW_DEG] < 360
    assert body[physics.PITCH_DEG] == -physics.MAX_PITCH


def test_a_tiny_turn_left_of_zero_stays_under_360(blocks):
    body = walker()
    physics.step(blocks, body, action(yaw=-1e-20))
    assert 0 <= body[physics.YAW_DEG] < 360


def test_a_wall_stops_and_slides(blocks):
    blocks[:, FLOOR : FLOOR + 3, 10] = ID["Brick"]
    track = walk(blocks, walker(), action("w", "d"), 12)
    np.testing.assert_allclose(track[-1, 2], 11 + physics.HALF_WIDTH)
    np.testing.assert_allclose(np.diff(track[:, 0]), physics.WALK / np.sqrt(2))


@pytest.mark.parametrize("yaw", [0, 45, 90, 135, 180, 225, 270, 315])
def test_the_border_is_a_wall(blocks, yaw):
    track = walk(blocks, walker(yaw=yaw), action("w", "sprint"), 60)
    assert (track[:, [0, 2]] >= physics.HALF_WIDTH - 1e-9).all()
    assert (track[:, [0, 2]] <= 24 - physics.HALF_WIDTH + 1e-9).all()
    assert (track[:, 1] == FLOOR).all()


def test_a_jump_is_high_early_and_lands_in_eight_frames(blocks):
    body = walker()
    height = [0.0]
    for frame in range(10):
        physics.step(blocks, body, action("jump") if frame == 0 else action())
        height.append(body[physics.Y] - FLOOR)
    assert height[1] >= 0.35
    assert max(height) == 1.25
    assert [h > 0 for h in height[1:]] == [True] * 7 + [False] * 3
    assert body[physics.ON_GROUND] == 1


def test_held_jump_jumps_again_at_once(blocks):
    track = walk(blocks, walker(), action("jump"), 16)
    np.testing.assert_array_equal(track[8:, 1], track[:9, 1])


def test_a_ceiling_stops_a_jump(blocks):
    blocks[:, FLOOR + 2] = ID["Plank"]
    track = walk(blocks, walker(), action("jump"), 6)
    np.testing.assert_allclose(track[:, 1].max(), FLOOR + 2 - physics.HEIGHT)
    assert not physics.hits(blocks, *track[-1])


def test_steps_of_one_block_are_walked_up_and_down_and_back(blocks):
    for k in range(3):
        blocks[:, FLOOR + k, : 11 - 2 * k] = ID["Stone"]
    body = walker()
    up = walk(blocks, body, action("w"), 16)
    assert up[-1, 1] == FLOOR + 3
    assert np.diff(up[:, 1]).max() == 1
    np.testing.assert_allclose(np.diff(up[:, 2]), -physics.WALK)
    walk(blocks, body, action("s"), 16)
    np.testing.assert_allclose(body[:3], walker()[:3], atol=1e-9)
    assert body[physics.ON_GROUND] == 1


def test_the_eye_takes_two_frames_over_a_step(blocks):
    blocks[:, FLOOR, :12] = ID["Stone"]
    body = walker(z=12.5)
    eyes = []
    for act in (action("w"), action(), action()):
        physics.step(blocks, body, act)
        eyes.append(physics.eye_height(body) - physics.EYE - FLOOR)
    np.testing.assert_allclose(eyes, [0.5, 1, 1])


def test_two_blocks_are_a_wall_and_a_cliff_is_fallen_from(blocks):
    blocks[:, FLOOR : FLOOR + 2, :10] = ID["Stone"]
    assert walk(blocks, walker(), action("w"), 10)[:, 1].max() == FLOOR
    body = walker(z=9.0, y=FLOOR + 2)
    track = walk(blocks, body, action("s"), 14)
    assert track[-1, 1] == FLOOR and body[physics.ON_GROUND] == 1
    assert np.diff(track[:, 1]).min() >= -physics.MAX_FALL


def test_sneaking_lowers_the_eye(blocks):
    body = walker()
    physics.step(blocks, body, action("sneak"))
    np.testing.assert_allclose(physics.eye_height(body), FLOOR + physics.EYE - physics.SNEAK_DROP)
    physics.step(blocks, body, action())
    np.testing.assert_allclose(physics.eye_height(body), FLOOR + physics.EYE)


def test_no_walk_ends_inside_a_block(blocks):
    rng = np.random.default_rng(3)
    blocks[rng.random(blocks.shape) < 0.08] = ID["Stone"]
    blocks[11:14, FLOOR:, 11:14] = 0
    body = walker()
    for _ in range(600):
        act = (rng.random(9) < 0.5).astype(np.float32)
        act[:2] = rng.uniform(-1, 1, 2)
        physics.step(blocks, body, act)
        assert not physics.hits(blocks, *body[:3])
