"""What each part of a trained world model is worth: one checkpoint, evaluated whole and with one part switched off.

`ABLATIONS` names the parts that can be switched off without training anew; what a part is worth to the training is for
recipes.py. All lines of a seed see the same worlds and walks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from terrarium.worlds.progress import Progress
from terrarium.worlds.world_model.bench.figures import Figures, figures_of, step_ms
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.evaluation.recipe import evaluate
from terrarium.worlds.world_model.rollout import load_world_model


@dataclass(frozen=True)
class Ablation:
    what: str  # differs from the whole model
    switch: Callable[[Dynamics], None]


def _views(model: Dynamics) -> None:
    model.camera = None


def _margins(model: Dynamics) -> None:
    model.config = replace(model.config, margin=0)


def _memory(model: Dynamics) -> None:
    _views(model)
    _margins(model)


def _painter(model: Dynamics) -> None:
    model.painter = None


def _age(model: Dynamics) -> None:
    def all_fresh(_: torch.nn.Module, given: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        picture, clues = given
        return picture, torch.cat([clues[:, :2], torch.ones_like(clues[:, 2:])], dim=1)

    if model.painter is None:
        raise ValueError("no_age: the checkpoint has no painter, expected one that is told how fresh pixels are")
    model.painter.register_forward_pre_hook(all_fresh)


ABLATIONS = {
    "whole": Ablation("the checkpoint as it is", lambda _: None),
    "no_views": Ablation("the margins are all that is remembered", _views),
    "no_margins": Ablation("the views are all that is remembered", _margins),
    "no_memory": Ablation("neither views nor margins", _memory),
    "no_painter": Ablation("composed pictures are shown as they are", _painter),
    "no_age": Ablation("the painter takes every pixel for fresh", _age),
}


@dataclass(frozen=True)
class Line:
    name: str
    seed: int
    step_ms: float
    figures: Figures


def ablate(
    folder: Path,
    names: list[str],
    *,
    seeds: list[int],
    episodes: int,
    progress: Callable[[str], AbstractContextManager[Progress]],
) -> Iterator[Line]:
    """Evaluates `folder`, a world model, once for each name and seed, on random walks. ValueError, before any work, for
    names that are not in ABLATIONS and for a checkpoint without the part."""
    unknown = [n for n in names if n not in ABLATIONS]
    if unknown:
        raise ValueError(f"unknown ablation {unknown[0]!r}: expected some of {', '.join(ABLATIONS)}")
    if not names or not seeds:
        raise ValueError(f"{len(names)} ablations of {len(seeds)} seeds: expected at least 1 of both")
    for name in names:
        without(name, folder)  # raises before the first line has taken its minutes
    return _lines(folder, names, seeds, episodes, progress)


def _lines(
    folder: Path,
    names: list[str],
    seeds: list[int],
    episodes: int,
    progress: Callable[[str], AbstractContextManager[Progress]],
) -> Iterator[Line]:
    for seed in seeds:
        for name in names:
            load = partial(without, name)
            with progress(f"{name}, seed {seed}") as shown:
                found = evaluate(folder, seed=seed, episodes=episodes, progress=shown, kinds=(), load=load)
            yield Line(name, seed, step_ms(*load(folder)), figures_of(found))


def without(name: str, folder: Path) -> tuple[Dynamics, dict[str, Any]]:
    """As `load_world_model`, with the part of that name switched off."""
    model, manifest = load_world_model(folder)
    ABLATIONS[name].switch(model)
    return model, manifest
