"""A trained world model, and how it is run forward: burn in on real frames, then on its own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from worlds.checkpoint import load_checkpoint, load_into
from worlds.configs import WorldModelConfig
from worlds.world_model.dynamics import DECODE_TRUST, Dynamics, Hidden
from worlds.world_model.tokenizer import channels_last, tokenizer_from

BURN_IN = 8  # real frames before evaluation and play begin


def shipped_folder() -> Path:
    """The checkpoint that comes with the project."""
    return Path(str(files("worlds.world_model") / "shipped"))


def load_world_model(folder: Path) -> tuple[Dynamics, dict[str, Any]]:
    """-> dynamics (with its tokenizer, in eval mode), manifest. ValueError for any other kind of folder."""
    tensors, manifest = load_checkpoint(folder, "world-model")
    config = TypeAdapter(WorldModelConfig).validate_python(manifest["dynamics"])
    dynamics = channels_last(Dynamics(config, tokenizer_from(manifest), tuple(manifest["grid"])))
    load_into(dynamics, tensors, folder)
    return dynamics.eval(), manifest


@torch.inference_mode()
def burn_in(model: Dynamics, codes: torch.Tensor, actions: torch.Tensor) -> Hidden:
    """codes int64 [B, T, h, w], actions [B, T-1, A] -> the state aligned with the last frame."""
    _, hidden, _ = model(codes[:, :-1], actions, model.initial(len(codes)))
    return hidden


@torch.inference_mode()
def rollout(
    model: Dynamics, codes: torch.Tensor, hidden: Hidden, actions: torch.Tensor, temperature: float = 0.0
) -> torch.Tensor:
    """From codes [B, h, w] of the last real frame, along actions [B, N, A] -> the model's own codes [B, N, h, w]."""
    own = []
    for t in range(actions.shape[1]):
        logits, hidden, _ = model(codes.unsqueeze(1), actions[:, t : t + 1], hidden, trust=DECODE_TRUST)
        codes = model.sample(logits[:, 0], temperature)
        own.append(codes)
    return torch.stack(own, dim=1)
