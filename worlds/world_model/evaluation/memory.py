"""Is a place still there when one comes back to it?

`memory_psnr`: left N steps at full speed, right N; likeness to the first picture. `memory_drop`: by how many dB the
picture at the end is less like the first than the tokenizer's picture of it, after the same turns, once around on the
spot, and ahead and backwards again; over the states from which the simulator itself comes back to its first picture.
Nobody does who was falling, or whose way was blocked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.pictures.metrics import psnr
from terrarium.worlds.world_model.evaluation.states import Trial, rounded, through
from terrarium.worlds.world_model.rollout import State, WorldModel, rollout

TURNS = (2, 6, 12)
AROUND = round(360 / act.MAX_YAW_DEG)  # steps of a full circle
AHEAD = 8  # steps there, and as many back
SAME = 40.0  # dB between the simulator's last picture and its first, where it has come back
MOST = 12  # states: they see some 1,200 frames


def ways() -> dict[str, list[str]]:
    """Probes, a step each, that lead back to where they began."""
    turns = {str(n): ["yaw-"] * n + ["yaw+"] * n for n in TURNS}
    return turns | {"circle": ["yaw-"] * AROUND, "there_and_back": ["w"] * AHEAD + ["s"] * AHEAD}


def memory(model: WorldModel, world: BlockWorld, trials: list[Trial], state: State) -> dict[str, Any]:
    """`state` of the trials. Beside `memory_psnr` the tokenizer's own, and that of two views that have nothing in
    common; null where no state is left to judge by."""
    trials = trials[:MOST]
    state = state.select(slice(0, len(trials)))
    first = np.stack([t.frames[-1] for t in trials])
    best = psnr(through(model.tokenizer, first), first)
    found: dict[str, float] = {}
    drop: dict[str, float | None] = {}
    for name, way in ways().items():
        actions = np.stack([act.probe(key) for key in way])
        along = torch.from_numpy(actions).expand(len(trials), -1, -1)
        likeness = psnr(rollout(model, state, along).frames[:, -1], first)
        back = psnr(np.stack([_end(world, t, actions) for t in trials]), first) > SAME
        drop[name] = rounded((best - likeness)[back].mean(), 3) if back.any() else None
        if name.isdigit():
            found[name] = rounded(likeness.mean(), 3)
    strangers = [psnr(first[i], first[i - 1]) for i in range(1, len(first))]
    return {
        "memory_psnr": found,
        "memory_drop": drop,
        "memory_tokenizer_psnr": rounded(best.mean(), 3),
        "memory_floor_psnr": rounded(np.mean(strangers), 3) if strangers else None,
    }


def _end(world: BlockWorld, trial: Trial, actions: np.ndarray) -> np.ndarray:
    """The simulator's last picture along the way."""
    world.set_state(trial.start)
    for action in actions:
        world.advance(action)
    return world.render()
