"""Held-out states, and what the simulator does from each: the material that every group of the evaluation shares."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.walk import Walker
from terrarium.worlds.blocks.world import BlockWorld, State, world_of
from terrarium.worlds.progress import Progress, go_on
from terrarium.worlds.world_model.evaluation.parts import Part
from terrarium.worlds.world_model.fits import FIRST_SEED, evaluation_misfits
from terrarium.worlds.world_model.rollout import BURN_IN
from terrarium.worlds.world_model.tokenizer import Tokenizer

HELD = 4  # steps that a probe is held
WALK = 16  # steps of a short walk
SEEDS = 100_000  # of worlds for each seed of an evaluation
TRIES = 50  # states for each that is wanted
DISTINCT = 0.75  # mean absolute difference, of 255, by which two branches must differ to be told apart


@dataclass
class Trial:
    """One held-out state and what the simulator does from it."""

    frames: np.ndarray  # uint8 [BURN_IN, H, W, 3]
    actions: np.ndarray  # float32 [BURN_IN - 1, A]
    branches: np.ndarray  # uint8 [probes, HELD, H, W, 3]
    walk_actions: np.ndarray  # float32 [WALK, A]
    walk_frames: np.ndarray  # uint8 [WALK, H, W, 3]
    start: State  # of the simulator at the last of `frames`


ARRAYS = ("frames", "actions", "branches", "walk_actions", "walk_frames")  # of a Trial


class Policy(Protocol):
    def next(self, pitch_deg: float) -> np.ndarray: ...


class Phases:
    """Tells `progress` how far the evaluation is. A stop request raises Stopped."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done, self.phase = progress, total, 0, "simulate"

    def step(self, phase: str) -> None:
        self.done, self.phase = self.done + 1, phase
        self.go_on()

    def go_on(self) -> None:
        """Within a step: still at work, or told to stop."""
        go_on(self.progress, self.done, self.total, self.phase)


def simulator(manifest: dict[str, Any]) -> BlockWorld:
    """The world that a checkpoint was trained on; ValueError where it was another source or knew the held-out seeds."""
    for _, reason in evaluation_misfits(None, {"checkpoint": manifest}):
        raise ValueError(f"the checkpoint {reason}")
    data = manifest["data"]
    height, width = data["frame_size"]
    return world_of(data["source"], width, height)


def held_out_seed(seed: int, i: int) -> int:
    """The i-th world of the evaluation `seed`."""
    return FIRST_SEED + (seed * SEEDS + i) % FIRST_SEED


def find_trials(world: BlockWorld, seed: int, episodes: int, phases: Phases) -> list[Trial]:
    trials: list[Trial] = []
    for i in range(TRIES * episodes):
        phases.go_on()
        trial = find_trial(world, held_out_seed(seed, i))
        if trial is not None:
            trials.append(trial)
            phases.step("simulate")
        if len(trials) == episodes:
            return trials
    raise ValueError(
        f"{TRIES * episodes} states of {world.terrain} and only {len(trials)} in which every action shows: "
        f"expected {episodes}"
    )


def pack(trials: list[Trial]) -> Part:
    """As a part that is kept (parts.py)."""
    arrays = {name: np.stack([getattr(t, name) for t in trials]) for name in ARRAYS}
    starts = [{k: v.item() if isinstance(v, np.generic) else v for k, v in asdict(t.start).items()} for t in trials]
    return {name: torch.from_numpy(x) for name, x in arrays.items()}, {"starts": starts}


def unpack(tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> list[Trial]:
    arrays = {name: tensors[name].numpy() for name in ARRAYS}
    starts = [State(**start) for start in values["starts"]]
    return [Trial(**{k: x[i] for k, x in arrays.items()}, start=start) for i, start in enumerate(starts)]


def find_trial(world: BlockWorld, seed: int) -> Trial | None:
    """None where two probes look alike after one step."""
    walker = Walker(np.random.default_rng([seed, 0xE7A1]))
    frames, actions = warm_up(world, walker, seed)
    start = world.copy_state()
    first = []
    for name in act.PROBES:
        world.set_state(start)
        first.append(world.step(act.probe(name)).astype(np.int16))
    if any(np.abs(a - b).mean() < DISTINCT for i, a in enumerate(first) for b in first[:i]):
        return None
    branches = [hold(world, start, act.probe(name)) for name in act.PROBES]
    world.set_state(start)
    walk_actions, walk_frames = stroll(world, walker, WALK)
    return Trial(frames, actions, np.stack(branches), walk_actions, walk_frames, start)


def warm_up(world: BlockWorld, walker: Walker, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Resets `world` and walks -> the burn-in's frames and actions."""
    first = world.reset(seed)
    actions, frames = stroll(world, walker, BURN_IN - 1)
    return np.concatenate([first[None], frames]), actions


def stroll(
    world: BlockWorld, walker: Policy, steps: int, at: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """-> actions float32 [steps, A], frames uint8 [steps, H, W, 3]; `at`: only those after these steps, 1 the first."""
    actions, frames = [], []
    for step in range(1, steps + 1):
        actions.append(walker.next(float(world.pose[4])))
        world.advance(actions[-1])
        if at is None or step in at:
            frames.append(world.render())
    return np.stack(actions), np.stack(frames)


def hold(world: BlockWorld, start: State, action: np.ndarray) -> np.ndarray:
    """`action` for HELD steps from `start` -> uint8 [HELD, H, W, 3]."""
    world.set_state(start)
    return np.stack([world.step(action) for _ in range(HELD)])


def encoded(tokenizer: Tokenizer, frames: np.ndarray) -> torch.Tensor:
    """uint8 [..., H, W, 3] -> codes int64 [..., h, w]."""
    return tokenizer.encode(frames.reshape(-1, *frames.shape[-3:])).unflatten(0, frames.shape[:-3])


def through(tokenizer: Tokenizer, frames: np.ndarray) -> np.ndarray:
    """Frames as the tokenizer would show them, same shape."""
    codes = encoded(tokenizer, frames)
    parts = [tokenizer.decode(c) for c in codes.flatten(0, -3).split(256)]
    return torch.cat(parts).cpu().numpy().reshape(frames.shape)


def rounded(value: Any, digits: int = 4) -> float:
    return round(float(value), digits)
