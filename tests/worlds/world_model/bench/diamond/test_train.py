"""Training of DIAMOND's recipe: learns, goes on exactly where it was, is loaded again."""

from dataclasses import replace

import pytest
import torch

from terrarium.worlds.progress import Silent, Stopped
from terrarium.worlds.world_model.bench.diamond.train import DiamondConfig, load_diamond, train_diamond
from terrarium.worlds.world_model.rollout import load_world_model


@pytest.fixture(scope="module")
def config(debug_data, debug_tokenizer):
    return DiamondConfig(
        data=str(debug_data), tokenizer=str(debug_tokenizer), channels=(32, 32), steps=4, batch=2, log_every=1
    )


class StopsAt(Silent):
    def __init__(self, at):
        self.at, self.done, self.losses, self.resumed_at = at, 0, [], None

    def step(self, step, total, phase=""):
        self.done = step

    def metrics(self, step, values):
        self.losses.append(values["loss"])

    def resumed(self, step):
        self.resumed_at = step

    def stop_requested(self):
        return self.done == self.at


def test_a_stopped_run_ends_as_one_that_was_not(config, tmp_path):
    whole = StopsAt(None)
    result = train_diamond(config, tmp_path / "whole", whole)
    assert result["steps"] == 4 and len(whole.losses) == 4
    with pytest.raises(Stopped):
        train_diamond(config, tmp_path / "parts", StopsAt(2))
    rest = StopsAt(None)
    train_diamond(config, tmp_path / "parts", rest)
    assert rest.resumed_at == 2 and rest.losses == whole.losses[2:]
    a, b = (load_diamond(tmp_path / run / "output")[0].state_dict() for run in ("whole", "parts"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    with pytest.raises(ValueError, match=r"seed 1, was 0"):
        train_diamond(replace(config, seed=1), tmp_path / "parts", Silent())


def test_frames_that_cannot_be_halved_are_refused(config, tmp_path):
    with pytest.raises(ValueError, match="frames of 32x32: 7 levels expect sides that are multiples of 64"):
        train_diamond(replace(config, channels=(32,) * 7), tmp_path, Silent())


def test_it_is_no_world_model_of_ours(config, tmp_path, debug_model):
    train_diamond(replace(config, steps=1), tmp_path, Silent())
    with pytest.raises(ValueError, match="holds 'diamond' of format 1, expected 'world-model'"):
        load_world_model(tmp_path / "output")
    with pytest.raises(ValueError, match="expected 'diamond'"):
        load_diamond(debug_model)
