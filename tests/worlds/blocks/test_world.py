"""BlockWorld: determinism, exact branching, and pictures that answer every key."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from terrarium.worlds.blocks import terrain
from terrarium.worlds.blocks.actions import PROBES, A, action, probe
from terrarium.worlds.blocks.map_json import pack
from terrarium.worlds.blocks.palette import ID
from terrarium.worlds.blocks.world import BlockWorld, world_of

DIGEST = """
import hashlib, numpy as np
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.blocks.actions import A
world, digest, rng = BlockWorld(48, 32), hashlib.sha256(), np.random.default_rng(0)
digest.update(world.reset(11).tobytes())
for _ in range(20):
    act = (rng.random(A) < 0.4).astype(np.float32)
    act[:2] = rng.uniform(-1, 1, 2)
    digest.update(world.step(act).tobytes())
print(digest.hexdigest())
"""


def random_actions(n, seed=0):
    rng = np.random.default_rng(seed)
    acts = (rng.random((n, A)) < 0.4).astype(np.float32)
    acts[:, :2] = rng.uniform(-1, 1, (n, 2))
    return acts


def test_same_seed_and_actions_same_bytes():
    def run():
        world = BlockWorld()
        return [world.reset(3), *(world.step(a) for a in random_actions(30))]

    np.testing.assert_array_equal(run(), run())


def test_same_bytes_in_another_process():
    digests = {subprocess.check_output([sys.executable, "-c", DIGEST], text=True) for _ in range(2)}
    world, digest = BlockWorld(48, 32), hashlib.sha256()
    digest.update(world.reset(11).tobytes())
    rng = np.random.default_rng(0)
    for _ in range(20):
        act = (rng.random(A) < 0.4).astype(np.float32)
        act[:2] = rng.uniform(-1, 1, 2)
        digest.update(world.step(act).tobytes())
    assert {d.strip() for d in digests} == {digest.hexdigest()}


def test_branches_are_exact():
    world = BlockWorld()
    world.reset(4)
    for act in random_actions(12):
        world.step(act)
    state, here = world.copy_state(), world.render()
    acts = random_actions(20, seed=9)
    first = [world.step(a) for a in acts]
    world.set_state(state)
    np.testing.assert_array_equal(world.render(), here)
    np.testing.assert_array_equal([world.step(a) for a in acts], first)
    other = BlockWorld()  # another world takes the state over, terrain and all
    np.testing.assert_array_equal(other.reset(state=state), here)
    np.testing.assert_array_equal([other.step(a) for a in acts], first)
    assert other.copy_state() == world.copy_state()


def test_seeds_differ():
    world = BlockWorld()
    frames = [world.reset(seed).astype(int) for seed in range(6)]
    for i in range(6):
        for j in range(i):
            assert np.abs(frames[i] - frames[j]).mean() > 8


@pytest.mark.parametrize("kind", terrain.KINDS)
def test_every_kind_starts_in_front_of_something(kind):
    world = BlockWorld(terrain=kind)
    spread = [world.reset(seed).astype(float).std() for seed in range(8)]
    assert min(spread) > 18 and np.median(spread) > 30
    assert world.state.on_ground


def test_noop_changes_nothing():
    world = BlockWorld()
    for seed in range(5):
        np.testing.assert_array_equal(world.reset(seed), world.step(action()))


def test_every_probe_shows():
    """From most spawns each probe moves the picture by a visible amount in its first frame."""
    world = BlockWorld()
    change = {name: [] for name in PROBES[1:]}
    for seed in range(24):
        start = world.reset(seed).astype(int)
        state = world.copy_state()
        for name in change:
            world.set_state(state)
            change[name].append(np.abs(world.step(probe(name)) - start).mean())
    for name, values in change.items():
        assert np.quantile(values, 0.1) > 2.0, (name, np.round(sorted(values), 1))


def test_pose_is_the_eye():
    world = BlockWorld()
    world.reset(1)
    pose = world.pose
    assert pose.shape == (5,) and pose.dtype == np.float32
    assert 0 <= pose[3] < 360 and -60 <= pose[4] <= 60
    assert pose[1] == np.float32(world.state.y + 1.62)
    world.step(action(yaw=1))
    assert world.pose[3] == pytest.approx((pose[3] + 8) % 360, abs=1e-4)


def test_blocks_are_shared_and_read_only():
    first, second = BlockWorld(), BlockWorld()
    first.reset(2), second.reset(2)
    assert first.blocks is second.blocks
    with pytest.raises(ValueError, match="read-only"):
        first.blocks[0, 0, 0] = 1


def test_a_map_is_a_world():
    blocks = np.zeros((20, 10, 18), np.uint8)
    blocks[:, :2] = ID["Grass"]
    blocks[9:11, 2:5, 8:10] = ID["RedWool"]
    world = BlockWorld(32, 32, blocks=blocks)
    first = world.reset(0)
    np.testing.assert_array_equal(world.blocks, blocks)
    assert first.std() > 10
    np.testing.assert_array_equal(world.reset(0), first)
    state = world.copy_state()
    world.step(action("w"))
    np.testing.assert_array_equal(world.reset(state=state), first)
    again = world_of({"kind": "blocks", "terrain": "map.json", "map": pack(blocks)}, 32, 32)
    np.testing.assert_array_equal(again.reset(0), first)


def test_the_world_of_a_terrain():
    again = world_of({"kind": "blocks", "terrain": "desert"}, 48, 32)
    np.testing.assert_array_equal(again.reset(3), BlockWorld(48, 32, terrain="desert").reset(3))


def test_no_place_to_stand():
    with pytest.raises(ValueError, match="no place to stand"):
        BlockWorld(blocks=np.zeros((4, 4, 4), np.uint8))


def test_bad_arguments():
    world = BlockWorld()
    with pytest.raises(ValueError, match=r"shape \(9,\), got \(15,\)"):
        world.step(np.zeros(15))
    with pytest.raises(ValueError, match="either a seed or a state"):
        world.reset()
    with pytest.raises(ValueError, match="unknown terrain"):
        BlockWorld(terrain="moon")


def test_labels_of_a_recorded_pose_leave_the_walk_where_it_is():
    world = BlockWorld(24, 16, terrain="plains")
    world.reset(3)
    pose = world.pose
    here = world.labels(3, pose)
    world.reset(4)
    before = world.copy_state()
    again = world.labels(3, pose)
    assert world.copy_state() == before
    assert np.array_equal(here.block, again.block) and np.array_equal(here.depth, again.depth)
    assert here.block.shape == (16, 24) and (here.depth[here.block > 0] > 0).all()
