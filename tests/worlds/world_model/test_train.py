"""The recipes as a whole: a run is a function of its config, killed or not."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.episodes.kinds import record_debug
from terrarium.worlds.episodes.record import record_dataset
from terrarium.worlds.kinds import kinds
from terrarium.worlds.progress import Silent, Stopped
from terrarium.worlds.world_model.kinds import tokenizer_debug, world_model_debug
from terrarium.worlds.world_model.losses import Losses, horizon
from terrarium.worlds.world_model.rollout import load_world_model
from terrarium.worlds.world_model.tokenizer import load_tokenizer
from terrarium.worlds.world_model.train import new_model, train_world_model
from terrarium.worlds.world_model.train_tokenizer import train_tokenizer

TESTS = Path(__file__).resolve().parents[2]


class Log(Silent):
    """Keeps the loss curve; asks to stop after `stop_at` steps."""

    def __init__(self, stop_at=None):
        self.curve, self.stop_at, self.at, self.resumed_at, self.states = {}, stop_at, 0, None, []
        self.first_curve = {}  # of the tokenizer that is trained first

    def step(self, step, total, phase=""):
        self.at = step

    def metrics(self, step, values):
        if loss := values.get("loss", values.get("painter_loss")):
            self.curve[step] = loss
        if "tokenizer/loss" in values:
            self.first_curve[step] = values["tokenizer/loss"]

    def checkpoint(self, step, path):
        self.states.append(step)

    def resumed(self, step):
        self.resumed_at = step

    def stop_requested(self):
        return self.at == self.stop_at


@pytest.mark.parametrize("stop_at", [4, 10, 11, 12, 14], ids=lambda n: f"after {n} of 10, 2 and 4")
def test_stopped_and_resumed_run_repeats_the_undisturbed_one(
    debug_data, debug_tokenizer, tmp_path, stop_at, monkeypatch
):
    """The dynamics' steps (by compiled programs, as in longer runs), the painter's warm-up, the painter's walks."""
    if stop_at < 10:
        monkeypatch.setattr("terrarium.worlds.world_model.train.WORTH_PROGRAMS", 1)
    config = world_model_debug(str(debug_data), str(debug_tokenizer))
    whole, first, second = Log(), Log(stop_at), Log()
    train_world_model(config, tmp_path / "whole", whole)
    with pytest.raises(Stopped):
        train_world_model(config, tmp_path / "parts", first)
    train_world_model(config, tmp_path / "parts", second)
    assert second.resumed_at == stop_at
    assert first.curve | second.curve == whole.curve and len(whole.curve) == 16
    a, b = (load_file(tmp_path / d / "output" / "model.safetensors") for d in ("whole", "parts"))
    assert all(a[k].equal(b[k]) for k in a)


@pytest.mark.parametrize("stop_at", [7, 24], ids=["in the tokenizer", "after it"])
def test_without_a_tokenizer_one_is_trained_first_and_resumed(debug_data, tmp_path, stop_at):
    """Its 20 steps come first; the model's 16 are counted on from there, so no two states share a step."""
    config = world_model_debug(str(debug_data))
    whole, first, second = Log(), Log(stop_at), Log()
    train_world_model(config, tmp_path / "whole", whole)
    assert list(whole.first_curve) == list(range(1, 21)) and list(whole.curve) == list(range(21, 37))
    assert whole.states == [20, 30, 32, 36] and whole.at == 36
    with pytest.raises(Stopped):
        train_world_model(config, tmp_path / "parts", first)
    train_world_model(config, tmp_path / "parts", second)
    assert second.resumed_at == stop_at
    assert first.curve | second.curve == whole.curve
    assert first.first_curve | second.first_curve == whole.first_curve
    a, b = (load_file(tmp_path / d / "output" / "model.safetensors") for d in ("whole", "parts"))
    assert all(a[k].equal(b[k]) for k in a)


def test_a_stop_is_obeyed_while_frames_are_tokenised(debug_data, debug_tokenizer, tmp_path):
    with pytest.raises(Stopped):
        train_world_model(world_model_debug(str(debug_data), str(debug_tokenizer)), tmp_path, Log(stop_at=0))
    assert not list(tmp_path.glob("codes_*"))


