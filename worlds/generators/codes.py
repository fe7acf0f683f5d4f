"""Block worlds as a diffusion model sees them: CHANNELS numbers a voxel, and back.

Channel 0 is occupancy, -1/2 or 1/2, the others are the palette: 1 at the block's material, else 0. Any two of the eight
codes are equally far apart, so noise confuses no two types sooner than others. What is between codes is a mixture: see
`mixture`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.blocks.palette import AIR, NAMES
from terrarium.worlds.precision import in_full

TYPES = 8  # air and the map format's seven materials, by their ids
CHANNELS = 8


def codes() -> Tensor:
    """[TYPES, CHANNELS] by block id."""
    table = torch.eye(TYPES)
    table[:, 0] = 0.5
    table[AIR, 0] = -0.5
    return table


def check_types(blocks: np.ndarray) -> None:
    """ValueError that names the first block [X, Y, Z] whose type a generator does not know."""
    strange = np.argwhere(blocks >= TYPES)
    if len(strange):
        x, y, z = (int(v) for v in strange[0])
        known = ", ".join(NAMES[1:TYPES])
        raise ValueError(f"the block at [{x}, {y}, {z}] is {NAMES[blocks[x, y, z]]}: a generator knows {known}")


def encode(ids: Tensor) -> Tensor:
    """Ids [B, X, Y, Z] -> float [B, CHANNELS, X, Y, Z]."""
    return codes().to(ids.device)[ids.long()].movedim(-1, 1).contiguous()


def decode(x: Tensor) -> Tensor:
    """float [B, CHANNELS, X, Y, Z] -> ids uint8 [B, X, Y, Z] of the nearest codes."""
    return nearness(x, 1.0).argmax(1).to(torch.uint8)


def nearness(z: Tensor, alpha: Tensor | float) -> Tensor:
    """z . alpha c - |alpha c|^2 / 2 of each code c, over alpha; z [B, CHANNELS, X, Y, Z] -> [B, TYPES, X, Y, Z]."""
    table = codes().to(z)
    with in_full(z):
        return torch.einsum("bc...,kc->bk...", z, table) - alpha * table.square().sum(1).view(1, -1, 1, 1, 1) / 2


def evidence(z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Log-likelihood of each type given its own voxel of z = alpha x + sigma eps alone, less what all types share.

    z [B, CHANNELS, X, Y, Z], alpha and sigma [B, 1, 1, 1, 1] -> [B, TYPES, X, Y, Z].
    """
    return alpha / sigma.square() * nearness(z, alpha)


def expected(likely: Tensor) -> Tensor:
    """Probabilities [B, TYPES, X, Y, Z] -> the mean of the codes, [B, CHANNELS, X, Y, Z]."""
    with in_full(likely):
        return torch.einsum("bk...,kc->bc...", likely, codes().to(likely))


def mixture(x: Tensor) -> tuple[Tensor, Tensor]:
    """Clean predictions [B, CHANNELS, X, Y, Z] -> occupancy [B, X, Y, Z] and materials [B, X, Y, Z, 7], both in [0, 1];
    materials sum to one."""
    occupancy = (x[:, 0] + 0.5).clamp(0, 1)
    palette = x[:, 1:].clamp(min=1e-6).movedim(1, -1)
    return occupancy, palette / palette.sum(-1, keepdim=True)
