"""Recipes side by side: the same data, tokenizer and time (or steps) for each, then the same evaluation.

`RECIPES` names them; each says in one phrase how it differs from `cpu`, or whose it is. The steps that a recipe can
afford are measured before it is trained, over its whole curriculum, so the learning rate still falls to zero at the
end. Of a recipe with a painter half of the time is the painter's. The tokenizer's own training counts for nobody.
Models are evaluated in the precision that they were trained in.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from terrarium.worlds.device import default_device
from terrarium.worlds.durable import write_text
from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.precision import computing_in, training_precision
from terrarium.worlds.progress import Progress
from terrarium.worlds.training.task import Step, Task
from terrarium.worlds.training.trainer import Trainer
from terrarium.worlds.world_model.bench.diamond.train import DiamondConfig, load_diamond, task_of, train_diamond
from terrarium.worlds.world_model.bench.figures import Figures, clock, figures_of, step_ms
from terrarium.worlds.world_model.evaluation.recipe import evaluate
from terrarium.worlds.world_model.kinds import WorldModelConfig, world_model_cpu, world_model_ochre_v6
from terrarium.worlds.world_model.losses import Losses
from terrarium.worlds.world_model.rollout import load_world_model
from terrarium.worlds.world_model.tokenizer import load_tokenizer
from terrarium.worlds.world_model.train import load_clips, new_model, train_world_model
from terrarium.worlds.world_model.train_painter import painter_stages, painter_steps
from terrarium.worlds.world_model.views import camera_of
from terrarium.worlds.world_model.walks import EVERY, YOUNG

PROBES = 8  # steps that are timed, evenly spread over the curriculum where there is one
PAINTER_SHARE = 0.5  # of the time
WARM_UP_STEPS = 6  # of the painter's walks to one of its warm-up: as many as `cpu` has
AnyConfig = WorldModelConfig | DiamondConfig


@dataclass(frozen=True)
class Recipe:
    what: str  # how it differs from `cpu`, or whose it is
    config: Callable[[WorldModelConfig], AnyConfig]


def _ochre_v6(base: WorldModelConfig) -> WorldModelConfig:
    theirs = world_model_ochre_v6(base.data, base.tokenizer)
    return replace(theirs, channels=base.channels, layers=base.layers, batch=base.batch, seed=base.seed)


def _diamond(base: WorldModelConfig) -> DiamondConfig:
    """In batches of ours: 300 seconds of a CPU are 110 of its published batches of 32, and 100 are its warm-up."""
    assert base.tokenizer is not None
    return DiamondConfig(data=base.data, tokenizer=base.tokenizer, steps=base.steps, batch=base.batch, seed=base.seed)


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
    "painter": Recipe("a painter on top", lambda c: replace(c, painter=True)),
    "ochre_v6": Recipe("the prior art's recipe", _ochre_v6),
    "diamond": Recipe("DIAMOND: diffusion of the next frame", _diamond),
}


@dataclass(frozen=True)
class Row:
    recipe: str
    what: str
    steps: int
    painter_steps: int  # warm-up and walks
    minutes: float  # of training, by `clock`
    parameters: int
    step_ms: float
    figures: Figures


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
) -> Iterator[Row]:
    """Trains and evaluates each recipe into `out`/<name>; what is finished there is not done again.

    For `steps` each, or where it is None for as many as fit in the minutes. ValueError, before any work, for names that
    are not in RECIPES.
    """
    unknown = [n for n in names if n not in RECIPES]
    if unknown:
        raise ValueError(f"unknown recipe {unknown[0]!r}: expected some of {', '.join(RECIPES)}")
    base = replace(world_model_cpu(str(data), str(tokenizer)), painter=False)
    return (
        _row(name, RECIPES[name].config(base), out / name, minutes, steps, seed, episodes, progress) for name in names
    )


def _row(
    name: str,
    config: AnyConfig,
    folder: Path,
    minutes: float,
    steps: int | None,
    seed: int,
    episodes: int,
    progress: Callable[[str], AbstractContextManager[Progress]],
) -> Row:
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(config, WorldModelConfig):
        _share_codes(config, folder.parent, folder)
    plan = folder / "plan.json"
    if not plan.is_file():
        write_text(plan, json.dumps({"steps": steps} if steps else affordable(config, folder, 60 * minutes)))
    config = replace(config, **json.loads(plan.read_text()))
    with progress(name) as shown:
        spent = _trained(config, folder, shown)
    load = load_diamond if isinstance(config, DiamondConfig) else load_world_model
    device = default_device()
    with progress(f"{name}: evaluate") as shown, computing_in(training_precision(device), device):
        found = evaluate(
            folder / "output",
            seed=seed,
            episodes=episodes,
            progress=shown,
            states=folder / "evaluation",
            kinds=(),
            load=load,
        )
    model, manifest = load(folder / "output")
    return Row(
        recipe=name,
        what=RECIPES[name].what,
        steps=config.steps,
        painter_steps=painter_steps(config) if isinstance(config, WorldModelConfig) else 0,
        minutes=round(spent / 60, 2),
        parameters=manifest["parameters"],
        step_ms=step_ms(model, manifest),
        figures=figures_of(found),
    )


def _trained(config: AnyConfig, folder: Path, progress: Progress) -> float:
    """Trains, or goes on -> the seconds that it has taken in all, by `clock`."""
    file = folder / "seconds"
    before = float(file.read_text()) if file.is_file() else 0.0
    if (folder / "output" / "manifest.json").is_file():
        return before
    started = clock()
    try:
        if isinstance(config, DiamondConfig):
            train_diamond(config, folder, progress)
        else:
            train_world_model(config, folder, progress)
    finally:
        spent = before + clock() - started
        write_text(file, str(spent))
    return spent


def _share_codes(config: WorldModelConfig, out: Path, folder: Path) -> None:
    """The data is tokenised once, and its depths are found once, for all recipes."""
    assert config.tokenizer is not None
    tokenizer, _ = load_tokenizer(Path(config.tokenizer))
    for split in ("train", "val"):
        load_clips(open_dataset(config.data), split, tokenizer, config, out)
        for made in out.glob(f"*_{split}.npy"):
            if not (name := folder / made.name).exists():
                name.hardlink_to(made)


def affordable(config: AnyConfig, folder: Path, seconds: float) -> dict[str, int]:
    """The fields of the config that say how long to train, such that it takes about so many seconds by `clock`."""
    if isinstance(config, DiamondConfig):
        return {"steps": max(1, round(seconds / seconds_of(task_of(config, open_dataset(config.data)))))}
    painting = PAINTER_SHARE * seconds if config.painter else 0.0
    plan = {"steps": max(1, round((seconds - painting) / seconds_a_step(config, folder)))}
    if config.painter:
        warm_up, walks = painter_seconds(config)
        units = painting / (warm_up + WARM_UP_STEPS * walks)
        plan |= {"painter_warm_up": max(1, round(units)), "painter_steps": max(1, round(WARM_UP_STEPS * units))}
    return plan


def seconds_a_step(config: WorldModelConfig, folder: Path) -> float:
    """The mean time of a step of the dynamics without the optimizer's, over the curriculum."""
    assert config.tokenizer is not None
    tokenizer, _ = load_tokenizer(Path(config.tokenizer))
    dataset = open_dataset(config.data)
    clips = load_clips(dataset, "train", tokenizer, config, folder)
    model = new_model(config, dataset, tokenizer)
    losses, times = Losses(model, config, camera_of(dataset.manifest)), []
    for i in range(PROBES + 1):  # the first warms up
        torch.manual_seed(i)
        step = Step(max(i - 1, 0), PROBES, (0, 1), np.random.default_rng(i))
        started = clock()
        batch = (x.to(model.device) for x in clips.sample(step.rng, config.batch))
        with computing_in(training_precision(model.device), model.device):
            loss, _ = losses(step, *batch)
        loss.backward()
        times.append(clock() - started)
    return statistics.mean(times[1:])


def painter_seconds(config: WorldModelConfig) -> tuple[float, float]:
    """The times of a step of the painter's warm-up and of one in the loop, when the pool has as many walks as a step
    takes."""
    assert config.tokenizer is not None
    dataset = open_dataset(config.data)
    tokenizer, _ = load_tokenizer(Path(config.tokenizer))
    warm_up, in_the_loop = painter_stages(config, dataset, preview=lambda *_: None)
    first = warm_up.make(new_model(config, dataset, tokenizer))
    return seconds_of(first), seconds_of(in_the_loop.make(first.model), EVERY * (YOUNG + config.painter_rows))


def seconds_of(task: Task, before: int = 1) -> float:
    """The mean time of PROBES steps of a task, after `before` others."""
    trainer, times = Trainer(task, range(before + PROBES), before + PROBES, seed=0), []
    batches = ((step, task.sample(step)) for step in trainer.parts())
    for _ in range(before + PROBES):
        started = clock()
        trainer.step(batches)
        times.append(clock() - started)
    return statistics.mean(times[before:])
