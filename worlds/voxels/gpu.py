"""The renderer on a GPU: the Triton programs of kernels/march, for a camera."""

from __future__ import annotations

import torch
from torch import Tensor

from terrarium.kernels.march import fused
from terrarium.worlds.voxels.camera import Camera


def march(alpha: Tensor, face_colour: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As reference.march."""
    eye = torch.tensor(camera.eye, dtype=torch.float64, device=alpha.device)
    rays = torch.from_numpy(camera.rays()).to(alpha.device).reshape(-1, 3)
    out = fused.march(alpha, face_colour, eye, rays).reshape(camera.height, camera.width, 8)
    return out[..., :3], out[..., 3], out[..., 4], out[..., 5:]
