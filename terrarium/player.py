"""Worlds to walk in from Python: a world model, and the simulator behind the same functions.

    world = terrarium.load("shipped", seed=7)
    world.play("w*8 left*4 w+jump")
    world.save_gif("walk.gif")

Of one world a frame is uint8 [H, W, 3]. With a list of B seeds as many worlds advance in one batch: a frame is
[B, H, W, 3], `frames` is [B, T, H, W, 3], and keys, turns and scripts may be lists of B.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from terrarium.film import Filmed, png
from terrarium.script import action_of, actions_of, words
from terrarium.worlds.blocks.actions import BLOCKS, Layout

Seeds = int | Sequence[int]
MAX_SEED = 2**31 - 1


def load(
    folder: str | os.PathLike[str] = "shipped",
    seed: Seeds = 0,
    *,
    temperature: float | None = None,
    guidance: float = 1.0,
) -> ModelPlayer:
    """The world model in a folder, or the one that comes with Terrarium, at the start of `seed`.

    `temperature` of what it draws, 0 to 2: at 0 always the likeliest; if omitted, the model's own. `guidance`, 1 to 4:
    above 1 it follows the keys more strongly, for the price of a second prediction a step. ValueError says what is
    wrong with the folder.
    """
    return ModelPlayer(folder, seed, temperature=temperature, guidance=guidance)


def simulator(seed: Seeds = 0, world: str = "mixed", *, width: int = 64, height: int = 64) -> SimulatorPlayer:
    """The block world itself. `world` is a terrain, or the path of a map.json, in which the seed says where a walk
    starts."""
    from terrarium.worlds.episodes.record import FPS, block_source

    if width < 1 or height < 1:
        raise ValueError(f"frames of {width}x{height}: expected at least 1x1")
    return SimulatorPlayer(block_source(world), seed, width=width, height=height, fps=FPS)


class Player(Filmed):
    """One world, or several, walked by keys. `frames` holds all since the last reset."""

    layout: Layout
    fps: float
    frame_size: tuple[int, int]  # H, W
    name: str

    def reset(self, seed: Seeds = 0) -> np.ndarray:
        """Go to the start of a seed, or of each of several; returns the frame there. Walks begin after a glance to the
        right and back, of which the last frame is shown."""
        seeds = tuple(map(_seed, np.atleast_1d(seed).tolist()))
        if not seeds:
            raise ValueError("no seed: expected a number or a list of at least one")
        return self._began(self._begin(seeds), seeds, single=np.ndim(seed) == 0)

    def step(self, keys: str | Sequence[str] = "", turn: Sequence[Any] = (0.0, 0.0)) -> np.ndarray:
        """One frame on. `keys` are held ("w+jump"), `turn` is degrees of yaw (right) and pitch (up).

        In a batch both are those of all worlds, or lists of one each. ValueError names an unknown key.
        """
        held = self._each(keys, isinstance(keys, str), "keys")
        turns = self._each(turn, np.ndim(turn) == 1, "turns")
        return self._act(np.stack([action_of(self.layout, k, t) for k, t in zip(held, turns, strict=True)]))

    def play(self, script: str | Sequence[str] | np.ndarray) -> np.ndarray:
        """Several steps: a script such as "w*8 d*4" (terrarium/script.py), one for each world of a batch, or actions
        float32 [N, A] or [B, N, A], such as `actions` of another. Returns the new frames, [N, H, W, 3] or
        [B, N, H, W, 3]."""
        if isinstance(script, np.ndarray):
            scripts = [self._checked(one) for one in self._each(script, script.ndim < 3, "scripts")]
        else:
            scripts = [actions_of(self.layout, s) for s in self._each(script, isinstance(script, str), "scripts")]
        lengths = [len(s) for s in scripts]
        if len(set(lengths)) > 1:
            raise ValueError(f"scripts of {lengths} frames: expected as many in each world")
        new = [self._act(np.stack(actions)) for actions in zip(*scripts, strict=True)]
        return np.stack(new, axis=0 if self.single else 1)

    @property
    def frame(self) -> np.ndarray:
        """The newest, uint8 [H, W, 3] or [B, H, W, 3]."""
        newest = self._frames[-1].copy()
        return newest[0] if self.single else newest

    @property
    def frames(self) -> np.ndarray:
        """All since the reset, uint8 [T, H, W, 3] or [B, T, H, W, 3]."""
        stacked = np.stack(self._frames, axis=1)
        return stacked[0] if self.single else stacked

    @property
    def actions(self) -> np.ndarray:
        """What led from frame to frame, float32 [T-1, A] or [B, T-1, A]."""
        empty = np.zeros((len(self.seeds), 0, len(self.layout.names)), np.float32)
        stacked = np.stack(self._actions, axis=1) if self._actions else empty
        return stacked[0] if self.single else stacked

    @property
    def keys(self) -> tuple[str, ...]:
        """The words of a script."""
        return words(self.layout)

    def _began(self, frames: np.ndarray, seeds: tuple[int, ...], single: bool) -> np.ndarray:
        self.seeds, self.single = seeds, single
        self._frames, self._actions = [frames], list[np.ndarray]()
        return self.frame

    def _act(self, actions: np.ndarray) -> np.ndarray:
        self._frames.append(self._advance(actions))
        self._actions.append(actions)
        return self.frame

    def _each(self, values: Any, shared: bool, what: str) -> Sequence[Any]:
        if shared:
            return [values] * len(self.seeds)
        if self.single or len(values) != len(self.seeds):
            found = f"{what} of shape {values.shape}" if isinstance(values, np.ndarray) else f"{what} {values!r}"
            raise ValueError(f"{found}: expected one for {len(self.seeds)} world(s), or a list of as many")
        return values

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        columns = len(self.layout.names)
        if actions.ndim != 2 or actions.shape[1] != columns or not len(actions) or not np.isfinite(actions).all():
            raise ValueError(f"actions {actions.shape}: expected finite numbers (N, {columns}), N > 0")
        return actions.astype(np.float32)

    @abstractmethod
    def _begin(self, seeds: tuple[int, ...]) -> np.ndarray:
        """The first frame of each, uint8 [B, H, W, 3]."""

    @abstractmethod
    def _advance(self, actions: np.ndarray) -> np.ndarray:
        """[B, A] -> the next frame of each, uint8 [B, H, W, 3]."""

    def _repr_png_(self) -> bytes:
        return png(self.frame)

    def __repr__(self) -> str:
        seeds = ", ".join(map(str, self.seeds))
        height, width = self.frame_size
        return f"{type(self).__name__}({self.name!r}, seed {seeds}, frame {len(self._frames) - 1}, {width}x{height})"


class ModelPlayer(Player):
    """A world model. The same seed and keys give the same frames, on the same machine: what is drawn in a step follows
    from the seeds and its number. torch's own generator is left alone."""

    def __init__(
        self,
        folder: str | os.PathLike[str] = "shipped",
        seed: Seeds = 0,
        *,
        temperature: float | None = None,
        guidance: float = 1.0,
    ) -> None:
        from terrarium.worlds.world_model.live import LiveModel

        self.model = LiveModel.load(os.fspath(folder))
        self.name = os.fspath(folder)
        self.layout, self.fps, self.frame_size = self.model.layout, self.model.fps, self.model.frame_size
        self.temperature = self.model.temperature if temperature is None else temperature
        self.guidance = guidance
        if not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature {temperature}: expected 0 to 2")
        if not 1 <= guidance <= 4:
            raise ValueError(f"guidance {guidance}: expected 1 to 4")
        self.reset(seed)

    def reset(
        self, seed: Seeds = 0, *, frames: np.ndarray | None = None, actions: np.ndarray | None = None
    ) -> np.ndarray:
        """Go to the start of a seed, or go on from `frames`: a picture uint8 [H, W, 3], or a clip [T, H, W, 3] with the
        actions float32 [T-1, A] between its frames (if omitted, nothing was pressed)."""
        if frames is None and actions is None:
            first = super().reset(seed)
            self.at_seed = True
            return first
        frames, actions = self._context(frames, actions)
        seeds = (_seed(seed),)
        self._states, self.at_seed = [self.model.start(frames, actions)], False
        return self._began(frames[None, -1], seeds, single=True)

    def simulator(self) -> SimulatorPlayer:
        """The world that the model was trained on, at the start of the same seeds.

        `simulator().play(model.actions)` follows. ValueError where the model learned from another source, or began at
        given frames.
        """
        source = self.model.manifest["data"]["source"]
        if not self.at_seed:
            raise ValueError("the walk began at given frames, where no simulator stands: reset to a seed first")
        if self.model.starts is not None:
            raise ValueError(f"{self.name} was trained on {source['kind']!r}: it has no simulator")
        height, width = self.frame_size
        seed = self.seeds[0] if self.single else self.seeds
        return SimulatorPlayer(source, seed, width=width, height=height, fps=self.fps)

    def _begin(self, seeds: tuple[int, ...]) -> np.ndarray:
        contexts = [self.model.context(self.model.simulator(), seed) for seed in seeds]
        self._states = [self.model.start(frames, actions) for frames, actions in contexts]
        return np.stack([frames[-1] for frames, _ in contexts])

    def _advance(self, actions: np.ndarray) -> np.ndarray:
        import torch

        from terrarium.worlds.device import fork_random

        number = len(self._actions)
        temperature, guidance = (np.full(len(actions), x, np.float32) for x in (self.temperature, self.guidance))
        with fork_random():
            torch.manual_seed(int(np.random.SeedSequence([*self.seeds, number]).generate_state(1)[0]))
            return self.model.step(self._states, actions, temperature, guidance)

    def _context(self, frames: np.ndarray | None, actions: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        from terrarium.worlds.world_model.rollout import BURN_IN

        frames, shape = np.asarray(frames), (*self.frame_size, 3)
        if (
            frames.dtype != np.uint8
            or frames.shape[-3:] != shape
            or frames.ndim > 4
            or frames.shape[:-3] in ((0,), (1,))
        ):
            found = f"frames {frames.dtype} {frames.shape}"
            raise ValueError(f"{found}: expected uint8 {shape}, or (T, H, W, 3) with T > 1")
        if frames.ndim == 3:
            frames = np.repeat(frames[None], BURN_IN, axis=0)
        still = np.zeros((len(frames) - 1, len(self.layout.names)), np.float32)
        actions = still if actions is None else self._checked(np.asarray(actions))
        if actions.shape != still.shape:
            raise ValueError(f"actions {actions.shape} between {len(frames)} frames: expected {still.shape}")
        return frames, actions


class SimulatorPlayer(Player):
    """The block world, advanced exactly. `pose` is where it stands."""

    layout = BLOCKS

    def __init__(self, source: dict[str, Any], seed: Seeds, *, width: int, height: int, fps: float) -> None:
        """`source`: that of a dataset's manifest, which names a terrain or holds a map."""
        self.source, self.name, self.frame_size, self.fps = source, source["terrain"], (height, width), fps
        self.reset(seed)

    @property
    def pose(self) -> np.ndarray:
        """The eye's x, y, z in blocks, yaw and pitch in degrees: float32 [5] or [B, 5]."""
        poses = np.stack([world.pose for world in self._worlds])
        return poses[0] if self.single else poses

    def _begin(self, seeds: tuple[int, ...]) -> np.ndarray:
        from terrarium.worlds.blocks.walk import glance
        from terrarium.worlds.blocks.world import world_of

        height, width = self.frame_size
        self._worlds = [world_of(self.source, width, height) for _ in seeds]
        return np.stack([glance(world, seed)[0][-1] for world, seed in zip(self._worlds, seeds, strict=True)])

    def _advance(self, actions: np.ndarray) -> np.ndarray:
        return np.stack([world.step(action) for world, action in zip(self._worlds, actions, strict=True)])


def _seed(value: Any) -> int:
    if not isinstance(value, int | np.integer) or not 0 <= value <= MAX_SEED:
        raise ValueError(f"seed {value!r}: expected a whole number from 0 to {MAX_SEED}")
    return int(value)
