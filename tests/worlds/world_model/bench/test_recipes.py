"""Recipes of two families through the same comparison. Long walks are noise: their 512 steps are tested elsewhere."""

import json
from contextlib import nullcontext

import numpy as np
import pytest

from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.bench import figures, recipes
from terrarium.worlds.world_model.bench.diamond.train import DiamondConfig
from terrarium.worlds.world_model.bench.recipes import Recipe, affordable, compare
from terrarium.worlds.world_model.evaluation import long
from terrarium.worlds.world_model.evaluation.judged import WINDOWS
from terrarium.worlds.world_model.kinds import world_model_debug
from terrarium.worlds.world_model.rollout import Rollout


def quiet(_):
    return nullcontext(Silent())


@pytest.fixture
def noisy_walks(monkeypatch):
    def noise(model, state, actions):
        frames = np.random.default_rng(0).integers(0, 256, (*actions.shape[:2], 32, 32, 3), np.uint8)
        return Rollout(state.codes, frames, state)

    monkeypatch.setattr(long, "rollout", noise)


def tiny_diamond(base):
    return DiamondConfig(data=base.data, tokenizer=base.tokenizer, channels=(32, 32), batch=2, log_every=1)


def test_two_families_of_recipes_in_one_table(debug_data, debug_tokenizer, tmp_path, monkeypatch, noisy_walks):
    ours = Recipe("tiny", lambda base: world_model_debug(base.data, base.tokenizer))
    monkeypatch.setattr(recipes, "RECIPES", {"ours": ours, "theirs": Recipe("tiny too", tiny_diamond)})
    given = {"data": debug_data, "tokenizer": debug_tokenizer, "out": tmp_path, "seed": 3, "episodes": 1}
    rows = list(compare(["ours", "theirs"], **given, minutes=1, steps=2, progress=quiet))
    assert [(r.recipe, r.steps, r.painter_steps) for r in rows] == [("ours", 2, 6), ("theirs", 2, 0)]
    for row in rows:
        assert row.step_ms > 0 and row.minutes >= 0 and row.parameters > 0
        assert row.figures.keys() == rows[0].figures.keys()
        assert (
            row.figures["retrieval_1"] >= 0 and row.figures["psnr_1"] > 0 and row.figures["memory_drop_2"] is not None
        )
        assert row.figures["frechet_ratio"] is None, "the probe reads larger frames"

    def trained(*_):
        raise AssertionError("what is finished is not trained again")

    monkeypatch.setattr(recipes, "train_world_model", trained)
    monkeypatch.setattr(recipes, "train_diamond", trained)
    again = list(compare(["ours", "theirs"], **given, minutes=1, steps=2, progress=quiet))
    assert [r.figures for r in again] == [r.figures for r in rows]
    assert [r.minutes for r in again] == [r.minutes for r in rows]


def test_unknown_recipes_are_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="unknown recipe 'best': expected some of cpu, "):
        compare(
            ["cpu", "best"],
            data=tmp_path,
            tokenizer=tmp_path,
            out=tmp_path,
            minutes=1,
            steps=1,
            seed=1,
            episodes=1,
            progress=quiet,
        )


def test_time_is_shared_between_dynamics_and_painter(debug_data, debug_tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "seconds_a_step", lambda *_: 0.5)
    monkeypatch.setattr(recipes, "painter_seconds", lambda _: (0.1, 0.4))
    monkeypatch.setattr(recipes, "seconds_of", lambda *_: 2.0)
    base = world_model_debug(str(debug_data), str(debug_tokenizer))
    assert affordable(base, tmp_path, 100) == {"steps": 100, "painter_warm_up": 20, "painter_steps": 120}
    assert affordable(tiny_diamond(base), tmp_path, 100) == {"steps": 50}


def test_a_painters_steps_are_timed(debug_data, debug_tokenizer, monkeypatch):
    monkeypatch.setattr(recipes, "PROBES", 1)
    assert min(recipes.painter_seconds(world_model_debug(str(debug_data), str(debug_tokenizer)))) > 0


def test_figures_of_an_evaluation_and_over_seeds():
    by_window = {w: {"frechet_ratio": i, "two_sample_error": 0.5, "legibility": 1.0} for i, w in enumerate(WINDOWS)}
    one = {
        "judge": {"available": True},
        "judge_share": {w: {"w": 0.5, "jump": 1.0, "s": None} for w in WINDOWS},
        "realism": by_window,
        "counterfactual_retrieval": {"1": 0.25, "4": 0.5},
        "rollout_psnr": {"1": 20.0, "4": 18.0},
        "memory_drop": {"2": 1.0, "circle": None},
        "edge_energy_ratio": {"16": 1.1},
        "noop_churn": 0.0,
    }
    found = figures.figures_of(json.loads(json.dumps(one)))
    assert found["judge_share"] == [0.75] * 4 and found["worst_key"] == [0.5] * 4
    assert found["frechet_ratio"] == [0, 1, 2, 3] and found["memory_drop_circle"] is None
    other = found | {"retrieval_1": 0.75, "frechet_ratio": [2, 3, 4, 5]}
    both = figures.over_seeds([found, other])
    assert both["retrieval_1"] == ([0.5], [0.25]) and both["frechet_ratio"] == ([1, 2, 3, 4], [1] * 4)
    assert "memory_drop_circle" not in both