def test_run_killed_within_the_horizon_curriculum_repeats_the_undisturbed_one(debug_data, debug_tokenizer, tmp_path):
    """SIGKILL after step 4 of the dynamics' 10, where rollouts have become longer once and will again."""
    config = replace(
        world_model_debug(str(debug_data), str(debug_tokenizer)), frames=8, horizon=4, rollout_fraction=1.0
    )
    whole, rest = Log(), Log()
    train_world_model(config, tmp_path / "whole", whole)
    kill_at(4, replace(config, checkpoint_every_s=1e-9), tmp_path / "killed")
    train_world_model(config, tmp_path / "killed", rest)
    assert rest.resumed_at == 3
    assert [horizon(index / config.steps, config.horizon) for index in (0, 3, 9)] == [1, 2, 4]
    assert rest.curve == {step: loss for step, loss in whole.curve.items() if step > 3}
    a, b = (load_file(tmp_path / d / "output" / "model.safetensors") for d in ("whole", "killed"))
    assert all(a[k].equal(b[k]) for k in a)


def kill_at(step, config, out):
    """Runs the recipe in another process, which kills itself before it has saved that step."""
    file = out.with_suffix(".json")
    file.write_text(json.dumps(asdict(config)))
    script = str(TESTS / "training_process.py")
    env = os.environ | {"PYTHONPATH": str(TESTS.parent), "KILL_AT": str(step)}
    died = subprocess.run([sys.executable, script, str(file), str(out), "0"], env=env, timeout=240)
    assert died.returncode == -signal.SIGKILL


def test_a_batch_in_parts_is_the_batch(debug_data, debug_tokenizer, tmp_path, in_fp32):
    """The dynamics without what is drawn anew for each part: corruption, blur, codes, left-out actions."""
    tokenizer = tokenizer_debug(str(debug_data))
    dynamics = replace(
        world_model_debug(str(debug_data), str(debug_tokenizer)),
        painter=False, corruption=0.0, rollout_fraction=0.0, action_dropout=0.0, changed_weight=1.0, composed=0.0,
        contrast=0.0, blur=0.0, refine=0.0,
    )  # fmt: skip
    for recipe, config in ((train_tokenizer, tokenizer), (train_world_model, dynamics)):
        whole, parts = Log(), Log()
        recipe(replace(config, steps=4), tmp_path / config.kind / "whole", whole)
        recipe(replace(config, steps=4, accumulate=4), tmp_path / config.kind / "parts", parts)
        assert parts.curve == pytest.approx(whole.curve, rel=1e-4)


def test_damaged_state_falls_back_to_the_one_before(debug_data, debug_tokenizer, tmp_path):
    config = replace(world_model_debug(str(debug_data), str(debug_tokenizer)), checkpoint_every_s=1e-9, steps=3)
    with pytest.raises(Stopped):
        train_world_model(config, tmp_path, Log(stop_at=2))
    newest = tmp_path / "state" / "step_000000002" / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:-8])
    log = Log()
    train_world_model(config, tmp_path, log)
    assert log.resumed_at == 1


def test_tokenizer_with_ema_codebook_resumes_too(debug_data, tmp_path):
    config = replace(tokenizer_debug(str(debug_data)), quantiser="ema_vq", steps=8)
    whole, second = Log(), Log()
    train_tokenizer(config, tmp_path / "whole", whole)
    with pytest.raises(Stopped):
        train_tokenizer(config, tmp_path / "parts", Log(stop_at=3))
    train_tokenizer(config, tmp_path / "parts", second)
    assert second.curve == {k: v for k, v in whole.curve.items() if k > 3}


def test_state_of_another_config_is_refused(debug_data, debug_tokenizer, tmp_path):
    config = world_model_debug(str(debug_data), str(debug_tokenizer))
    with pytest.raises(Stopped):
        train_world_model(config, tmp_path, Log(stop_at=2))
    with pytest.raises(ValueError, match=r"belongs to another config or dataset \(lr 0.5, was 0.0015\)"):
        train_world_model(replace(config, lr=0.5), tmp_path, Silent())


def test_wrong_dataset_for_a_tokenizer_shows_both_sizes(debug_tokenizer, tmp_path):
    record_dataset(replace(record_debug(), width=48), tmp_path / "wide", Silent())
    config = world_model_debug(str(tmp_path / "wide" / "output"), str(debug_tokenizer))
    with pytest.raises(ValueError, match=r"tokenizer .* was trained on frames of 32x32, the dataset has 48x32"):
        kinds()["world-model.train"].run(config, tmp_path / "out", Silent())


