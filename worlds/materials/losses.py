"""What training lowers: for each map L1, and besides SSIM of the albedo and the angle between normals."""

from __future__ import annotations

import torch
from torch import Tensor

from terrarium.kernels.ssim.fused import ssim
from terrarium.worlds.materials.kinds import MaterialTrainConfig
from terrarium.worlds.materials.maps import ALBEDO, MAPS, NORMAL, unit
from terrarium.worlds.precision import in_full


def map_loss(found: Tensor, true: Tensor, weights: MaterialTrainConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """Of maps [B, 8, H, W], parts by their weights -> loss, its parts. 1 - cosine stands for the angle."""
    with in_full(found):
        parts = {name: (found[:, at] - true[:, at]).abs().mean() for name, at in MAPS.items()}
        parts["ssim"] = 1 - ssim(found[:, ALBEDO].contiguous(), true[:, ALBEDO].contiguous(), 1.0).mean()
        parts["angle"] = 1 - (unit(found[:, NORMAL]) * unit(true[:, NORMAL])).sum(1).mean()
        loss = torch.stack([getattr(weights, name) * part for name, part in parts.items()]).sum()
    return loss, {name: part.detach() for name, part in parts.items()}
