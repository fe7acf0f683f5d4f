"""Depths, poses and the flow that follows from them, against the simulator and against formulas."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.fits import world_model_misfits
from terrarium.worlds.world_model.geometry import EACH, MovingCamera, camera_flow, in_view, nearness
from terrarium.worlds.world_model.kinds import world_model_debug
from terrarium.worlds.world_model.live import LiveModel
from terrarium.worlds.world_model.losses import Losses
from terrarium.worlds.world_model.picture import move_picture
from terrarium.worlds.world_model.tokenizer import load_tokenizer, to_pictures
from terrarium.worlds.world_model.train import load_clips, new_model, train_world_model
from terrarium.worlds.world_model.views import camera_of, grid, places

BLOCKS = camera_of({"source": {"kind": "blocks"}})
SIZE = (64, 64)


def walked(seed, *moves):
    """-> frames [T, H, W, 3], one over their depths [T, H, W], poses [T, 5]."""
    world = BlockWorld(*SIZE)
    frames, poses = [world.reset(seed)], [world.pose]
    for move in moves:
        frames.append(world.step(move))
        poses.append(world.pose)
    near = np.stack([1 / world.labels(seed, pose).depth for pose in poses])
    return np.stack(frames), torch.from_numpy(near), torch.from_numpy(np.stack(poses))


def test_the_true_flow_makes_the_next_frame_of_this_one():
    moves = [act.action("w", yaw=0.3), act.action("w", pitch=0.2), act.action("d"), act.action("s", "a"), act.action()]
    frames, near, poses = walked(3, *moves)
    flow, ahead = camera_flow(BLOCKS, near[1:], poses[:-1], poses[1:])
    pictures = to_pictures(frames)
    moved = move_picture(torch.cat([pictures[:-1], torch.ones_like(pictures[:-1, :1])], dim=1), flow)
    known = moved[:, 3:] * ahead
    left, before = (((x - pictures[1:]).abs() * known).mean() for x in (moved[:, :3], pictures[:-1]))
    assert left < before / 3


def test_a_turn_moves_all_depths_alike():
    before = torch.tensor([[0.0, 0.0, 0.0, 20.0, -10.0]])
    after = torch.tensor([[0.0, 0.0, 0.0, 26.0, -14.0]])
    near, far = (camera_flow(BLOCKS, torch.full((1, *SIZE), x), before, after)[0] for x in (1.0, 0.0))
    torch.testing.assert_close(near, far)
    looks = (torch.cat([torch.deg2rad(x[:, 3:]), torch.zeros(1, 1)], dim=1) for x in (before, after))
    x, y, _ = places(BLOCKS, next(looks).unsqueeze(1), next(looks), SIZE)
    at = torch.stack([x, y], dim=-1)
    torch.testing.assert_close(near, ((at[:, 0] - grid(SIZE, at.device)) * 32).movedim(-1, 1), atol=1e-3, rtol=1e-4)


def test_a_step_to_the_side_moves_pixels_by_the_focal_length_over_their_depth():
    before, after = torch.zeros(1, 5), torch.tensor([[0.5, 0.0, 0.0, 0.0, 0.0]])
    flow, _ = camera_flow(BLOCKS, torch.full((1, 8, 8), 0.25), before, after, each=8)
    focal = 32 / math.tan(math.radians(BLOCKS.fovy) / 2)
    torch.testing.assert_close(flow[:, 0], torch.full((1, 8, 8), focal * 0.5 / 4))
    torch.testing.assert_close(flow[:, 1], torch.zeros(1, 8, 8), atol=1e-4, rtol=0)


def test_what_was_behind_the_camera_is_not_ahead():
    before, after = torch.zeros(1, 5), torch.tensor([[0.0, 0.0, 3.0, 0.0, 0.0]])  # three blocks back
    assert camera_flow(BLOCKS, torch.full((1, 4, 4), 0.25), before, after)[1].all()
    assert not camera_flow(BLOCKS, torch.full((1, 4, 4), 0.5), before, after)[1].any()


@pytest.mark.parametrize("yaw", [0.0, 90.0, 215.0])
def test_a_step_is_told_as_the_player_sees_it(yaw):
    r = math.radians(yaw)
    ahead = torch.tensor([[0.0, 0.0, 0.0, yaw, 30.0], [2 * math.sin(r), 1.0, -2 * math.cos(r), yaw, 0.0]])
    torch.testing.assert_close(in_view(ahead[:1], ahead[1:]), torch.tensor([[0.0, 1.0, -2.0]]), atol=1e-5, rtol=0)


def test_nearness_is_kept_and_read_again(debug_data, tmp_path):
    dataset, calls = open_dataset(debug_data), []
    made = nearness(dataset, "val", tmp_path / "near.npy", lambda: calls.append(1))
    again = nearness(dataset, "val", tmp_path / "near.npy", lambda: calls.append(1))
    episodes = dataset.split("val")
    assert len(calls) == len(episodes) and all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    assert made[0].shape == (len(episodes[0].frames), *(n // EACH for n in dataset.frame_size))
    assert made[0].dtype == np.float16 and 0 <= made[0].min() < made[0].max() < 20


def test_an_episode_without_poses_is_named(debug_data, tmp_path):
    dataset = open_dataset(debug_data)
    dataset = replace(dataset, episodes=[replace(e, pose=None) for e in dataset.episodes])
    with pytest.raises(ValueError, match="has no poses: expected one of the block world's own"):
        nearness(dataset, "val", tmp_path / "near.npy")


def test_only_block_worlds_teach_the_flow():
    game = {"data": {"source": {"kind": "gym", "env": "crafter:Env"}}}
    for taught in ({"true_flow": 1.0}, {"moving_camera": True}):
        config = replace(world_model_debug("-"), **taught)
        assert "only block worlds tell depths" in dict(world_model_misfits(config, game))["data"]
        assert not world_model_misfits(config, {"data": {"source": {"kind": "blocks"}}})


def test_the_loss_is_nothing_for_the_simulators_own_flow(debug_data, debug_tokenizer, tmp_path):
    config = replace(world_model_debug(str(debug_data), str(debug_tokenizer)), true_flow=1.0)
    dataset, (tokenizer, _) = open_dataset(debug_data), load_tokenizer(debug_tokenizer)
    clips = load_clips(dataset, "train", tokenizer, config, tmp_path)
    codes, actions, frames, near, poses = clips.sample(np.random.default_rng(0), 2)
    model, camera = new_model(config, dataset, tokenizer), camera_of(dataset.manifest)
    p = model(codes[:, :-1], to_pictures(frames)[:, :-1], actions, model.initial(2))
    true, _ = camera_flow(
        camera, near[:, 1:].flatten(0, 1), poses[:, :-1].flatten(0, 1), poses[:, 1:].flatten(0, 1), EACH
    )
    fine = F.interpolate(true, scale_factor=EACH, mode="nearest").unflatten(0, p.flow.shape[:2])
    losses = Losses(model, config, camera)
    assert losses._true_flow([replace(p, flow=fine)], near, poses) < 1e-5
    assert losses._true_flow([p], near, poses) > 0.1  # an untrained flow is zero


def test_a_moving_camera_tells_depth_turn_and_step():
    camera = MovingCamera(BLOCKS, channels=16, embed=8)
    seen = camera(torch.randn(3, 16, 16, 16), torch.randn(3, 8), torch.rand(3, 9))
    assert seen.flow.shape == (3, 2, *SIZE) and seen.near.shape == (3, *SIZE) and seen.near.min() > 0
    assert seen.step.shape == (3, 3) and seen.pitch.abs().max() <= BLOCKS.most_pitch


def test_a_model_with_a_moving_camera_trains_and_plays(debug_data, debug_tokenizer, tmp_path):
    config = replace(
        world_model_debug(str(debug_data), str(debug_tokenizer)), moving_camera=True, true_flow=1.0, steps=2
    )
    train_world_model(replace(config, painter=False), tmp_path / "plain", Silent())
    start = replace(config, start=str(tmp_path / "plain" / "output"))
    assert train_world_model(start, tmp_path / "on", Silent())["steps"] > 2
    model = LiveModel.load(tmp_path / "on" / "output")
    state = model.start(*model.context(model.simulator(), 1))
    assert model.step([state], act.action("w")[None], np.ones(1)).shape == (1, 32, 32, 3)
