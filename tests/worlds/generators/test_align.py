"""Recipe `generator.align`, on a tiny untrained generator: every method, exact resume, refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from training_toys import Log

from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.generators import objectives
from terrarium.worlds.generators.align import align_generator, prompts_of
from terrarium.worlds.generators.kinds import AlignConfig, align_debug
from terrarium.worlds.generators.lora import adapt
from terrarium.worlds.generators.model import load_generator
from terrarium.worlds.generators.objectives import Follow, chosen
from terrarium.worlds.generators.pareto import load_measured
from terrarium.worlds.generators.rewards import Palette, Wish
from terrarium.worlds.generators.weighted import weighted
from terrarium.worlds.kinds import kinds
from terrarium.worlds.progress import RecipeError, Silent, Stopped
from terrarium.worlds.training.lora import merge


def debug(folder, **given) -> AlignConfig:
    """Budgets that nothing exceeds, so that a run goes on to its end."""
    free = {"fd_budget": 1e6, "diversity_budget": 0.0, "worlds": 4, "unet_reg_scale": 1e-3}
    return replace(align_debug(), generator=str(folder), **(free | given))


@pytest.mark.parametrize("method", objectives.METHODS)
def test_every_method_runs_and_makes_a_generator(method, folder, tmp_path) -> None:
    config = debug(folder, method=method, steps=2, draft_steps=2)
    result = kinds()["generator.align"].run(config, tmp_path, log := Log())
    assert set(result["base"]) == {"reward", "fd", "diversity", "class_accuracy"} == set(result["best"])
    assert (
        all("reward" in log.values[step] for step in (1, 2)) and log.values[2]["val_reward"] == result["best"]["reward"]
    )
    made, manifest = load_generator(tmp_path / "output")
    assert manifest["aligned"]["measured"] == result["best"]
    pareto = json.loads((tmp_path / "pareto.json").read_text())
    assert pareto["steps"] == manifest["aligned"]["pareto"] and pareto["base"] == result["base"]
    assert len(pareto["prompts"]) == 4 and pareto["best"] == result["step"] == 2
    base = load_file(folder / "model.safetensors")
    assert made.state_dict().keys() == base.keys()
    assert any(not made.state_dict()[k].equal(base[k]) for k in base)


def test_a_run_that_was_stopped_goes_on_as_it_would_have(folder, tmp_path) -> None:
    whole = align_generator(debug(folder), tmp_path / "whole", log := Log())
    with pytest.raises(Stopped):
        align_generator(debug(folder), tmp_path / "pieces", Log(stop_at=3))
    assert align_generator(debug(folder), tmp_path / "pieces", again := Log()) == whole
    assert again.resumed_at == 3 and again.values[4] == log.values[4]
    weights = [load_file(tmp_path / name / "output" / "model.safetensors") for name in ("whole", "pieces")]
    assert all(weights[0][k].equal(weights[1][k]) for k in weights[0])


def test_worlds_can_be_drawn_from_every_measurement(folder, tmp_path) -> None:
    align_generator(debug(folder), tmp_path, Silent())
    output = tmp_path / "output"
    best, manifest = load_measured(output, None)
    torch.testing.assert_close(load_measured(output, manifest["aligned"]["step"])[0].state_dict(), best.state_dict())
    first, last = (load_measured(output, step)[0].state_dict() for step in (2, 4))
    changed = load_generator(folder)[0]
    adapt(changed, align_debug().rank)
    for name, kept in load_file(tmp_path / "measured" / "2.safetensors").items():
        changed.get_parameter(name).data.copy_(kept)
    merge(changed)
    torch.testing.assert_close(changed.state_dict(), first)
    assert any(not first[k].equal(last[k]) for k in first)
    with pytest.raises(ValueError, match="measurement 3: expected one of 2, 4"):
        load_measured(output, 3)
    with pytest.raises(ValueError, match=r"adapters.safetensors is missing"):
        load_measured(folder, 2)
    sheet = Image.open(tmp_path / "after.png")
    assert sheet.size == Image.open(tmp_path / "before.png").size == (12 * 128, 4 * 128)


def test_it_stops_where_a_budget_is_left_and_keeps_the_base(folder, tmp_path) -> None:
    result = align_generator(debug(folder, fd_budget=1e-6), tmp_path, Log())
    assert result["measurements"] == 1 and result["best"] == result["base"]


def test_a_reward_that_is_no_number_is_named(folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Palette, "__call__", lambda self, scene: scene.occupancy.sum((1, 2, 3)) * torch.nan)
    with pytest.raises(RecipeError, match="reward palette is") as failed:
        align_generator(debug(folder), tmp_path, Silent())
    assert failed.value.code == "nan_reward"


def test_strata_hold_one_transition_each_and_the_last_always() -> None:
    for seed in range(20):
        found = chosen(20, 0.4, np.random.default_rng(seed))
        strata = np.split(np.arange(20), [3, 6, 9, 12, 14, 16, 18])  # eight of twenty: uneven
        assert all(i in stratum for i, stratum in zip(found, strata, strict=True)) and found[-1] == 19
    assert chosen(20, 0.01, np.random.default_rng(0)) == [19]


def test_views_shown_two_at_a_time_give_the_same_gradient(generator, folder) -> None:
    config = replace(debug(folder), rewards=("palette", "silhouette", "depth_normals"), views=5)
    reward = weighted(dict.fromkeys(config.rewards, 1.0), Wish(target=structure(5, name="pyramid").blocks))
    torch.manual_seed(0)
    clean = torch.rand(2, *generator.shape)
    found = []
    for frugal in (False, True):
        given = replace(config, memo_efficient_mode=frugal)
        follow = Follow(generator, None, reward, given, None, None, ["a", "b"], np.random.default_rng(3))
        leaf = clean.clone().requires_grad_()
        worth = follow.worth(leaf)
        found.append((worth.detach(), torch.autograd.grad(worth @ torch.tensor([1.0, 2.0]), leaf)[0]))
        with torch.no_grad():
            Follow(generator, None, reward, given, None, None, ["a", "b"], np.random.default_rng(3)).worth(clean)
    torch.testing.assert_close(found[0], found[1])


def test_prompts_that_have_reached_the_threshold_are_left_out(folder, tmp_path) -> None:
    np.save(file := tmp_path / "rewards.npy", np.array([0.2, 0.8, 0.5]))
    prompts = ("a tower", "a ship", "a castle")
    config = debug(folder, prompts=prompts, reward_threshold=0.6, precomputed_rewards=str(file))
    assert prompts_of(config) == ["a tower", "a castle"] and prompts_of(debug(folder, prompts=prompts)) == [*prompts]
    with pytest.raises(ValueError, match=r"reward_threshold 0.1: every prompt has reached it, 0.2 least"):
        prompts_of(replace(config, reward_threshold=0.1))
    with pytest.raises(ValueError, match=r"holds float64 \[3\]: expected a number for each prompt"):
        prompts_of(replace(config, prompts=prompts[:2]))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"reward_scale": 0.0}, "reward_scale"),
        ({"timestep_fraction": 0.0}, "timestep_fraction"),
        ({"timestep_fraction": 1.1}, "timestep_fraction"),
        ({"rank": 0}, "rank"),
        ({"eta": 0.0}, "eta"),
        ({"prompts": [" "]}, "prompts"),
        ({"prompts": ["quark"]}, "no word that the model knows"),
        ({"rewards": ["shine"]}, "rewards"),
        ({"rewards": ["palette", "palette"]}, "names one twice"),
        ({"rewards": ["palette"], "reward_weights": [1.0, 2.0]}, "expected one a reward"),
        ({"rewards": ["silhouette"]}, "target is missing|is missing: reward silhouette"),
        ({"rewards": []}, "names none: expected some, or own_rewards"),
        ({"rewards": ["clip"]}, "clip_model None is missing: reward clip needs a folder"),
        ({"own_rewards": ["shine"]}, "own_rewards"),
        ({"own_rewards": ["toy_rewards:Deaf"]}, "toy_rewards:Deaf has no gradient"),
        ({"reward_threshold": 0.5}, "precomputed_rewards: is missing"),
        ({"reward_threshold": 0.5, "precomputed_rewards": "none.npy"}, "prompts: is empty"),
        ({"prompts": ["a tower"], "reward_threshold": 0.5, "precomputed_rewards": "none.npy"}, "cannot be read"),
    ],
)
def test_bad_input_is_refused_first(given, match, folder, tmp_path) -> None:
    row = kinds()["generator.align"]
    with pytest.raises(ValueError, match=match):
        row.run(row.read({"generator": str(folder), **given}), tmp_path / "out", Silent())
    assert not (tmp_path / "out").exists()
