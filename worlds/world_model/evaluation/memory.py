"""Is a place still there when one turns back to it? Left N steps at full speed, right N: the view is the same again."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.pictures.metrics import psnr
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.evaluation.states import Trial, rounded, through
from terrarium.worlds.world_model.rollout import State, rollout

TURNS = (2, 6, 12)
MOST = 12  # states: they see 480 frames


def memory(model: Dynamics, trials: list[Trial], state: State) -> dict[str, Any]:
    """PSNR to the first frame; beside it the tokenizer's own, and that of two views that have nothing in common."""
    trials = trials[:MOST]
    state = state.select(slice(0, len(trials)))
    first = np.stack([t.frames[-1] for t in trials])
    found = {}
    for n in TURNS:
        there_and_back = np.stack([act.probe("yaw-")] * n + [act.probe("yaw+")] * n)
        actions = torch.from_numpy(there_and_back).expand(len(trials), -1, -1)
        found[str(n)] = rounded(psnr(rollout(model, state, actions).frames[:, -1], first).mean(), 3)
    strangers = [psnr(first[i], first[i - 1]) for i in range(1, len(first))]
    return {
        "memory_psnr": found,
        "memory_tokenizer_psnr": rounded(psnr(through(model.tokenizer, first), first).mean(), 3),
        "memory_floor_psnr": rounded(np.mean(strangers), 3) if strangers else None,
    }
