"""The live path, one frame at a time with sessions stacked anew, against the batched forward over all frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from terrarium.worlds.world_model.codes import likeliest
from terrarium.worlds.world_model.dynamics import Dynamics, Memory
from terrarium.worlds.world_model.evaluation.states import Trial, encoded, rounded
from terrarium.worlds.world_model.tokenizer import to_pictures

SESSIONS = 4


@torch.inference_mode()
def parity(model: Dynamics, trials: list[Trial]) -> dict[str, Any]:
    """Largest difference of any logit, beside the logits' own spread, and how many greedy codes agree."""
    frames = np.stack([t.walk_frames for t in trials[:SESSIONS]])
    actions = torch.from_numpy(np.stack([t.walk_actions for t in trials[:SESSIONS]])).to(model.device)[:, 1:]
    codes, pictures = encoded(model.tokenizer, frames)[:, :-1], to_pictures(frames).to(model.device)[:, :-1]
    whole = model(codes, pictures, actions, model.initial(len(codes))).logits
    sessions = [model.initial(1) for _ in codes]
    live = []
    for t in range(actions.shape[1]):
        now = slice(t, t + 1)
        made = model(codes[:, now], pictures[:, now], actions[:, now], Memory.stack(sessions))
        sessions = [made.memory.select(slice(i, i + 1)) for i in range(len(codes))]
        live.append(made.logits)
    stepped = torch.cat(live, dim=1)
    same = likeliest(stepped.flatten(0, 1), model.factors) == likeliest(whole.flatten(0, 1), model.factors)
    return {
        "parity": {
            "largest_logit_difference": float(f"{(stepped - whole).abs().max().item():.2e}"),
            "logit_deviation": rounded(whole.std()),
            "same_greedy_codes": rounded(same.float().mean()),
        }
    }
