"""Rewards by name, and their weighted mean. A name is one of ours, or `module:Class` for one of the user's own.

One's own is a class as in rewards.py: made from a Wish, `__call__(scene) -> [B]` in [0, 1]. The module is imported, so
the gateway takes names from TERRARIUM_ALLOWED_REWARDS alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.generators.learned_rewards import LEARNED
from terrarium.worlds.generators.rewards import REWARDS, Reward, Scene, Wish, random_cameras
from terrarium.worlds.progress import RecipeError
from terrarium.worlds.voxels.grid import MATERIALS

PROBED = 16  # blocks a side of the world on which one's own reward is tried


def weighted(weights: Mapping[str, float], wish: Wish, gradient: bool = False) -> Reward:
    """The weighted mean, in [0, 1] as its parts are. ValueError for an unknown reward, for weights that are not
    positive, for none, and, where its `gradient` is followed, for one of the user's own that has none."""
    if not weights:
        raise ValueError(f"no reward: expected some of {', '.join(NAMES)}")
    for name, weight in weights.items():
        if not weight > 0:
            raise ValueError(f"reward {name} has weight {weight}: expected more than 0")
    made = {name: reward_of(name, wish, gradient) for name in weights}
    total = sum(weights.values())

    def reward(scene: Scene) -> Tensor:
        found = {name: made[name](scene) for name in weights}
        for name, values in found.items():
            if not values.isfinite().all():
                raise RecipeError("nan_reward", f"reward {name} is {values.tolist()}: expected numbers from 0 to 1")
        return torch.stack([weight / total * found[name] for name, weight in weights.items()]).sum(0)

    return reward


def reward_of(name: str, wish: Wish, gradient: bool) -> Reward:
    if name in NAMES:
        return NAMES[name](wish)
    if ":" not in name:
        raise ValueError(f"unknown reward {name!r}: expected one of {', '.join(NAMES)}, or module:Class")
    module, _, attribute = name.partition(":")
    try:
        made: Reward = getattr(import_module(module), attribute)(wish)
    except (ImportError, AttributeError) as e:
        raise ValueError(f"reward {name!r} cannot be imported ({e}): expected module:Class") from None
    check(name, made, gradient)
    return made


def check(name: str, reward: Reward, gradient: bool) -> None:
    """ValueError unless two half-transparent worlds get a number from 0 to 1 each, with a gradient if it is needed."""
    torch_source = torch.Generator().manual_seed(0)
    occupancy = torch.rand(2, *[PROBED] * 3, generator=torch_source).requires_grad_()
    materials = torch.rand(2, *[PROBED] * 3, len(MATERIALS), generator=torch_source).softmax(-1).requires_grad_()
    cameras = random_cameras(np.random.default_rng(0), PROBED, 1, 0.0)
    found = reward(Scene(occupancy, materials, cameras, ["a tower", "a ship"]))
    if not (isinstance(found, Tensor) and found.shape == (2,)):
        what = f"a tensor of shape {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"reward {name} gives {what} for two worlds: expected a tensor of shape [2]")
    if not bool(((found >= 0) & (found <= 1)).all()):
        raise ValueError(f"reward {name} is {found.tolist()}: expected numbers from 0 to 1")
    if gradient and not found.requires_grad:
        raise ValueError(f"reward {name} has no gradient: expected a differentiable one, or method ddpo")


NAMES: dict[str, Callable[[Wish], Reward]] = {**REWARDS, **LEARNED}
