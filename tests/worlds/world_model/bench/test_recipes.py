"""Recipes of two families through the same comparison. What an evaluation measures is tested elsewhere."""

from contextlib import nullcontext

import numpy as np
import pytest

from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.bench import recipes
from terrarium.worlds.world_model.bench.diamond.train import DiamondConfig
from terrarium.worlds.world_model.bench.recipes import Recipe, affordable, compare
from terrarium.worlds.world_model.evaluation import memory
from terrarium.worlds.world_model.evaluation import recipe as ev
from terrarium.worlds.world_model.evaluation.long import BEFORE, FAR, LOOKS, RANDOM, Looks, Walks
from terrarium.worlds.world_model.kinds import world_model_debug


def quiet(_):
    return nullcontext(Silent())


@pytest.fixture
def short_evaluation(monkeypatch):
    frames = np.random.default_rng(0).integers(0, 256, (2, BEFORE + FAR, 32, 32, 3), np.uint8)
    looks = frames[:, LOOKS]
    walks = Walks(np.zeros((2, FAR, 9), np.float32), frames, frames), {RANDOM: Looks(looks, looks, looks)}
    monkeypatch.setattr(ev, "long_walks", lambda *_: walks)
    monkeypatch.setattr(ev, "reference_clips", lambda *_: frames)
    monkeypatch.setattr(memory, "ways", lambda: {"2": ["yaw-"] * 2 + ["yaw+"] * 2})


def tiny_diamond(base):
    return DiamondConfig(data=base.data, tokenizer=base.tokenizer, channels=(32, 32), batch=2, log_every=1)


def test_two_families_of_recipes_in_one_table(debug_data, debug_tokenizer, tmp_path, monkeypatch, short_evaluation):
    ours = Recipe("tiny", lambda base: world_model_debug(base.data, base.tokenizer))
    monkeypatch.setattr(recipes, "RECIPES", {"ours": ours, "theirs": Recipe("tiny too", tiny_diamond)})
    monkeypatch.setattr(recipes, "step_ms", lambda *_: 1.0)
    given = {"data": debug_data, "tokenizer": debug_tokenizer, "out": tmp_path, "seed": 3, "episodes": 1}
    (theirs,) = compare(["theirs"], **given, minutes=1, steps=2, progress=quiet)
    assert theirs.figures["retrieval_1"] >= 0 and theirs.figures["psnr_1"] > 0
    assert theirs.figures["frechet_ratio"] is None, "the probe reads larger frames"

    def not_again(*_):
        raise AssertionError("what is finished is not trained again")

    monkeypatch.setattr(recipes, "train_diamond", not_again)
    monkeypatch.setattr(recipes, "evaluate", lambda folder, *, load, **_: {"of": type(load(folder)[0]).__name__})
    monkeypatch.setattr(recipes, "figures_of", dict)
    rows = list(compare(["ours", "theirs"], **given, minutes=1, steps=2, progress=quiet))
    assert [(r.recipe, r.steps, r.painter_steps) for r in rows] == [("ours", 2, 6), ("theirs", 2, 0)]
    assert [r.figures["of"] for r in rows] == ["Dynamics", "Diamond"]
    assert rows[0].minutes >= 0 and rows[1].minutes == theirs.minutes
    assert min(r.parameters for r in rows) > 0


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
