import numpy as np
import pytest
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.world_model.live import LiveModel


@pytest.fixture(scope="module")
def model(debug_model):
    return LiveModel.load(debug_model)


def started(model, *seeds):
    states = []
    for seed in seeds:
        world = model.simulator()
        states.append(model.start(*model.context(world, seed)))
    return states


def test_context_ends_where_the_simulator_stands(model):
    world = model.simulator()
    frames, actions = model.context(world, 5)
    assert len(frames) == len(actions) + 1
    assert np.array_equal(frames[-1], world.render())


def test_frames_have_the_datasets_size(model):
    frames = model.step(started(model, 1, 2), np.stack([act.action("w"), act.action()]), np.zeros(2))
    assert frames.shape == (2, 32, 32, 3) and frames.dtype == np.uint8


def test_a_batch_of_players_plays_like_each_alone(model):
    together, alone = started(model, 1, 2), started(model, 1, 2)
    for _ in range(4):
        both = model.step(together, np.stack([act.action("w"), act.action(yaw=1)]), np.zeros(2))
        one = model.step(alone[:1], act.action("w")[None], np.zeros(1))
        two = model.step(alone[1:], act.action(yaw=1)[None], np.zeros(1))
        assert np.array_equal(both[0], one[0]) and np.array_equal(both[1], two[0])


def test_live_play_is_the_evaluations_rollout(model):
    """The live path and the batched rollout make the same codes from the same state."""
    from terrarium.worlds.world_model.rollout import burn_in, rollout

    world = model.simulator()
    frames, context = model.context(world, 3)
    first = burn_in(model.dynamics, frames[None], context[None])
    batched = rollout(model.dynamics, first, torch.from_numpy(act.action("w")).expand(1, 5, -1), temperature=0.0)
    state = model.start(frames, context)
    for t in range(5):
        shown = model.step([state], act.action("w")[None], np.zeros(1))
        assert torch.equal(state.codes, batched.codes[:, t])
        assert np.array_equal(shown, batched.frames[:, t])


def test_each_player_has_its_own_temperature(debug_model):
    model = LiveModel.load(debug_model)
    model.dynamics.head.out.bias.data[-16:] = -20.0  # nothing moved is shown: codes make every pixel
    cold, hot = started(model, 1, 1)
    for _ in range(3):
        model.step([cold, hot], np.stack([act.action()] * 2), np.array([0.0, 5.0]))
    assert not torch.equal(cold.codes, hot.codes)


def test_guidance_goes_from_no_action_through_the_action_and_beyond(model):
    """Of one player: 1 changes nothing, 0 leaves the action out, and what another player asked for stays theirs."""
    from terrarium.worlds.world_model.rollout import step

    forward = torch.from_numpy(act.action("w")[None])
    state = started(model, 1)[0]
    plain, without, beyond = (logits(model, state, forward, g) for g in (None, 0.0, 3.0))
    torch.testing.assert_close(logits(model, state, forward, 1.0), plain)
    torch.testing.assert_close(beyond - without, 3 * (plain - without), atol=1e-3, rtol=1e-3)
    assert (plain - without).abs().max() > 0.01
    three = step(model.dynamics, state.repeat(3), forward.repeat(3, 1), 0.0, torch.tensor([1.0, 4.0, 1.0]))
    alone = step(model.dynamics, state, forward, 0.0)
    assert torch.equal(three.codes[0], alone.codes[0]) and torch.equal(three.codes[2], alone.codes[0])


def logits(model, state, action, guidance):
    """Those that `rollout.step` chooses from."""
    from terrarium.worlds.world_model.rollout import step

    seen = []
    choose = model.dynamics.choose
    model.dynamics.choose = lambda p, t: seen.append(p.logits) or choose(p, t)
    step(model.dynamics, state, action, 0.0, None if guidance is None else torch.tensor([guidance]))
    del model.dynamics.choose
    return seen[0]
