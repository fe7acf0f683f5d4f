"""`BlockWorld`: the simulator. `reset(seed)`, `step(action)`, exact states to branch from, exact pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from terrarium.worlds.blocks import physics, raycast, spawn, terrain
from terrarium.worlds.blocks.actions import A
from terrarium.worlds.blocks.coats import coats_for
from terrarium.worlds.blocks.map_entries import Coat
from terrarium.worlds.blocks.map_json import unpack


@dataclass(frozen=True)
class State:
    """All that changes from frame to frame; immutable, so it can be kept and shared."""

    x: float
    y: float  # feet
    z: float
    vy: float  # blocks a frame
    yaw_deg: float
    pitch_deg: float
    on_ground: bool
    eye_lag: float  # blocks that the eye is behind its place after a step up or down
    sneaking: bool
    seed: int


@lru_cache(maxsize=8)
def _volume(kind: str, seed: int, structures: int) -> raycast.Volume:
    return raycast.Volume(terrain.generate(kind, seed, structures))


class BlockWorld:
    """A walk in a block world: one player, one frame an action.

    `terrain` is one of `terrain.KINDS`, with so many `structures` on it; with `blocks` (ids, uint8 [X, Y, Z]) those are
    every seed's world and the seed only chooses where the walk starts; `coats` are the materials that its types wear.
    Blocks are shared between worlds and never change. Frames are `width` x `height`; `smooth` antialiases outlines.
    """

    def __init__(
        self,
        width: int = 64,
        height: int = 64,
        terrain: str = "mixed",
        blocks: np.ndarray | None = None,
        *,
        coats: Mapping[int, Coat] = MappingProxyType({}),
        structures: int = 0,
        smooth: bool = True,
    ) -> None:
        self.width, self.height, self.terrain, self.smooth = width, height, terrain, smooth
        self.structures = structures
        self._map = raycast.Volume(blocks, coats_for(coats)) if blocks is not None else None
        self.reset(0)

    @property
    def blocks(self) -> np.ndarray:
        """Block ids, uint8 [X, Y, Z], read-only."""
        return self.volume.blocks

    @property
    def state(self) -> State:
        return self.copy_state()

    @property
    def pose(self) -> np.ndarray:
        """float32 [5]: the eye's x, y, z in blocks, yaw in [0, 360) and pitch in degrees."""
        body = self._body
        eye = body[physics.X], physics.eye_height(body), body[physics.Z]
        return np.array([*eye, body[physics.YAW_DEG], body[physics.PITCH_DEG]], np.float32)

    def reset(self, seed: int | None = None, *, state: State | None = None) -> np.ndarray:
        """Start the walk of `seed`, or go on from `state`; returns the frame."""
        if (seed is None) == (state is None):
            raise ValueError("reset takes either a seed or a state")
        if state is not None:
            self.set_state(state)
        else:
            assert seed is not None
            self._enter(int(seed))
            self._body = spawn.choose(self.volume, self._seed)
        return self.render()

    def step(self, action: np.ndarray) -> np.ndarray:
        """Apply float32 [9] (worlds/blocks/actions.py) for one frame; returns uint8 [H, W, 3]."""
        self.advance(action)
        return self.render()

    def advance(self, action: np.ndarray) -> None:
        """`step` without the picture."""
        action = np.asarray(action, np.float32)
        if action.shape != (A,):
            raise ValueError(f"an action has shape ({A},), got {action.shape}")
        physics.step(self.volume.blocks, self._body, action)

    def render(self) -> np.ndarray:
        """The current frame, uint8 RGB [H, W, 3]."""
        body = self._body
        eye = float(body[physics.X]), float(physics.eye_height(body)), float(body[physics.Z])
        yaw, pitch = float(body[physics.YAW_DEG]), float(body[physics.PITCH_DEG])
        return raycast.render(self.volume, eye, yaw, pitch, self.width, self.height, smooth=self.smooth)

    def labels(self, seed: int, pose: np.ndarray) -> raycast.Labels:
        """What each pixel shows from a recorded `pose` in the world of `seed`; the walk stays where it is."""
        x, y, z, yaw, pitch = (float(v) for v in pose)
        return raycast.label(self._volume_of(seed), (x, y, z), yaw, pitch, self.width, self.height)

    def copy_state(self) -> State:
        x, y, z, vy, yaw, pitch, ground, lag, sneak = (float(v) for v in self._body)
        return State(x, y, z, vy, yaw, pitch, bool(ground), lag, bool(sneak), self._seed)

    def set_state(self, state: State) -> None:
        """Continue from `state`, exactly."""
        self._enter(state.seed)
        s = state
        self._body = np.array(
            [s.x, s.y, s.z, s.vy, s.yaw_deg, s.pitch_deg, s.on_ground, s.eye_lag, s.sneaking], np.float64
        )

    def _enter(self, seed: int) -> None:
        self._seed = seed
        self.volume = self._volume_of(seed)

    def _volume_of(self, seed: int) -> raycast.Volume:
        return self._map if self._map is not None else _volume(self.terrain, seed, self.structures)


def world_of(source: dict[str, Any], width: int, height: int) -> BlockWorld:
    """The world of a dataset's manifest (`source` of kind `blocks`): a terrain, or the map that it brings along."""
    if "map" in source:
        blocks, coats = unpack(source["map"])
        return BlockWorld(width, height, blocks=blocks, coats=coats)
    return BlockWorld(width, height, terrain=source.get("terrain", ""), structures=source.get("structures", 0))
