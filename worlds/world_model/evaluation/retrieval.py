"""Counterfactual retrieval: of the simulator's futures under every action, is the model's nearest to its own?

From one state after the burn-in every probe is held for k steps in the model and in the simulator; pictures of both
go through the tokenizer and are compared by mean squared difference. Chance is 1 / probes. States in which two branches
look the same cannot tell and are passed over (states.py); ties count as their share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.world_model.evaluation.states import HELD, Trial, rounded, through
from terrarium.worlds.world_model.rollout import State, WorldModel, rollout

RETRIEVAL_AT = (1, HELD)


def hold_probes(model: WorldModel, state: State) -> np.ndarray:
    """Every probe held from every one of N states -> uint8 [N, probes, HELD, H, W, 3]."""
    probes = len(act.PROBES)
    n = len(state.codes)
    held = torch.from_numpy(np.stack([act.probe(name) for name in act.PROBES]))
    actions = held.unsqueeze(1).expand(-1, HELD, -1).repeat(n, 1, 1)
    frames = rollout(model, state.repeat(probes), actions).frames
    return frames.reshape(n, probes, *frames.shape[1:])


def retrieval(model: WorldModel, trials: list[Trial], own: np.ndarray) -> dict[str, Any]:
    """`own` as `hold_probes` gives it."""
    hits = {}
    for k in RETRIEVAL_AT:
        mine = through(model.tokenizer, own[:, :, k - 1]).astype(np.float32)
        real = through(model.tokenizer, np.stack([t.branches[:, k - 1] for t in trials])).astype(np.float32)
        flat = (x.reshape(*x.shape[:2], -1) for x in (mine, real))
        hits[str(k)] = np.stack([nearest_is_own(p, q) for p, q in zip(*flat, strict=True)])
    return {
        "counterfactual_retrieval": {k: rounded(h.mean()) for k, h in hits.items()},
        "retrieval_by_key": {
            k: {name: rounded(v) for name, v in zip(act.PROBES, h.mean(axis=0), strict=True)} for k, h in hits.items()
        },
        "chance": rounded(1 / len(act.PROBES)),
    }


def nearest_is_own(pictures: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[P, N] each -> [P]: 1 where truth[i] is the nearest to pictures[i], 1/n on an n-fold tie, else 0."""
    distance = ((pictures[:, None] - truth[None]) ** 2).mean(axis=-1)
    best = distance <= distance.min(axis=1, keepdims=True)
    return np.diagonal(best) / best.sum(axis=1)
