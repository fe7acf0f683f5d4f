"""Long rollouts, model and simulator under the same actions, as live play would run them: random walks, one key held
all the way, and circles. The model takes them all in one batch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.walk import Walker
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.world_model.evaluation.parts import Part, Parts
from terrarium.worlds.world_model.evaluation.states import Phases, held_out_seed, stroll, warm_up
from terrarium.worlds.world_model.rollout import State, WorldModel, burn_in, rollout

FAR = 512  # steps
LOOKS = np.r_[2:17:2, 20:65:4, 72 : FAR + 1 : 8]  # steps at which the walks of every kind are looked at
CHUNK = 16  # steps between two looks at a stop request
BEFORE = 2  # real frames in front of each random walk, which the judge needs
RANDOM = "random"
HELD = {"w": act.action("w"), "s": act.action("s"), "circle": act.action("w", yaw=1.0)}
WALKS = {RANDOM: 20, "w": 10, "s": 6, "circle": 6}  # at most; they take two thirds of the evaluation's time
FIRST_WALK, FIRST_OTHER, FIRST_REFERENCE = 90_000, 92_500, 95_000  # worlds of `held_out_seed` that no trial uses
WORLDS = 500  # of them for each kind of walk
OTHERS = 3


@dataclass
class Walks:
    """B random walks of N steps. Frames are uint8 [B, BEFORE + N, H, W, 3]; the first BEFORE are real in both."""

    actions: np.ndarray  # float32 [B, N, A]
    real: np.ndarray
    own: np.ndarray

    @property
    def steps(self) -> int:
        return self.actions.shape[1]


@dataclass
class Looks:
    """Frames of B walks of one kind at the steps LOOKS, uint8 [B, len(LOOKS), H, W, 3]."""

    own: np.ndarray
    real: np.ndarray  # the simulator's under the same actions
    other: np.ndarray  # the simulator's on OTHERS * B walks of the same kind through other worlds


@dataclass
class Course:
    """A walk of the simulator, and what comes before it."""

    seen: np.ndarray  # uint8 [BURN_IN, H, W, 3]
    before: np.ndarray  # float32 [BURN_IN - 1, A]
    actions: np.ndarray  # float32 [FAR, A]
    frames: np.ndarray  # uint8 [FAR, H, W, 3], or at LOOKS alone


@dataclass
class Holder:
    """A walker that does one thing for ever."""

    action: np.ndarray

    def next(self, pitch_deg: float) -> np.ndarray:
        return self.action


def long_walks(
    model: WorldModel,
    world: BlockWorld,
    seed: int,
    episodes: int,
    phases: Phases,
    parts: Parts,
    kinds: Collection[str] = tuple(HELD),
) -> tuple[Walks, dict[str, Looks]]:
    """-> the random walks, and looks at the walks of every kind: RANDOM and `kinds`, names of HELD."""
    counts = {RANDOM: min(WALKS[RANDOM], 2 * episodes)} | {k: min(WALKS[k], max(2, episodes)) for k in kinds}
    along: dict[str, list[Course]] = {}
    for number, (kind, count) in enumerate(counts.items()):
        at = [held_out_seed(seed, FIRST_WALK + WORLDS * number + i) for i in range(count)]
        along[kind] = [_course(world, x, kind, phases, looks=kind != RANDOM) for x in at]
    others: dict[str, list[np.ndarray]] = {kind: [] for kind in counts}
    for i in range(OTHERS * max(counts.values())):  # all kinds in one world after the other, which takes time to make
        for kind in (k for k, count in counts.items() if i < OTHERS * count):
            others[kind].append(_course(world, held_out_seed(seed, FIRST_OTHER + i), kind, phases, looks=True).frames)
    own = _rollouts(model, along, phases, parts)
    real = {kind: np.stack([c.frames for c in courses]) for kind, courses in along.items()}
    head = np.stack([c.seen[-BEFORE:] for c in along[RANDOM]])
    sides = (np.concatenate([head, frames[RANDOM]], axis=1) for frames in (real, own))
    walks = Walks(np.stack([c.actions for c in along[RANDOM]]), *sides)
    own[RANDOM], real[RANDOM] = (frames[RANDOM][:, LOOKS - 1] for frames in (own, real))
    return walks, {kind: Looks(own[kind], real[kind], np.stack(others[kind])) for kind in counts}


def chunks() -> int:
    """How often `long_walks` tells its progress."""
    return FAR // CHUNK


def _course(world: BlockWorld, seed: int, kind: str, phases: Phases, *, looks: bool) -> Course:
    """`looks`: frames at LOOKS alone."""
    phases.go_on()
    walker = Walker(np.random.default_rng([seed, 0xFA2]))
    seen, before = warm_up(world, walker, seed)
    policy = walker if kind == RANDOM else Holder(HELD[kind])
    return Course(seen, before, *stroll(world, policy, FAR, LOOKS if looks else None))


def _rollouts(model: WorldModel, along: dict[str, list[Course]], phases: Phases, parts: Parts) -> dict[str, np.ndarray]:
    """-> the model's frames along the walks of each kind: of random ones at every step, else at LOOKS."""
    courses = [c for some in along.values() for c in some]
    seen, before, actions = (np.stack([getattr(c, x) for c in courses]) for x in ("seen", "before", "actions"))
    state = burn_in(model, seen, before)
    walked, looked = [], []
    for first in range(0, FAR, CHUNK):
        at = LOOKS[(first < LOOKS) & (first + CHUNK >= LOOKS)] - first - 1
        steps = torch.from_numpy(actions[:, first : first + CHUNK])
        tensors, _ = parts(partial(_chunk, model, state, steps, len(along[RANDOM]), at))
        walked.append(tensors["walked"].numpy())
        looked.append(tensors["looked"].numpy())
        state = State.of(tensors)
        phases.step("long rollouts")
    ends = np.cumsum([len(some) for kind, some in along.items() if kind != RANDOM])[:-1]
    held = [kind for kind in along if kind != RANDOM]
    looks = np.split(np.concatenate(looked, axis=1), ends) if held else []
    return {RANDOM: np.concatenate(walked, axis=1)} | dict(zip(held, looks, strict=True))


def _chunk(model: WorldModel, state: State, actions: torch.Tensor, random: int, at: np.ndarray) -> Part:
    made = rollout(model, state, actions)
    frames = torch.from_numpy(made.frames)
    return {"walked": frames[:random], "looked": frames[random:, at]} | made.state.tensors(), {}


def reference_clips(world: BlockWorld, seed: int, walks: int, phases: Phases) -> np.ndarray:
    """Real walks through other worlds, uint8 [walks, BEFORE + FAR / 2, H, W, 3]: as long as the half of `Walks`."""
    clips = []
    for i in range(walks):
        phases.go_on()
        at = held_out_seed(seed, FIRST_REFERENCE + i)
        walker = Walker(np.random.default_rng([at, 0xFA2]))
        world.reset(at)
        clips.append(stroll(world, walker, FAR // 2 + BEFORE)[1])
    return np.stack(clips)