def test_a_trained_model_is_gone_on_from(debug_data, debug_tokenizer, tmp_path):
    """Without learning its weights stay and its painter begins anew; its own tokenizer is read from its folder, and any
    other is refused."""
    config = world_model_debug(str(debug_data), str(debug_tokenizer))
    train_world_model(config, tmp_path / "first", Silent())
    first = tmp_path / "first" / "output"
    still = replace(config, start=str(first), tokenizer=str(first), lr=0.0, painter_lr=0.0)
    train_world_model(still, tmp_path / "second", Silent())
    a, b = (load_file(folder / "model.safetensors") for folder in (first, tmp_path / "second" / "output"))
    assert {k for k in a if not a[k].equal(b[k])} <= {k for k in a if k.startswith("painter.")}
    assert a["painter.out.weight"].any() and not b["painter.out.weight"].any(), "the painter starts anew"
    train_tokenizer(replace(tokenizer_debug(str(debug_data)), seed=1), tmp_path / "other", Silent())
    with pytest.raises(ValueError, match="was trained with another tokenizer"):
        train_world_model(replace(still, tokenizer=str(tmp_path / "other" / "output")), tmp_path / "third", Silent())
    with pytest.raises(ValueError, match="this model wants"):
        train_world_model(replace(still, channels=8), tmp_path / "fourth", Silent())


def test_a_painter_is_trained_for_a_model_that_stays(debug_data, debug_model, tmp_path):
    config = replace(world_model_debug(str(debug_data)), start=str(debug_model), steps=0)
    log = Log()
    train_world_model(config, tmp_path, log)
    before, after = (load_file(folder / "model.safetensors") for folder in (debug_model, tmp_path / "output"))
    assert list(log.curve) == [1, 2, 3, 4, 5, 6]
    assert {k for k in before if not before[k].equal(after[k])} <= {k for k in before if k.startswith("painter.")}
    assert after["painter.out.weight"].any()
    model, manifest = load_world_model(tmp_path / "output")
    assert model.painter is not None and manifest["painter"] is True and manifest["dynamics"]["start"] == "-"
    with pytest.raises(ValueError, match="nothing to do"):
        replace(config, start=None)


def test_without_a_painter_there_is_none(debug_data, debug_tokenizer, tmp_path):
    config = replace(world_model_debug(str(debug_data), str(debug_tokenizer)), painter=False)
    log = Log()
    train_world_model(config, tmp_path, log)
    model, manifest = load_world_model(tmp_path / "output")
    assert len(log.curve) == config.steps and manifest["painter"] is False and model.painter is None


def test_action_contrast_is_a_guess_until_actions_differ(debug_data, debug_tokenizer):
    """All four actions the same: nothing to tell apart, no loss. Four others: a quarter each, and a gradient."""
    config = replace(world_model_debug(str(debug_data), str(debug_tokenizer)), action_contrast=1.0)
    dataset = open_dataset(debug_data)
    model = new_model(config, dataset, load_tokenizer(debug_tokenizer)[0])
    codes, pictures = torch.randint(64, (4, 5, *model.grid)), torch.rand(4, 5, 3, 32, 32) - 0.5
    contrast = Losses(model, config)._action_contrast
    assert contrast(codes, pictures, torch.zeros(4, 4, model.actions), 4) == 0
    loss = contrast(codes, pictures, torch.randn(4, 4, model.actions), 4)
    assert loss.item() == pytest.approx(math.log(4), abs=0.2)
    loss.backward()
    assert model.stack[0].input.shift.linear.weight.grad.abs().max() > 0


def test_learning_lowers_the_loss(debug_data, debug_tokenizer, tmp_path):
    config = world_model_debug(str(debug_data), str(debug_tokenizer))
    config = replace(config, steps=30, rollout_fraction=0.0, painter=False)
    log = Log()
    train_world_model(config, tmp_path, log)
    losses = [v for _, v in sorted(log.curve.items())]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_checkpoint_tells_what_it_was_made_from(debug_model):
    manifest = json.loads((debug_model / "manifest.json").read_text())
    assert manifest["kind"] == "world-model" and manifest["data"]["frame_size"] == [32, 32]
    assert manifest["dynamics"]["data"] == "-" and "/" not in manifest["tokenizer"]["data"]


def test_horizon_ends_at_the_longest():
    assert [horizon(done, 6) for done in (0.0, 0.2, 0.4, 0.5, 1.0)] == [1, 2, 4, 6, 6]


def test_horizon_grows_by_doubling():
    seen = [horizon(done / 100, 8) for done in range(100)]
    assert seen == sorted(seen) and set(seen) == {1, 2, 4, 8} and seen[60] == 8
