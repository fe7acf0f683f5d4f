"""Recipes side by side: the same data, tokenizer and time (or steps) for each, then the same evaluation.

`RECIPES` names them; each says in one phrase how it differs from `cpu`. The steps that a recipe can afford are measured
before it is trained, over its whole curriculum, so the learning rate still falls to zero at the end.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.device import synchronize
from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.precision import computing_in, training_precision
from terrarium.worlds.progress import Progress
from terrarium.worlds.training.task import Step
from terrarium.worlds.world_model.evaluation.recipe import evaluate
from terrarium.worlds.world_model.kinds import WorldModelConfig, world_model_cpu, world_model_ochre_v6
from terrarium.worlds.world_model.live import LiveModel
from terrarium.worlds.world_model.losses import Losses
from terrarium.worlds.world_model.tokenizer import load_tokenizer
from terrarium.worlds.world_model.train import load_clips, new_model, train_world_model
from terrarium.worlds.world_model.views import camera_of

WINDOW = "65-256"  # of the judge, in the table
PROBES = 8  # steps that are timed, evenly spread over the curriculum


@dataclass(frozen=True)
class Recipe:
    what: str  # how it differs from `cpu`
    config: Callable[[WorldModelConfig], WorldModelConfig]


def _ochre_v6(base: WorldModelConfig) -> WorldModelConfig:
    theirs = world_model_ochre_v6(base.data, base.tokenizer)
    return replace(theirs, channels=base.channels, layers=base.layers, batch=base.batch, seed=base.seed)


RECIPES = {
    "cpu": Recipe("the default", lambda c: c),
    "no_flow": Recipe("state and picture stay where they are", lambda c: replace(c, flow=False)),
    "no_context": Recipe("the flow looks one cell around", lambda c: replace(c, flow_context=False)),
    "codes_alone": Recipe("no moved picture: codes make every pixel", lambda c: replace(c, moving=False)),
    "no_margin": Recipe("nothing is remembered beside the picture", lambda c: replace(c, margin=0, views=0)),
    "no_views": Recipe("the margins are all that is remembered", lambda c: replace(c, views=0)),
    "uniform_film": Recipe("an action means the same everywhere", lambda c: replace(c, film="uniform")),
    "film_paths": Recipe("camera and movement embedded apart", lambda c: replace(c, film="paths")),
    "reset_before": Recipe("the original ConvGRU", lambda c: replace(c, reset="before")),
    "recent_states": Recipe("attention over the last 4 states", lambda c: replace(c, recent=4)),
    "no_rollouts": Recipe("teacher forcing alone", lambda c: replace(c, rollout_fraction=0.0)),
    "action_contrast": Recipe("InfoNCE over four actions, weight .2", lambda c: replace(c, action_contrast=0.2)),
    "no_blur": Recipe("sharp pictures alone, no contrast loss", lambda c: replace(c, blur=0.0, contrast=0.0)),
    "one_round": Recipe("codes of a frame do not know each other", lambda c: replace(c, refine=0.0)),
    "no_rare": Recipe("clips as they come", lambda c: replace(c, rare_share=0.0)),
    "true_flow": Recipe("the simulator's depths teach the flow", lambda c: replace(c, true_flow=1.0)),
    "moving_camera": Recipe(
        "the flow is that of a camera, through predicted depths",
        lambda c: replace(c, true_flow=1.0, moving_camera=True),
    ),
    "painter": Recipe("a painter on top, with steps of its own", lambda c: replace(c, painter=True)),
    "ochre_v6": Recipe("the prior art's recipe", _ochre_v6),
}


def compare(
    names: list[str],
    *,
    data: Path,
    tokenizer: Path,
    out: Path,
    minutes: float,
    steps: int | None,
    seed: int,
    episodes: int,
    progress: Callable[[str], AbstractContextManager[Progress]],
) -> list[dict[str, Any]]:
    """Trains and evaluates each recipe into `out`/<name>; a finished one is not trained again. -> rows of the table.

    For `steps` each, or where it is None for as many as fit in the minutes.
    """
    unknown = [n for n in names if n not in RECIPES]
    if unknown:
        raise ValueError(f"unknown recipe {unknown[0]!r}: expected some of {', '.join(RECIPES)}")
    base = replace(world_model_cpu(str(data), str(tokenizer)), painter=False)  # dynamics, in the same time
    rows = []
    for name in names:
        config, folder = RECIPES[name].config(base), out / name
        folder.mkdir(parents=True, exist_ok=True)
        _share_codes(config, out, folder)
        steps_file = folder / "steps"
        if not steps_file.is_file():
            fitting = steps or max(1, round(60 * minutes / seconds_a_step(config, folder)))
            steps_file.write_text(str(fitting))
        config = replace(config, steps=int(steps_file.read_text()))
        with progress(name) as shown:
            result = train_world_model(config, folder, shown)
        with progress(f"{name}: evaluate") as shown:
            figures = evaluate(folder / "output", seed=seed, episodes=episodes, progress=shown)
        rows.append(_row(name, config, result, figures, folder / "output"))
    return rows


def _share_codes(config: WorldModelConfig, out: Path, folder: Path) -> None:
    """The data is tokenised once, and its depths are found once, for all recipes."""
    assert config.tokenizer is not None
    tokenizer, _ = load_tokenizer(Path(config.tokenizer))
    for split in ("train", "val"):
        load_clips(open_dataset(config.data), split, tokenizer, config, out)
        for made in out.glob(f"*_{split}.npy"):
            if not (name := folder / made.name).exists():
                name.hardlink_to(made)


def seconds_a_step(config: WorldModelConfig, folder: Path) -> float:
    """The mean time of a step without the optimizer's, over the curriculum."""
    assert config.tokenizer is not None
    tokenizer, _ = load_tokenizer(Path(config.tokenizer))
    dataset = open_dataset(config.data)
    clips = load_clips(dataset, "train", tokenizer, config, folder)
    model = new_model(config, dataset, tokenizer)
    losses, times = Losses(model, config, camera_of(dataset.manifest)), []
    for i in range(PROBES + 1):  # the first warms up
        torch.manual_seed(i)
        step = Step(max(i - 1, 0), PROBES, (0, 1), np.random.default_rng(i))
        started = time.perf_counter()
        batch = (x.to(model.device) for x in clips.sample(step.rng, config.batch))
        with computing_in(training_precision(model.device), model.device):
            loss, _ = losses(step, *batch)
        loss.backward()
        synchronize()
        times.append(time.perf_counter() - started)
    return statistics.mean(times[1:])


