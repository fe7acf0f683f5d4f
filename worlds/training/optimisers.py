"""The usual learner, and what recipes choose parameters by."""

from __future__ import annotations

import torch
from torch import nn

from terrarium.worlds.training.schedules import warmup_stable_decay
from terrarium.worlds.training.task import Learner, LossFn


def adamw(
    model: nn.Module,
    loss: LossFn,
    *,
    lr: float,
    steps: int,
    warmup: int = 50,
    decay: float = 0.3,
    weight_decay: float = 0.01,
    clip: float = 1.0,
    fused: bool = True,
) -> Learner:
    """AdamW on all that may be trained; the learning rate warms up, stays, and falls to zero at the end. `fused`: all
    parameters in one pass."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay, fused=fused)
    return Learner(loss=loss, optimizer=optimizer, schedule=warmup_stable_decay(steps, warmup, decay), clip=clip)


def norms(module: nn.Module) -> list[nn.Module]:
    """Normalisation layers: those with running statistics, group, layer and RMS norms."""
    kinds = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
    return [part for part in module.modules() if isinstance(part, kinds)]
