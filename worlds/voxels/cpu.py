"""The renderer on CPU cores: march.py as one differentiable operation."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.voxels import march as compiled
from terrarium.worlds.voxels.camera import Camera


class _March(torch.autograd.Function):
    """alpha [X, Y, Z], face_colour [X, Y, Z, 6, 3] -> [H, W, 8]: rgb without background, opacity, depth, normal."""

    @staticmethod
    def forward(ctx: Any, alpha: Tensor, face_colour: Tensor, camera: Camera) -> Tensor:
        ctx.save_for_backward(alpha, face_colour)
        ctx.camera = camera
        out = alpha.new_empty(camera.height, camera.width, 8)
        compiled.forward(*arguments(alpha, face_colour, camera), numba.get_num_threads(), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        alpha, face_colour = ctx.saved_tensors
        threads = numba.get_num_threads()
        d_alpha = alpha.new_zeros(threads, *alpha.shape)
        d_colour = alpha.new_zeros(threads, *face_colour.shape)
        compiled.backward(
            *arguments(alpha, face_colour, ctx.camera),
            grads[0].contiguous().numpy(),
            d_alpha.view(threads, -1).numpy(),
            d_colour.view(threads, -1, 6, 3).numpy(),
        )
        return d_alpha.sum(0), d_colour.sum(0), None


def arguments(alpha: Tensor, face_colour: Tensor, camera: Camera) -> tuple[Any, ...]:
    """What march.forward and march.backward begin with."""
    nx, ny, nz = alpha.shape
    cells = alpha.detach().contiguous().view(nx, ny * nz).numpy()
    colours = face_colour.detach().contiguous().view(-1, 6, 3).numpy()
    eye = tuple(float(v) for v in camera.eye)
    return cells, colours, ny, nz, eye, np.ascontiguousarray(camera.axes, np.float64), camera.pixel_rays


def march(alpha: Tensor, face_colour: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As reference.march, on as many threads as numba has (NUMBA_NUM_THREADS)."""
    out = _March.apply(alpha, face_colour, camera)
    return out[..., :3], out[..., 3], out[..., 4], out[..., 5:]
