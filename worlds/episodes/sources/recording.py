"""What every source yields: `iter_episodes(config) -> Iterator[Recording]`, one a video.

Finding is cheap and total: a source yields what has a video or an action file. Opening one reads its actions, taking
its frames decodes them; either raises ValueError with the reason where the recording cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from terrarium.worlds.blocks.actions import BLOCKS, KEYS, PITCH, YAW, A, Layout


class Clip(NamedTuple):
    frames: Iterator[np.ndarray]  # T of uint8 [H, W, 3], made as they are taken
    actions: np.ndarray  # float32 [T-1, A]: actions[t] leads from frame t to frame t + 1
    fps: float
    clipped: int = 0  # actions that turned the camera further than an action can say
    pose: np.ndarray | None = None  # float32 [T, 5]
    layout: Layout = BLOCKS  # what the columns of the actions are
    source: dict[str, Any] | None = None  # a manifest's `source`, where the world of the recording can be had again


@dataclass(frozen=True)
class Recording:
    name: str  # its file, below the source's folder
    world: str  # what it shares with other recordings of the same world: a split never parts those
    open: Callable[[], Clip]


class Steps(NamedTuple):
    """A source's own steps, before stride."""

    keys: np.ndarray  # bool [N, 7], in the order of KEYS
    turn_deg: np.ndarray  # float64 [N, 2]: yaw (> 0 right), pitch (> 0 up)


def to_actions(steps: Steps, stride: int, reach_deg: tuple[float, float]) -> tuple[np.ndarray, int]:
    """`stride` steps become one action: turns are summed, a key is held that was held in any of them.

    Turns are divided by `reach_deg` (yaw, pitch) and clipped to [-1, 1]. A last part shorter than `stride` is dropped.
    -> float32 [N // stride, A], the number of actions that were clipped.
    """
    n = len(steps.keys) // stride
    turn = steps.turn_deg[: n * stride].reshape(n, stride, 2).sum(axis=1) / reach_deg
    actions = np.zeros((n, A), np.float32)
    actions[:, [YAW, PITCH]] = np.clip(turn, -1, 1)
    actions[:, -len(KEYS) :] = steps.keys[: n * stride].reshape(n, stride, len(KEYS)).any(axis=1)
    beyond = (np.abs(turn) > 1 + 1e-6).any(axis=1)
    return actions, int(beyond.sum())
