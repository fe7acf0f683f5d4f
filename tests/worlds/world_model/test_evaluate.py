import json
import shutil

import numpy as np
import pytest

from worlds.blocks.world import BlockWorld
from worlds.progress import Silent
from worlds.world_model import actions as act
from worlds.world_model import evaluate as ev
from worlds.world_model.rollout import load_world_model, shipped_folder


@pytest.fixture(scope="module")
def result(debug_model, tmp_path_factory):
    strip = tmp_path_factory.mktemp("strip") / "rollouts.png"
    found = ev.evaluate(debug_model, seed=3, episodes=2, strip=strip)
    assert strip.stat().st_size > 1000
    return found


def test_keys_of_the_evaluation(result):
    assert set(result["counterfactual_retrieval"]) == {"1", "4"}
    assert set(result["retrieval_by_key"]["4"]) == set(act.PROBES)
    for name in ("rollout_psnr", "copy_last_psnr", "tokenizer_psnr", "edge_energy_ratio"):
        assert set(result[name]) == {"1", "4", "8", "16"}
    assert result["chance"] == pytest.approx(1 / len(act.PROBES)) and 0 <= result["noop_churn"] <= 1
    json.dumps(result, allow_nan=False)


def test_same_seed_same_numbers(debug_model, result):
    assert ev.evaluate(debug_model, seed=3, episodes=2) == result


def test_retrieval_has_a_ceiling_a_floor_and_fair_ties():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 255, (10, 500))
    assert ev._nearest_is_own(truth + rng.normal(size=truth.shape), truth).mean() == 1
    always_the_first = np.broadcast_to(truth[0], truth.shape)
    assert ev._nearest_is_own(always_the_first, truth).mean() == pytest.approx(0.1)
    assert ev._nearest_is_own(truth, np.zeros_like(truth)).mean() == pytest.approx(0.1)


def test_a_state_in_which_a_key_does_nothing_is_passed_over(monkeypatch):
    world = BlockWorld(width=32, height=32, terrain="plains")
    seeds = [s for s in range(ev.FIRST_SEED, ev.FIRST_SEED + 4) if ev._trial(world, s) is not None]
    assert seeds
    monkeypatch.setattr(act, "probe", lambda name: act.action())  # every key dead
    assert ev._trial(world, seeds[0]) is None


def test_branches_start_from_the_same_state():
    world = BlockWorld(width=32, height=32, terrain="plains")
    trial = next(t for t in (ev._trial(world, ev.FIRST_SEED + i) for i in range(50)) if t is not None)
    noop = trial.branches[act.PROBES.index("noop")]
    again = BlockWorld(width=32, height=32, terrain="plains")
    seed = next(i for i in range(50) if ev._trial(world, ev.FIRST_SEED + i) is not None)
    again.reset(ev.FIRST_SEED + seed)
    for action in trial.actions:
        frame = again.step(action)
    assert np.array_equal(frame, trial.frames[-1])
    assert np.array_equal(again.step(act.action()), noop[0])


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


def test_recipe_writes_the_evaluation(debug_model, tmp_path):
    from worlds.configs import EvaluateConfig

    config = EvaluateConfig(checkpoint=str(debug_model), episodes=1, seed=1)
    found = ev.evaluate_recipe(config, tmp_path, Silent())
    assert json.loads((tmp_path / "output" / "evaluation.json").read_text()) == found


def test_shipped_checkpoint_beats_chance_and_still_pictures():
    """The figures in its evaluation.json belong to the weights beside it, and a small sample agrees with them."""
    folder = shipped_folder()
    recorded = json.loads((folder / "evaluation.json").read_text())
    assert recorded["checkpoint_sha256"] == json.loads((folder / "manifest.json").read_text())["sha256"]
    found = ev.evaluate(folder, seed=11, episodes=3)
    assert found["counterfactual_retrieval"]["1"] > 5 * found["chance"]
    assert found["rollout_psnr"]["8"] > found["copy_last_psnr"]["8"]