def _row(
    name: str, config: WorldModelConfig, result: dict[str, Any], figures: dict[str, Any], folder: Path
) -> dict[str, Any]:
    return {
        "recipe": name,
        "what": RECIPES[name].what,
        "steps": config.steps,
        "seconds": result["seconds"],
        "retrieval_1": figures["counterfactual_retrieval"]["1"],
        "retrieval_4": figures["counterfactual_retrieval"]["4"],
        "worst_key": worst_share(figures),
        "memory_psnr_6": figures["memory_psnr"]["6"],
        "psnr_8": figures["rollout_psnr"]["8"],
        "edge_energy_16": figures["edge_energy_ratio"]["16"],
        "codes_ratio": figures["codes_per_frame_ratio"],
        "live_ms": live_ms(folder),
    }


def worst_share(figures: dict[str, Any]) -> list[Any]:
    """[key, share of its ceiling] of the key that the judge reads worst in `WINDOW`; [None, None] without a judge."""
    shares = (figures.get("judge_share") or {}).get(WINDOW, {})
    measured = {k: v for k, v in shares.items() if v is not None}
    if not measured:
        return [None, None]
    worst = min(measured, key=lambda k: measured[k])
    return [worst, measured[worst]]


def live_ms(folder: Path, steps: int = 60) -> float:
    """The median time of one live step of one player, in milliseconds."""
    model = LiveModel.load(folder)
    state = model.start(*model.context(model.simulator(), 1))
    action, heat, times = act.action("w")[None], np.zeros(1), []
    for _ in range(steps):
        started = time.perf_counter()
        model.step([state], action, heat)
        times.append(1e3 * (time.perf_counter() - started))
    return round(statistics.median(times), 2)
