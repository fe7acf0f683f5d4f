import json
from dataclasses import replace

import pytest

from terrarium.worlds.episodes.kinds import record_debug
from terrarium.worlds.episodes.record import record_dataset
from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.judge.model import KEYS, load_judge
from terrarium.worlds.world_model.judge.recipe import train_judge
from terrarium.worlds.world_model.kinds import judge_debug


class Curve(Silent):
    def __init__(self):
        self.losses = []

    def metrics(self, step, values):
        self.losses.append(values["loss"])


def test_training_lowers_the_loss_and_writes_what_it_measured(debug_data, tmp_path):
    curve = Curve()
    result = train_judge(replace(judge_debug(str(debug_data)), steps=40), tmp_path, curve)
    assert sum(curve.losses[-5:]) < 0.8 * sum(curve.losses[:5])
    judge, manifest = load_judge(tmp_path / "output")
    assert judge.frame_size == (32, 32) and set(manifest["thresholds"]) == set(KEYS)
    assert manifest["held_out_f1"] == result["held_out_f1"]
    assert str(debug_data) not in json.dumps(manifest)


def test_frames_that_the_net_cannot_halve_are_refused(tmp_path):
    record_dataset(replace(record_debug(), width=40), tmp_path, Silent())
    with pytest.raises(ValueError, match="frames of 32x40: the judge needs multiples of 16"):
        train_judge(judge_debug(str(tmp_path / "output")), tmp_path, Silent())
