"""Whether a world can be optimised from a view: the gradient that a picture of it has, and how many blocks get one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from terrarium.worlds.blocks.palette import AIR
from terrarium.worlds.device import default_device
from terrarium.worlds.voxels.camera import Camera
from terrarium.worlds.voxels.grid import of_map
from terrarium.worlds.voxels.render import render


@dataclass(frozen=True)
class Gradient:
    """Of the mean of a picture's values with respect to all logits: its L2 norm, and of so many blocks those with one.

    `finite`: whether it holds neither NaN nor infinity.
    """

    norm: float
    blocks: int
    with_gradient: int
    finite: bool


def gradient_of(blocks: np.ndarray, camera: Camera) -> Gradient:
    """Blocks uint8 [X, Y, Z] as a job would start from them. ValueError names a block that no voxel grid knows."""
    grid = of_map(blocks).to(default_device())
    alpha, colour = grid()
    render(alpha, colour, camera).rgb.mean().backward()
    occupancy, material = grid.occupancy_logits.grad, grid.material_logits.grad
    assert occupancy is not None and material is not None
    norm = torch.sqrt(occupancy.square().sum() + material.square().sum())
    pulled = ((occupancy != 0) | (material != 0).any(-1)).cpu().numpy() & (blocks != AIR)
    return Gradient(float(norm), int((blocks != AIR).sum()), int(pulled.sum()), bool(torch.isfinite(norm)))
