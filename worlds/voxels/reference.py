"""The renderer's definition, kernels/march/naive.py, for a camera: in torch, by autograd, in float64 where asked.

Slow and large: [rays, X + Y + Z + 2] of everything that a ray meets is kept for the backward.
"""

from __future__ import annotations

import torch
from torch import Tensor

from terrarium.kernels.march import naive
from terrarium.worlds.voxels.camera import Camera

CHUNK = 2**22  # crossings sorted at once: what bounds the memory of a forward


def march(alpha: Tensor, face_colour: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """rgb [H, W, 3] before a background, opacity [H, W], depth [H, W], normal [H, W, 3], in alpha's dtype."""
    eye = torch.tensor(camera.eye, dtype=torch.float64, device=alpha.device)
    rays = torch.from_numpy(camera.rays()).to(alpha.device).reshape(-1, 3)
    parts = [naive.march(alpha, face_colour, eye, some) for some in rays.split(max(1, CHUNK // (sum(alpha.shape) + 3)))]
    out = torch.cat(parts).reshape(camera.height, camera.width, 8)
    return out[..., :3], out[..., 3], out[..., 4], out[..., 5:]
