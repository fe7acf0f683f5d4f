"""Every recipe and play on a device other than the CPU (second_device.py): a tensor made in the wrong place fails."""

from dataclasses import replace

import numpy as np
import pytest
from second_device import SECOND

from worlds.blocks import actions as act
from worlds.kinds import kinds
from worlds.progress import Silent, Stopped
from worlds.world_model.evaluation import recipe as ev
from worlds.world_model.judge.recipe import train_judge
from worlds.world_model.kinds import judge_debug, tokenizer_debug, world_model_debug
from worlds.world_model.live import LiveModel
from worlds.world_model.train import train_world_model
from worlds.world_model.train_tokenizer import train_tokenizer

PRESETS = kinds()["world-model.train"].presets
FORMS = {
    "soft": {"soft": 1.0},
    "echo, contrast of actions, recent states": {"echo": 0.2, "action_contrast": 0.2, "recent": 2},
    "paths, reset before": {"film": "paths", "reset": "before"},
    "uniform, no flow": {"film": "uniform", "flow": False},
    "codes alone": {"moving": False, "margin": 0},
    "teacher forcing": {"rollout_fraction": 0.0, "refine": 0.0, "blur": 0.0},
}
SMALL = {"channels": 16, "layers": 2, "steps": 2, "batch": 4, "frames": 6, "burn_in": 3, "horizon": 2, "log_every": 1}


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


@pytest.mark.parametrize("form", [{"quantiser": "fsq"}, {"quantiser": "ema_vq"}, {"perceptual": 0.5}], ids=str)
def test_a_tokenizer_trains(form, debug_data, tmp_path):
    config = replace(tokenizer_debug(str(debug_data)), steps=2, **form)
    assert train_tokenizer(config, tmp_path, Silent())["codes_used"] > 0


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_trains(preset, debug_data, debug_tokenizer, tmp_path):
    config = PRESETS[preset](str(debug_data), str(debug_tokenizer))
    train_world_model(replace(config, **SMALL), tmp_path, Silent())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_model_trains(form, debug_data, debug_tokenizer, tmp_path):
    config = world_model_debug(str(debug_data), str(debug_tokenizer))
    train_world_model(replace(config, **SMALL | {"rollout_fraction": 1.0} | FORMS[form]), tmp_path, Silent())


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
    train_judge(replace(judge_debug(str(debug_data)), steps=2), tmp_path, Silent())
    monkeypatch.setattr(ev, "shipped_judge", lambda: tmp_path / "output")
    result = ev.evaluate(debug_model, seed=3, episodes=2)
    assert result["judge"]["available"]


def test_live_play(debug_model):
    model = LiveModel.load(debug_model)
    states = [model.start(*model.context(model.simulator(), seed)) for seed in (1, 2)]
    held = np.stack([act.action("w"), act.action(yaw=1)])
    for guidance in (None, np.array([1.0, 2.0], np.float32)):
        frames = model.step(states, held, np.array([0.0, 1.0]), guidance)
        assert frames.shape == (2, 32, 32, 3) and states[0].picture.device == SECOND
