"""Views: geometry against the simulator, what is kept, when it is forgotten, and that turning back shows it again."""

import math

import numpy as np
import pytest
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.pictures.metrics import psnr
from terrarium.worlds.world_model.live import LiveModel
from terrarium.worlds.world_model.rollout import burn_in, rollout
from terrarium.worlds.world_model.tokenizer import to_pictures
from terrarium.worlds.world_model.views import EMPTY, camera_of, forget, grid, keep, look_back, places, turn

BLOCKS = camera_of({"source": {"kind": "blocks"}})
SIZE = (64, 64)


def looks(*rows):
    """Yaw and pitch in degrees and when: of the present first."""
    return torch.tensor([[[math.radians(y), math.radians(p), seen] for y, p, seen in rows]])


def turning(before, after):
    """The flow of a camera that turns and does nothing else, in pixels [1, 2, H, W]."""
    x, y, _ = places(BLOCKS, before[:, :1], after[:, 0], SIZE)
    at = torch.stack([x, y], dim=-1)
    return ((at[:, 0] - grid(SIZE, at.device)) * 32).movedim(-1, 1)


@pytest.mark.parametrize(("yaw", "pitch"), [(16, 0), (-24, 12), (8, -24)])
def test_a_view_shows_what_the_simulator_shows_after_a_turn(yaw, pitch):
    world = BlockWorld(*SIZE)
    world.reset(3)
    start = world.copy_state()
    first = world.render()
    for _ in range(4):
        world.step(act.action(yaw=yaw / 32, pitch=pitch / 24))
    turned = world.render()
    world.set_state(start)
    now = looks((0, 0, 0), (0, 0, EMPTY), (0, 0, EMPTY))
    views, seen = keep(
        torch.zeros(1, 2, 3, *SIZE, dtype=torch.uint8), now, to_pictures(first[None]), torch.zeros(1, 0, *SIZE)
    )
    after = seen
    for _ in range(4):
        after = turn(BLOCKS, after, torch.tensor([[yaw / 32, pitch / 24]]))
    assert after[0, 0, :2].tolist() == pytest.approx([math.radians(yaw), math.radians(pitch)], abs=1e-5)
    shown, there = look_back(BLOCKS, views, seen, after)
    there = there[0, 0].numpy()
    assert 0.3 < there.mean() < 0.95  # the rest was out of view
    shown = ((shown[0].movedim(0, -1) + 0.5) * 255).numpy()
    assert psnr(shown[None, there], turned[None, there]) > 23  # sampled once; outlines are antialiased anew
    assert psnr(first[None, there], turned[None, there]) < 17


def test_a_view_is_kept_where_there_is_none_that_way_and_the_oldest_goes():
    views, now = torch.zeros(1, 2, 3, 4, 4, dtype=torch.uint8), looks((0, 0, 0), (0, 0, EMPTY), (0, 0, EMPTY))
    none = torch.zeros(1, 0, 4, 4)

    def see(value, yaw, seen):
        nonlocal views, now
        now = torch.cat([looks((yaw, 0, seen)), now[:, 1:]], dim=1)
        views, now = keep(views, now, torch.full((1, 3, 4, 4), value), none)
        return views[0, :, 0, 0, 0].tolist()

    assert see(-0.5 + 51 / 255, 0, 0) == [51, 0]
    assert see(0.5, 14, 1) == [51, 0]  # nearly the same way
    assert see(-0.5 + 102 / 255, 16, 2) == [51, 102]
    assert see(0.5, 40, 3) == [255, 102]
    assert see(0.5, 56, 4) == [255, 255]


@pytest.mark.parametrize(
    ("off", "key", "stays"), [(0.4, 1.0, True), (0.6, 1.0, False), (1.5, 0.0, True), (1.7, 0.0, False)]
)
def test_views_are_forgotten_where_more_moves_than_the_camera(off, key, stays):
    before = looks((10, 5, 3), (0, 0, 1), (10, 5, 2))
    action = torch.zeros(1, act.A)
    action[0, act.YAW], action[0, act.W] = 1.0, key
    after = turn(BLOCKS, before, action)
    flow = turning(before, after)
    flow[:, 1] += off
    left = forget(BLOCKS, before, after, flow, action)
    assert left[0, 1:, 2].tolist() == ([1, 2] if stays else [EMPTY, EMPTY])
    assert left[0, 0, 2] == 4 and left[0, 1:, :2].equal(before[0, 1:, :2])


def test_a_camera_looks_up_no_farther_than_the_simulators():
    now = looks((0, 55, 0))
    assert turn(BLOCKS, now, torch.tensor([[0.0, 1.0]]))[0, 0, 1] == pytest.approx(math.radians(60))


def test_nothing_is_shown_anew_to_a_camera_that_stands_still():
    views, now = torch.full((1, 2, 3, *SIZE), 255, dtype=torch.uint8), looks((0, 0, 5), (3, 0, 1), (0, 0, EMPTY))
    assert not look_back(BLOCKS, views, now, now)[1].any()
    assert look_back(BLOCKS, views, looks((1, 0, 4), (3, 0, 1), (0, 0, EMPTY)), now)[1].any()


@pytest.mark.parametrize("away", [2, 12])
def test_turning_back_shows_the_same_again(away):
    model = LiveModel.load("shipped")
    frames, actions = model.context(model.simulator(), 5)
    with torch.inference_mode():
        state = burn_in(model.dynamics, frames[None], actions[None])
    there_and_back = np.stack([act.probe("yaw-")] * away + [act.probe("yaw+")] * away)
    torch.manual_seed(0)
    shown = rollout(model.dynamics, state, torch.from_numpy(there_and_back)[None]).frames[:, -1]
    assert psnr(shown, frames[None, -1]) > 30
    walked = rollout(model.dynamics, state, torch.from_numpy(np.stack([act.probe("w")] * 3))[None]).state
    assert (walked.memory.looks[0, 1:, 2] > EMPTY).sum() == 1  # the newest alone


def test_a_source_that_does_not_tell_its_camera_has_no_views(debug_model, tmp_path):
    assert camera_of({"source": {"kind": "gym", "env": "crafter:Env"}}) is None
    state = LiveModel.load(debug_model).dynamics.initial(2)
    assert state.views.shape[:2] == (2, 32) and state.looks.shape == (2, 33, 3)
    model = LiveModel.load(debug_model).dynamics
    model.camera = None
    state = model.initial(2)
    assert state.views.shape[:2] == (2, 0) and state.looks.shape == (2, 1, 3)
