"""A gymnasium environment as a game: pictures out, one of some discrete actions in.

`env` names it: an id that gymnasium knows (`CartPole-v1`), `module:Class` (`crafter:Env`), or `module:id` where
importing the module registers the id (`ale_py:ALE/Breakout-v5`). Gymnasium's interface and that of the older gym
(`reset() -> obs`, `step() -> obs, reward, done, info`, seed given to the constructor) are both understood.
https://gymnasium.farama.org/api/env/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np
from PIL import Image

from terrarium.worlds.blocks.actions import MOST_KEYS, Layout
from terrarium.worlds.episodes.sources.bindings import guess_keys

FPS = 10.0  # where the environment does not say
FPS_RANGE = (5.0, 30.0)  # that play can keep
SMALLEST = 16  # pixels a side: an array of less is no picture
_NOOPS = {"idle", "no_op", "none", "noop", "nothing", "stay", "wait"}


class Game:
    """`size` (H, W) is that of the frames, made from the environment's picture by area; an action lasts `frame_skip`
    of its steps. ValueError where the environment cannot be had, has no picture or no discrete actions."""

    def __init__(self, env: str, size: tuple[int, int], frame_skip: int = 1) -> None:
        self.name, self.size, self.frame_skip = env, size, frame_skip
        self._make = _maker(env)
        self.env = self._make(0)
        self.actions, self.first_action = self._discrete()
        names = _action_names(self.env, self.actions)
        self.columns = [i for i, name in enumerate(names) if name not in _NOOPS]
        if not 1 <= len(self.columns) <= MOST_KEYS:
            raise ValueError(f"environment {env!r} has {len(self.columns)} actions, expected 1 to {MOST_KEYS}")
        pressed = tuple(names[i] for i in self.columns)
        self.layout = Layout(pressed, guess_keys(pressed))
        metadata = getattr(self.env, "metadata", None) or {}
        self.fps = float(np.clip(metadata.get("render_fps", FPS * frame_skip) / frame_skip, *FPS_RANGE))

    def reset(self, seed: int) -> np.ndarray:
        """-> the first frame, uint8 [H, W, 3]."""
        if "seed" in signature(self.env.reset).parameters:
            result = self.env.reset(seed=seed)
        else:
            self.env = self._make(seed)
            result = self.env.reset()
        return self._frame(result[0] if isinstance(result, tuple) else result)

    def step(self, action: int) -> tuple[np.ndarray, bool]:
        """Action 0 <= a < `actions` -> the next frame, and whether the game is over."""
        for _ in range(self.frame_skip):
            observation, _, *over, _ = self.env.step(self.first_action + action)
            if any(over):  # terminated, truncated; or done
                break
        return self._frame(observation), any(over)

    def vector(self, action: int) -> np.ndarray:
        """float32 [columns], 1 in the action's column; zeros for a no-op."""
        return np.array([c == action for c in self.columns], np.float32)

    def close(self) -> None:
        if hasattr(self.env, "close"):
            self.env.close()

    def _discrete(self) -> tuple[int, int]:
        """How many actions there are, and the number of the first."""
        space = self.env.action_space
        if not hasattr(space, "n") or getattr(space, "shape", ()) != ():
            raise ValueError(f"environment {self.name!r} has the action space {space}, expected a Discrete one")
        return int(space.n), int(getattr(space, "start", 0))

    def _frame(self, observation: Any) -> np.ndarray:
        picture = observation if _is_picture(observation) else self.env.render()
        if not _is_picture(picture):
            raise ValueError(
                f"environment {self.name!r}: neither its observation nor render() is a picture, "
                f"uint8 [H, W, 3] of at least {SMALLEST}x{SMALLEST}"
            )
        height, width = self.size
        if picture.shape[:2] == self.size:
            return picture.copy()  # some environments draw into the same array again
        return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def _is_picture(x: Any) -> bool:
    return (
        isinstance(x, np.ndarray)
        and x.dtype == np.uint8
        and x.ndim == 3
        and x.shape[2] == 3
        and min(x.shape[:2]) >= SMALLEST
    )


def _maker(env: str) -> Callable[[int], Any]:
    """-> seed -> a new environment."""
    module, _, name = env.rpartition(":")
    try:
        found = getattr(import_module(module), name, None) if module else None
        if found is None:
            return _registered(name)
    except ImportError as e:
        raise ValueError(f"environment {env!r}: {e}: install the package that brings it where jobs run") from None
    known = {"render_mode": "rgb_array"} if "render_mode" in signature(found).parameters else {}
    seeded = "seed" in signature(found).parameters
    return lambda seed: found(**known, **({"seed": seed} if seeded else {}))


def _registered(id: str) -> Callable[[int], Any]:
    import gymnasium
    from gymnasium.envs.registration import load_env_creator

    try:
        entry: Any = gymnasium.spec(id).entry_point
        creator: Any = load_env_creator(entry) if isinstance(entry, str) else entry
        options: Any = {"render_mode": "rgb_array"} if "render_mode" in signature(creator).parameters else {}
        env = gymnasium.make(id, disable_env_checker=True, **options)
    except gymnasium.error.Error as e:
        raise ValueError(f"environment {id!r}: {e}") from None
    return lambda seed: env


def _action_names(env: Any, n: int) -> list[str]:
    """Of all `n` actions, in lower case with underscores; `action_0`, ... where the environment names none."""
    plain = getattr(env, "unwrapped", env)
    given = plain.get_action_meanings() if hasattr(plain, "get_action_meanings") else getattr(plain, "action_names", ())
    names = [re.sub("[^a-z0-9]+", "_", str(name).lower()).strip("_") for name in given]
    return names if len(names) == len(set(names)) == n else [f"action_{i}" for i in range(n)]
