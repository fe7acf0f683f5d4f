import json
import shutil
from dataclasses import replace

import pytest

from terrarium.worlds.episodes.kinds import record_debug
from terrarium.worlds.episodes.record import record_dataset
from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.kinds import probe_debug
from terrarium.worlds.world_model.probe.model import CLASSES, load_probe
from terrarium.worlds.world_model.probe.recipe import train_probe


class Curve(Silent):
    def __init__(self):
        self.losses = []

    def metrics(self, step, values):
        self.losses.append(values["loss"])


def test_training_lowers_the_loss_and_writes_what_it_measured(debug_data, tmp_path):
    curve = Curve()
    result = train_probe(replace(probe_debug(str(debug_data)), steps=30), tmp_path, curve)
    assert sum(curve.losses[-5:]) < 0.8 * sum(curve.losses[:5])
    probe, manifest = load_probe(tmp_path / "output")
    assert probe.frame_size == (32, 32) and set(manifest["held_out_accuracy"]) == set(CLASSES)
    assert manifest["held_out_accuracy"] == result["held_out_accuracy"]
    assert 0 < manifest["sure"] == result["sure"] < 1
    assert str(debug_data) not in json.dumps(manifest)


def test_frames_that_the_net_cannot_halve_are_refused(tmp_path):
    record_dataset(replace(record_debug(), width=36), tmp_path, Silent())
    with pytest.raises(ValueError, match="frames of 32x36: the probe needs multiples of 8"):
        train_probe(probe_debug(str(tmp_path / "output")), tmp_path, Silent())


def test_pictures_without_labels_are_refused(debug_data, tmp_path):
    manifest = json.loads((debug_data / "manifest.json").read_text())
    other = tmp_path / "data"
    other.mkdir()
    shutil.copytree(debug_data / "episodes", other / "episodes")
    (other / "manifest.json").write_text(json.dumps(manifest | {"source": {"kind": "gamefactory"}}))
    with pytest.raises(ValueError, match="shows gamefactory: expected block worlds"):
        train_probe(probe_debug(str(other)), tmp_path, Silent())
