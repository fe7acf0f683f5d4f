"""Long rollouts under a random walk, model and simulator under the same actions, as live play would run them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from terrarium.worlds.blocks.walk import Walker
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.evaluation.parts import Part, Parts
from terrarium.worlds.world_model.evaluation.states import Phases, held_out_seed, stroll, warm_up
from terrarium.worlds.world_model.rollout import State, burn_in, rollout

FAR, NEAR = 512, 64  # steps; more walks go near, since the first windows hold few frames of each
CHUNK = 16  # steps between two looks at a stop request
BEFORE = 2  # real frames in front of each walk, which the judge needs
FIRST_WALK, FIRST_REFERENCE = 90_000, 95_000  # worlds of `held_out_seed` that no trial uses


@dataclass
class Walks:
    """B walks of N steps. Frames are uint8 [B, BEFORE + N, H, W, 3]; the first BEFORE are real in both."""

    actions: np.ndarray  # float32 [B, N, A]
    real: np.ndarray
    own: np.ndarray

    @property
    def steps(self) -> int:
        return self.actions.shape[1]


def long_walks(
    model: Dynamics, world: BlockWorld, seed: int, episodes: int, phases: Phases, parts: Parts
) -> list[Walks]:
    """Few walks that go far, and then some that stay near."""
    far, near = min(8, episodes), min(16, 2 * episodes)
    return [
        _walks(model, world, [held_out_seed(seed, FIRST_WALK + i) for i in rows], steps, phases, parts)
        for rows, steps in ((range(far), FAR), (range(far, far + near), NEAR))
    ]


def chunks() -> int:
    """How often `long_walks` tells its progress."""
    return (FAR + NEAR) // CHUNK


def _walks(model: Dynamics, world: BlockWorld, seeds: list[int], steps: int, phases: Phases, parts: Parts) -> Walks:
    starts, walked = [], []
    for seed in seeds:
        phases.go_on()
        walker = Walker(np.random.default_rng([seed, 0xFA2]))
        starts.append(warm_up(world, walker, seed))
        walked.append(stroll(world, walker, steps))
    seen, before = (np.stack(x) for x in zip(*starts, strict=True))
    actions, real = (np.stack(x) for x in zip(*walked, strict=True))
    state = burn_in(model, seen, before)
    own = []
    for part in torch.from_numpy(actions).split(CHUNK, dim=1):
        tensors, _ = parts(partial(_chunk, model, state, part))
        own.append(tensors["frames"].numpy())
        state = State.of(tensors)
        phases.step("long rollouts")
    head = seen[:, -BEFORE:]
    return Walks(actions, np.concatenate([head, real], axis=1), np.concatenate([head, *own], axis=1))


def _chunk(model: Dynamics, state: State, actions: torch.Tensor) -> Part:
    made = rollout(model, state, actions)
    return {"frames": torch.from_numpy(made.frames)} | made.state.tensors(), {}


def reference_clips(world: BlockWorld, seed: int, like: Walks, phases: Phases) -> np.ndarray:
    """Real walks through other worlds, of the shape of the second half of `like`'s frames."""
    clips = []
    for i in range(len(like.actions)):
        phases.go_on()
        at = held_out_seed(seed, FIRST_REFERENCE + i)
        walker = Walker(np.random.default_rng([at, 0xFA2]))
        world.reset(at)
        clips.append(stroll(world, walker, like.steps // 2 + BEFORE)[1])
    return np.stack(clips)
