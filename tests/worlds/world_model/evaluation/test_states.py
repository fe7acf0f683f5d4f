import numpy as np
import pytest

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.progress import Silent, Stopped
from terrarium.worlds.world_model.evaluation import states
from terrarium.worlds.world_model.evaluation.states import Phases, find_trial, find_trials, held_out_seed, simulator
from terrarium.worlds.world_model.fits import FIRST_SEED


@pytest.fixture(scope="module")
def world():
    return BlockWorld(width=32, height=32, terrain="plains")


@pytest.fixture(scope="module")
def trial_seed(world):
    return next(s for s in range(FIRST_SEED, FIRST_SEED + 50) if find_trial(world, s) is not None)


def test_a_state_in_which_a_key_does_nothing_is_passed_over(world, trial_seed, monkeypatch):
    monkeypatch.setattr(act, "probe", lambda name: act.action())  # every key dead
    assert find_trial(world, trial_seed) is None
    monkeypatch.setattr(states, "TRIES", 3)
    with pytest.raises(ValueError, match=r"3 states of plains and only 0 .* expected 1"):
        find_trials(world, 0, 1, Phases(Silent(), 1))


def test_branches_start_from_the_same_state(world, trial_seed):
    trial = find_trial(world, trial_seed)
    again = BlockWorld(width=32, height=32, terrain="plains")
    again.reset(trial_seed)
    for action in trial.actions:
        frame = again.step(action)
    assert np.array_equal(frame, trial.frames[-1])
    assert again.copy_state() == trial.start
    assert np.array_equal(again.step(act.action()), trial.branches[act.PROBES.index("noop")][0])
    world.set_state(trial.start)
    assert all(np.array_equal(world.step(a), f) for a, f in zip(trial.walk_actions, trial.walk_frames, strict=True))


def test_held_out_seeds_lie_beyond_those_of_recordings():
    seeds = {held_out_seed(seed, i) for seed in (0, 7, 2**31 - 1) for i in (0, 1, 95_007)}
    assert len(seeds) == 9 and min(seeds) >= FIRST_SEED


def test_a_checkpoint_that_has_seen_the_held_out_seeds_is_refused():
    data = {"source": {"kind": "blocks", "terrain": "plains"}, "seeds": [0, FIRST_SEED], "frame_size": [32, 32]}
    with pytest.raises(ValueError, match=f"trained on world seed {FIRST_SEED}"):
        simulator({"data": data})
    with pytest.raises(ValueError, match="trained on gamefactory: only block worlds"):
        simulator({"data": data | {"source": {"kind": "gamefactory"}}})


def test_a_stop_request_is_heard_at_the_next_step():
    class Impatient(Silent):
        def stop_requested(self):
            return True

    with pytest.raises(Stopped):
        Phases(Impatient(), 3).step("simulate")
