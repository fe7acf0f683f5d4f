"""The evaluation as a whole, on a model and a judge of a few training steps."""

import json
import shutil

import numpy as np
import pytest
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.progress import Silent, Stopped
from terrarium.worlds.world_model.evaluation import recipe as ev
from terrarium.worlds.world_model.evaluation.judged import WINDOWS
from terrarium.worlds.world_model.evaluation.retrieval import hold_probes, retrieval
from terrarium.worlds.world_model.evaluation.rollouts import rollout_quality
from terrarium.worlds.world_model.evaluation.states import Phases, find_trials, simulator
from terrarium.worlds.world_model.judge.model import KEYS
from terrarium.worlds.world_model.judge.recipe import train_judge
from terrarium.worlds.world_model.kinds import EvaluateConfig, judge_debug, probe_debug
from terrarium.worlds.world_model.probe.recipe import train_probe
from terrarium.worlds.world_model.rollout import burn_in, load_world_model, rollout, shipped_folder


@pytest.fixture(scope="module")
def recipe_run(debug_model, tmp_path_factory):
    """Of a checkpoint whose frames the shipped judge cannot read."""
    out = tmp_path_factory.mktemp("evaluate")
    previews = []

    class Previews(Silent):
        def preview(self, name, path):
            previews.append((name, path.stat().st_size))

        def file(self, path, caption="", role="result"):
            assert caption and role == "result"
            previews.append((path.name, path.stat().st_size))

    result = ev.evaluate_recipe(EvaluateConfig(checkpoint=str(debug_model), episodes=2, seed=3), out, Previews())
    return result, out / "output", previews


def test_all_groups_are_there_and_are_json(recipe_run):
    result, output, previews = recipe_run
    assert json.loads((output / "evaluation.json").read_text()) == result
    json.dumps(result, allow_nan=False)
    assert set(result["counterfactual_retrieval"]) == {"1", "4"}
    assert set(result["retrieval_by_key"]["4"]) == set(act.PROBES)
    measured = [f"{row}_{m}" for row in ("rollout", "copy_last", "tokenizer") for m in ("psnr", "ssim", "lpips_random")]
    for name in (*measured, "edge_energy_ratio"):
        assert set(result[name]) == {"1", "4", "8", "16"}
    assert set(result["memory_psnr"]) == {"2", "6", "12"}
    assert result["chance"] == pytest.approx(1 / len(act.PROBES)) and 0 <= result["noop_churn"] <= 1
    assert result["precision"] == "fp32", "on every processor"
    assert result["churn_ratio"] >= 0 and result["codes_per_frame_ratio"] > 0
    assert result["parity"]["largest_logit_difference"] < 1e-3 and result["parity"]["same_greedy_codes"] > 0.999
    assert result["yaw"]["simulator"]["px_per_degree"] > 0.2
    assert [name for name, size in previews if size > 1000] == [
        "rollouts",
        "long",
        "sheet",
        "report.html",
        "evaluation.json",
    ]


class Interrupted(Silent):
    """Told to stop at step `at`, or there struck down."""

    def __init__(self, at, struck):
        self.at, self.struck, self.done, self.kept, self.told = at, struck, 0, [], []

    def step(self, step, total, phase=""):
        self.done = step
        if self.struck and step == self.at:
            raise MemoryError

    def stop_requested(self):
        return not self.struck and self.done == self.at

    def checkpoint(self, step, path):
        self.kept.append(path)

    def resumed(self, step):
        self.told.append(step)


def test_one_that_was_interrupted_goes_on_after_its_finished_parts(debug_model, recipe_run, tmp_path):
    config = EvaluateConfig(checkpoint=str(debug_model), episodes=2, seed=3)
    first, second, third = Interrupted(4, struck=True), Interrupted(10, struck=False), Interrupted(99, struck=False)
    with pytest.raises(MemoryError):
        ev.evaluate_recipe(config, tmp_path, first)
    with pytest.raises(Stopped):
        ev.evaluate_recipe(config, tmp_path, second)
    damaged = second.kept[-1] / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    result = ev.evaluate_recipe(config, tmp_path, third)
    made = [[int(path.name.removeprefix("step_")) for path in run.kept] for run in (first, second, third)]
    last = made[1][-1]
    assert made[0] == [1, 2, 3] and made[1] == list(range(4, last + 1)) and made[2][0] == last and last > 5
    assert [run.told for run in (first, second, third)] == [[], [3], [last - 1]]
    assert result == recipe_run[0]
    for name in ("report.html", "long.png", "sheet.png"):
        assert (tmp_path / "output" / name).read_bytes() == (recipe_run[1] / name).read_bytes()


