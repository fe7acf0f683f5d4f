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
    """alpha [X, Y, Z], face_colour [X, Y, Z, 6, 3] -> rgb without background, opacity, depth, normal."""

    @staticmethod
    def forward(ctx: Any, alpha: Tensor, face_colour: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.save_for_backward(alpha, face_colour)
        ctx.camera = camera
        size = camera.height, camera.width
        found = (alpha.new_empty(*size, 3), alpha.new_empty(size), alpha.new_empty(size), alpha.new_empty(*size, 3))
        threads = numba.get_num_threads()
        compiled.forward(*arguments(alpha, face_colour, camera), threads, *(part.numpy() for part in found))
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        alpha, face_colour = ctx.saved_tensors
        threads = numba.get_num_threads()
        d_alpha = alpha.new_empty(threads, *alpha.shape)
        d_colour = alpha.new_empty(threads, *face_colour.shape)
        compiled.backward(
            *arguments(alpha, face_colour, ctx.camera),
            *(grad.contiguous().numpy() for grad in grads),
            d_alpha.view(threads, -1).numpy(),
            d_colour.view(threads, -1, 6, 3).numpy(),
        )
        return d_alpha[0], d_colour[0], None


def arguments(alpha: Tensor, face_colour: Tensor, camera: Camera) -> tuple[Any, ...]:
    """What march.forward and march.backward begin with."""
    nx, ny, nz = alpha.shape
    cells = alpha.detach().contiguous().view(nx, ny * nz).numpy()
    colours = face_colour.detach().contiguous().view(-1, 6, 3).numpy()
    eye = tuple(float(v) for v in camera.eye)
    return cells, colours, ny, nz, eye, np.ascontiguousarray(camera.axes, np.float64), camera.pixel_rays


def march(alpha: Tensor, face_colour: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As reference.march, on as many threads as numba has (NUMBA_NUM_THREADS)."""
    found: tuple[Tensor, Tensor, Tensor, Tensor] = _March.apply(alpha, face_colour, camera)
    return found
