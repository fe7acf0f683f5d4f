"""Walks in the block world: a random one, which recording and evaluation share, and the glance that begins play.

The walker holds each choice for a few frames, often presses a single key, and changes between choices at once, so
that every action is seen alone, in combination and at its onset.
"""

from __future__ import annotations

import numpy as np

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.world import BlockWorld

_MOVES = ("", "w", "s", "a", "d", "w a", "w d", "s a", "s d")
_MOVE_P = (0.22, 0.2, 0.14, 0.14, 0.14, 0.04, 0.04, 0.04, 0.04)
_TURNS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
_TURN_P = (0.5, 0.15, 0.15, 0.1, 0.1)


class Walker:
    """A policy: `next(pose) -> action [A]`. Camera turns are full speed half of the time, else uniform."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.left = 0
        self.held = act.action()

    def next(self, pitch_deg: float) -> np.ndarray:
        if self.left == 0:
            self.held, self.left = self._choose(pitch_deg), int(self.rng.integers(1, 13))
        self.left -= 1
        return self.held

    def _choose(self, pitch_deg: float) -> np.ndarray:
        rng = self.rng
        keys = _MOVES[rng.choice(len(_MOVES), p=_MOVE_P)].split()
        yaw, pitch = _TURNS[rng.choice(len(_TURNS), p=_TURN_P)]
        if pitch and rng.random() < abs(pitch_deg) / 40:  # mostly back towards the horizon, where the world is
            pitch = -int(np.sign(pitch_deg))
        speed = 1.0 if rng.random() < 0.5 else rng.uniform(0.1, 1.0)
        if rng.random() < 0.12:
            keys.append("jump")
        if keys and rng.random() < 0.15:
            keys.append(str(rng.choice(["sprint", "sneak"])))
        return act.action(*keys, yaw=yaw * speed, pitch=pitch * speed)


def walk(world: BlockWorld, seed: int, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resets `world` to `seed` and walks: frames uint8 [steps+1, H, W, 3], actions [steps, A], pose [steps+1, 5]."""
    walker = Walker(np.random.default_rng([seed, 0xA11CE]))
    frames, actions, poses = [world.reset(seed)], [], [world.pose]
    for _ in range(steps):
        actions.append(walker.next(float(world.pose[4])))
        frames.append(world.step(actions[-1]))
        poses.append(world.pose)
    return np.stack(frames), np.stack(actions), np.stack(poses)


def glance(world: BlockWorld, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Resets `world` to `seed` and looks right and back, which shows a world model the place before it goes on alone:
    frames uint8 [8, H, W, 3], actions [7, A]."""
    actions = [act.action(yaw=0.5)] * 2 + [act.action(yaw=-0.5)] * 2 + [act.action()] * 3
    return np.stack([world.reset(seed)] + [world.step(action) for action in actions]), np.stack(actions)