def test_frames_that_the_judge_cannot_read_are_said_so(recipe_run):
    result, output, _ = recipe_run
    assert result["judge_f1"] is None and result["judge_ceiling"] is None and result["frechet_distance"] is None
    reason = "frames of 32x32: the judge that comes with Terrarium reads 64x64"
    assert result["judge"] == {"available": False, "reason": reason}
    assert result["realism"] is None and result["steps_to_divergence"] is None
    no_probe = "frames of 32x32: the probe that comes with Terrarium reads 64x64"
    assert result["probe"] == {"available": False, "reason": no_probe}
    page = (output / "report.html").read_text()
    assert reason in page and no_probe in page


def test_with_a_judge_and_a_probe(debug_model, debug_data, recipe_run, tmp_path, monkeypatch):
    train_judge(judge_debug(str(debug_data)), tmp_path, Silent())
    monkeypatch.setattr(ev, "shipped_judge", lambda: tmp_path / "output")
    train_probe(probe_debug(str(debug_data)), tmp_path / "probe", Silent())
    monkeypatch.setattr(ev, "shipped_probe", lambda: tmp_path / "probe" / "output")
    states = tmp_path / "states"  # what does not depend on judge and probe is there
    shutil.copytree(recipe_run[1].parent / "state", states)
    shutil.rmtree(max(states.iterdir()))
    result = ev.evaluate(debug_model, seed=3, episodes=2, out=tmp_path / "report", states=states)
    assert set(result["judge_f1"]) == set(WINDOWS)
    assert set(result["judge_f1"]["257-512"]) == set(result["judge_ceiling"]) == set(result["judge_floor"]) == set(KEYS)
    assert result["frechet_distance"] >= 0 and result["frechet_distance_real"] >= 0
    figures = {"frechet_ratio", "kid_ratio", "two_sample_error", "legibility"}
    assert set(result["realism"]) == set(result["realism_held"]["w"]) == set(WINDOWS)
    assert set(result["realism"]["17-64"]) == set(result["realism_held"]["s"]["257-512"]) == figures
    assert 0 <= result["steps_to_divergence"] <= 512 and len(result["steps_to_divergence_by_rollout"]) == 4
    page = (tmp_path / "report" / "report.html").read_text()
    assert "F1 of the judge" in page and "Frechet" in page
    without = recipe_run[0]
    own = ("judge", "frechet", "divergence", "realism", "probe")
    same = [k for k in without if not any(part in k for part in own)]
    assert {k: result[k] for k in same} == {k: without[k] for k in same}


@pytest.mark.parametrize("damage", ["missing", "pickle", "cut", "kind"])
def test_foreign_checkpoints_are_refused_with_a_reason(debug_model, debug_tokenizer, tmp_path, damage):
    folder = tmp_path / "checkpoint"
    if damage == "kind":
        with pytest.raises(ValueError, match="holds 'tokenizer' of format 1, expected 'world-model'"):
            load_world_model(debug_tokenizer)
        return
    if damage == "missing":
        with pytest.raises(ValueError, match="expected a checkpoint folder"):
            load_world_model(folder)
        return
    shutil.copytree(debug_model, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(b"\x80\x04pickle" if damage == "pickle" else weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_world_model(folder)


def test_shipped_checkpoint_beats_chance_and_still_pictures():
    """The figures in its evaluation.json belong to the weights beside it, and a small sample agrees with them."""
    folder = shipped_folder()
    recorded = json.loads((folder / "evaluation.json").read_text())
    assert recorded["checkpoint_sha256"] == json.loads((folder / "manifest.json").read_text())["sha256"]
    assert recorded["judge_f1"]["17-64"]["yaw+"] > 2 * recorded["judge_floor"]["yaw+"]
    model, manifest = load_world_model(folder)
    trials = find_trials(simulator(manifest), 11, 3, Phases(Silent(), 0))
    state = burn_in(model, np.stack([t.frames for t in trials]), np.stack([t.actions for t in trials]))
    found = retrieval(model, trials, hold_probes(model, state))
    assert found["counterfactual_retrieval"]["1"] > 5 * recorded["chance"]
    own = rollout(model, state, torch.from_numpy(np.stack([t.walk_actions for t in trials])))
    quality = rollout_quality(model, trials, own.frames)
    assert quality["rollout_psnr"]["8"] > quality["copy_last_psnr"]["8"]
