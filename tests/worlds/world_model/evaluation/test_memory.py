import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.evaluation import memory as module
from terrarium.worlds.world_model.evaluation.states import Phases, find_trials
from terrarium.worlds.world_model.rollout import Rollout, burn_in, load_world_model


@pytest.fixture(scope="module")
def found(debug_model):
    """A model, the simulator, two states, and the model's memory of them."""
    model, _ = load_world_model(debug_model)
    world = BlockWorld(width=32, height=32, terrain="plains")
    trials = find_trials(world, 3, 2, Phases(Silent(), 9))
    state = burn_in(model, np.stack([t.frames for t in trials]), np.stack([t.actions for t in trials]))
    return model, world, trials, state


def test_every_way_has_a_figure(found):
    result = module.memory(*found)
    assert set(result["memory_psnr"]) == {"2", "6", "12"}
    assert set(result["memory_drop"]) == {"2", "6", "12", "circle", "there_and_back"}


def test_a_perfect_memory_is_better_than_the_tokenizer(found, monkeypatch):
    _, world, trials, _ = found

    def simulated(model, state, actions):
        frames = []
        for trial, along in zip(trials, actions.numpy(), strict=True):
            world.set_state(trial.start)
            frames.append(np.stack([world.step(a) for a in along]))
        return Rollout(torch.zeros(0), np.stack(frames), state)

    monkeypatch.setattr(module, "rollout", simulated)
    drops = [v for v in module.memory(*found)["memory_drop"].values() if v is not None]
    assert drops and all(v < -10 for v in drops), "the simulator's own picture is the first again"


def test_where_the_simulator_does_not_come_back_there_is_no_figure(found, monkeypatch):
    monkeypatch.setattr(module, "AHEAD", 1)
    monkeypatch.setattr(module, "ways", lambda: {"2": ["yaw-"] * 2})
    result = module.memory(*found)
    assert result["memory_drop"] == {"2": None} and result["memory_psnr"]["2"] > 0
