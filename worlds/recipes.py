"""kind -> recipe, one dict literal. Values are import paths so that reading this table loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from worlds.progress import Progress

Recipe = Callable[[Any, Path, Progress], dict[str, Any]]

RECIPES = {
    "dataset.record": "worlds.episodes.record:record_dataset",
    "dataset.record-gym": "worlds.episodes.sources.gym_recipe:record_gym",
    "dataset.import": "worlds.episodes.sources.recipe:import_dataset",
    "dataset.import-play": "worlds.episodes.sources.recipe:import_dataset",
    "tokenizer.train": "worlds.world_model.train_tokenizer:train_tokenizer",
    "world-model.train": "worlds.world_model.train:train_world_model",
    "judge.train": "worlds.world_model.judge.recipe:train_judge",
    "world-model.evaluate": "worlds.world_model.evaluation.recipe:evaluate_recipe",
}


def load_recipe(kind: str) -> Recipe:
    module, name = RECIPES[kind].split(":")
    return getattr(import_module(module), name)
