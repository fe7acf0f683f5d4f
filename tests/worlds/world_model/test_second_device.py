"""Every recipe, and play, on a device that is not the CPU: a tensor made in the wrong place fails.

tests/second_device.py says what such a device sees, and what it does not.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from second_device import SECOND, without_inference_mode

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.kinds import kinds
from terrarium.worlds.progress import Silent, Stopped
from terrarium.worlds.training.task import Step
from terrarium.worlds.world_model.bench import recipes
from terrarium.worlds.world_model.evaluation import long
from terrarium.worlds.world_model.evaluation import recipe as ev
from terrarium.worlds.world_model.frozen import example
from terrarium.worlds.world_model.judge.recipe import train_judge
from terrarium.worlds.world_model.kinds import judge_debug, tokenizer_debug, world_model_debug
from terrarium.worlds.world_model.live import LiveModel
from terrarium.worlds.world_model.losses import Losses
from terrarium.worlds.world_model.quantise import EMAVQ
from terrarium.worlds.world_model.rollout import Rollout, load_world_model, step
from terrarium.worlds.world_model.tokenizer import load_tokenizer
from terrarium.worlds.world_model.train import load_clips, new_model, train_world_model
from terrarium.worlds.world_model.train_tokenizer import train_tokenizer
from terrarium.worlds.world_model.views import camera_of

PRESETS = kinds()["world-model.train"].presets
FORMS = {
    "soft": {"soft": 1.0},
    "echo, contrast of actions, recent states": {"echo": 0.2, "action_contrast": 0.2, "recent": 2},
    "paths, reset before": {"film": "paths", "reset": "before"},
    "uniform, no flow": {"film": "uniform", "flow": False, "painter": False},
    "moving camera": {"moving_camera": True, "true_flow": 1.0},
    "codes alone": {"moving": False, "margin": 0},
    "teacher forcing": {"rollout_fraction": 0.0, "refine": 0.0, "blur": 0.0},
}
SMALL = {"channels": 16, "layers": 2, "batch": 4, "frames": 6, "burn_in": 3, "horizon": 2}


class Stop(Silent):
    """Asks to stop after the first step."""

    def __init__(self):
        self.at, self.resumed_at = 0, None

    def step(self, step, total, phase=""):
        self.at = step

    def stop_requested(self):
        return self.at == 1

    def resumed(self, step):
        self.resumed_at = step


@pytest.fixture(autouse=True)
def second(monkeypatch):
    monkeypatch.setenv("TERRARIUM_DEVICE", str(SECOND))
    without_inference_mode(monkeypatch)


@pytest.mark.parametrize("form", [{"quantiser": "fsq"}, {"quantiser": "ema_vq"}, {"perceptual": 0.5}], ids=str)
def test_a_tokenizer_trains(form, debug_data, tmp_path):
    config = replace(tokenizer_debug(str(debug_data)), steps=2, **form)
    assert train_tokenizer(config, tmp_path, Silent())["codes_used"] > 0


def step_through(config, data, tokenizer, out):
    """Forward and backward, with gradients to the end."""
    dataset = open_dataset(data)
    tokenizer, _ = load_tokenizer(tokenizer)
    clips = load_clips(dataset, "train", tokenizer, config, out)
    model = new_model(config, dataset, tokenizer)
    step = Step(0, 1, (0, 1), np.random.default_rng(0))
    losses = Losses(model, config, camera_of(dataset.manifest))
    loss, _ = losses(step, *(x.to(SECOND) for x in clips.sample(step.rng, config.batch)))
    loss.backward()
    assert loss.item() > 0 and all(p.grad.device == SECOND for p in model.parameters() if p.grad is not None)


def test_dead_codes_start_anew():
    quantiser = EMAVQ(8, 4, dead_after=1).to(SECOND).train()
    for _ in range(2):
        quantiser(torch.randn(2, 4, 1, 1, device=SECOND))
    assert quantiser.codebook.isfinite().all()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_takes_a_step(preset, debug_data, debug_tokenizer, tmp_path):
    config = replace(PRESETS[preset](str(debug_data), str(debug_tokenizer)), **SMALL)
    step_through(config, debug_data, debug_tokenizer, tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_model_takes_a_step(form, debug_data, debug_tokenizer, tmp_path):
    config = replace(world_model_debug(str(debug_data), str(debug_tokenizer)), rollout_fraction=1.0)
    step_through(replace(config, **FORMS[form]), debug_data, debug_tokenizer, tmp_path)


def test_a_run_is_stopped_and_goes_on(debug_data, debug_tokenizer, debug_model, tmp_path):
    config = replace(world_model_debug(str(debug_data), str(debug_tokenizer)), start=str(debug_model), steps=2)
    with pytest.raises(Stopped):
        train_world_model(config, tmp_path, Stop())
    rest = Stop()
    rest.at = 1
    train_world_model(config, tmp_path, rest)
    assert rest.resumed_at == 1


def test_a_judge_trains_and_reads(debug_data, tmp_path):
    result = train_judge(replace(judge_debug(str(debug_data)), steps=2), tmp_path, Silent())
    assert result["held_out_f1"]


def test_an_evaluation(debug_model, debug_data, tmp_path, monkeypatch):
    """But for the 512 steps of its long rollouts, which are no others than the 16 of its short ones."""

    def noise(model, state, actions):
        frames = np.random.default_rng(0).integers(0, 256, (*actions.shape[:2], 32, 32, 3), np.uint8)
        return Rollout(state.codes, frames, state)

    monkeypatch.setattr(long, "rollout", noise)
    train_judge(replace(judge_debug(str(debug_data)), steps=2), tmp_path, Silent())
    monkeypatch.setattr(ev, "shipped_judge", lambda: tmp_path / "output")
    result = ev.evaluate(debug_model, seed=3, episodes=1)
    assert result["judge"]["available"] and result["parity"]["same_greedy_codes"] > 0.99


def test_a_recipe_is_timed(debug_data, debug_tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "PROBES", 1)
    config = world_model_debug(str(debug_data), str(debug_tokenizer))
    assert recipes.seconds_a_step(config, tmp_path) > 0


def test_a_frozen_steps_example_is_on_the_models_device(debug_model):
    dynamics, _ = load_world_model(debug_model)
    assert step(dynamics, *example(dynamics, 2)).picture.device == SECOND


def test_live_play(debug_model):
    model = LiveModel.load(debug_model)
    states = [model.start(*model.context(model.simulator(), seed)) for seed in (1, 2)]
    held = np.stack([act.action("w"), act.action(yaw=1)])
    for guidance in (None, np.array([1.0, 2.0], np.float32)):
        frames = model.step(states, held, np.array([0.0, 1.0]), guidance)
        assert frames.shape == (2, 32, 32, 3) and states[0].picture.device == SECOND
