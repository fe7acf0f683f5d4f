"""What a world should be besides looking right, as losses of probabilities."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def sparsity(occupancy: Tensor) -> Tensor:
    """Mean probability; occupancy [X, Y, Z]."""
    return occupancy.mean()


def material_entropy(materials: Tensor, occupancy: Tensor) -> Tensor:
    """Mean entropy in nats of materials [X, Y, Z, M], weighted by occupancy, which gets no gradient.

    For late in a run: while colours are still sought, it fixes the first guess.
    """
    entropy = -(materials * materials.clamp(min=1e-12).log()).sum(-1)
    weight = occupancy.detach()
    return (weight * entropy).sum() / weight.sum().clamp(min=1e-12)


def smoothness(occupancy: Tensor) -> Tensor:
    """Sum over the axes of the mean squared difference between neighbours; 0 along an axis of one voxel."""
    return sum(
        (occupancy.diff(dim=axis).square().mean() for axis in range(3) if occupancy.shape[axis] > 1),
        start=occupancy.new_zeros(()),
    )


def connectivity(occupancy: Tensor) -> Tensor:
    """Mean of p exp(-n6 / 3), n6 the sum over the six neighbours' p: high where voxels float alone."""
    padded = F.pad(occupancy, (1,) * 6)
    nx, ny, nz = occupancy.shape
    inner = [slice(1, 1 + nx), slice(1, 1 + ny), slice(1, 1 + nz)]
    n6 = occupancy.new_zeros(())
    for axis, side in enumerate(occupancy.shape):
        for start in (0, 2):
            n6 = n6 + padded[tuple(inner[:axis] + [slice(start, start + side)] + inner[axis + 1 :])]
    return (occupancy * (-n6 / 3).exp()).mean()
