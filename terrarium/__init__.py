"""Terrarium trains, generates and streams small neural worlds.

    import terrarium

    world = terrarium.load("shipped", seed=7)
    world.play("w*16 left*4")
    world.save_gif("walk.gif")

docs/python.md describes every name. They are loaded when they are first used: a gateway, which imports this package
too, never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from terrarium.client import Client as Client
    from terrarium.film import Film as Film
    from terrarium.plans import playable as playable
    from terrarium.plans import texture as texture
    from terrarium.player import load as load
    from terrarium.player import simulator as simulator
    from terrarium.recipes import evaluate as evaluate
    from terrarium.recipes import record as record
    from terrarium.recipes import run as run
    from terrarium.recipes import train_tokenizer as train_tokenizer
    from terrarium.recipes import train_world_model as train_world_model
    from terrarium.store.errors import TerrariumError as TerrariumError
    from terrarium.worlds.episodes.format import open_dataset as open_dataset
    from terrarium.worlds.progress import RecipeError as RecipeError

_WHERE = {
    "Client": "client",
    "Film": "film",
    "RecipeError": "worlds.progress",
    "TerrariumError": "store.errors",
    "evaluate": "recipes",
    "load": "player",
    "open_dataset": "worlds.episodes.format",
    "playable": "plans",
    "record": "recipes",
    "run": "recipes",
    "simulator": "player",
    "texture": "plans",
    "train_tokenizer": "recipes",
    "train_world_model": "recipes",
}
__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    """PEP 562: imports what is asked for, once."""
    if name not in _WHERE:
        raise AttributeError(f"module 'terrarium' has no attribute {name!r}: expected one of {', '.join(_WHERE)}")
    value = getattr(import_module(f"terrarium.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
