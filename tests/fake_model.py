"""A stand-in for LiveModel (worlds/world_model/live.py): same interface, nothing learned, all noted down."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import numpy as np

from terrarium.worlds.blocks.actions import BLOCKS, MAX_YAW_DEG, YAW, Layout

DISCRETE = Layout(("left", "right", "fire"), {"KeyA": "left", "KeyD": "right", "Space": "fire"})


def opened() -> Event:
    event = Event()
    event.set()
    return event


class FakeWorld:
    """Its picture is one grey level: the seed's, then one step brighter each frame."""

    def __init__(self) -> None:
        self.seed = self.steps = self.advanced = 0

    def reset(self, seed: int) -> np.ndarray:
        self.seed, self.steps = seed, 0
        return self.render()

    def step(self, action: np.ndarray) -> np.ndarray:
        self.steps += 1
        return self.render()

    def advance(self, action: np.ndarray) -> None:
        self.steps += 1
        self.advanced += 1

    def render(self) -> np.ndarray:
        return np.full((16, 16, 3), (self.seed + self.steps) % 256, np.uint8)


@dataclass
class FakeState:
    seed_level: int
    taken: list[np.ndarray] = field(default_factory=list)


@dataclass
class FakeModel:
    """`batches` holds each step's batch size, `taken` each state's actions (all of them, in order). It is
    loaded once `may_load` is set."""

    fps: float = 15.0
    frame_size: tuple[int, int] = (16, 16)
    layout: Layout = BLOCKS
    has_simulator: bool = True
    temperature: float = 0.5
    step_s: float = 0.0
    may_load: Event = field(default_factory=opened)
    manifest: dict[str, Any] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    states: list[FakeState] = field(default_factory=list)
    worlds: list[FakeWorld] = field(default_factory=list)
    sources: list[dict[str, Any] | None] = field(default_factory=list)  # of the worlds, as they were asked for
    temperatures: list[float] = field(default_factory=list)
    guidances: list[float] = field(default_factory=list)
    fails: bool = False

    def simulator(self, source: dict[str, Any] | None = None) -> FakeWorld | None:
        if not self.has_simulator:
            return None
        self.sources.append(source)
        self.worlds.append(FakeWorld())
        return self.worlds[-1]

    def context(self, world: FakeWorld | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
        frame = FakeWorld().reset(seed) if world is None else world.reset(seed)
        return frame[None], np.zeros((0, len(self.layout.names)), np.float32)

    def start(self, frames: np.ndarray, actions: np.ndarray) -> FakeState:
        self.states.append(FakeState(int(frames[-1, 0, 0, 0])))
        return self.states[-1]

    def step(
        self, states: list[FakeState], actions: np.ndarray, temperature: np.ndarray, guidance: np.ndarray | None = None
    ) -> np.ndarray:
        if self.fails:
            raise RuntimeError("the fake was told to fail")
        assert actions.shape == (len(states), len(self.layout.names)) and temperature.shape == (len(states),)
        time.sleep(self.step_s)
        self.batches.append(len(states))
        self.temperatures, self.guidances = temperature.tolist(), [] if guidance is None else guidance.tolist()
        for state, action in zip(states, actions, strict=True):
            state.taken.append(action.copy())
        return np.stack([np.full((16, 16, 3), s.seed_level, np.uint8) for s in states])

    def keys_seen(self, state: int = -1) -> list[set[str]]:
        """The keys that the state's steps saw."""
        keys = self.layout.pressed_by_keys
        return [
            {key for key, down in zip(keys, a[-len(keys) :], strict=True) if down} for a in self.states[state].taken
        ]

    def yaw_deg(self, state: int = -1) -> list[float]:
        return [float(a[YAW]) * MAX_YAW_DEG for a in self.states[state].taken]
