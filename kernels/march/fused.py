"""The march as one operator: naive.py's function, on CUDA in two Triton programs (triton_kernels.py)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from terrarium.kernels.march import naive
from terrarium.kernels.op import check_one_device, check_shape, operator, runs_triton

MAX_VOXELS = 2**31 // 18  # indices of faces' colours stay below 2**31


def march(alpha: Tensor, face_colour: Tensor, eye: Tensor, rays: Tensor) -> Tensor:
    """alpha [X, Y, Z] in [0, 1], face_colour [X, Y, Z, 6, 3], eye [3], unit rays [R, 3] -> [R, 8].

    The eight are rgb, opacity, depth and normal. alpha and face_colour are both float32 or both float64, eye and rays
    float64. Differentiable in alpha and face_colour. ValueError for anything else.
    """
    check_one_device(alpha=alpha, face_colour=face_colour, eye=eye, rays=rays)
    if alpha.dtype not in (torch.float32, torch.float64) or face_colour.dtype != alpha.dtype:
        raise ValueError(
            f"alpha is {alpha.dtype}, face_colour {face_colour.dtype}; expected float32 or float64, both alike"
        )
    if eye.dtype != torch.float64 or rays.dtype != torch.float64:
        raise ValueError(f"eye is {eye.dtype}, rays {rays.dtype}; expected torch.float64")
    if alpha.ndim != 3 or not 0 < alpha.numel() <= MAX_VOXELS:
        raise ValueError(f"alpha has shape {list(alpha.shape)}; expected [X, Y, Z] of 1 to {MAX_VOXELS} voxels")
    check_shape("face_colour", face_colour, (*alpha.shape, 6, 3))
    check_shape("eye", eye, (3,))
    check_shape("rays", rays, (len(rays), 3))
    if not runs_triton(alpha):
        return naive.march(alpha, face_colour, eye, rays)
    return _march(alpha.contiguous(), face_colour.contiguous(), eye.contiguous(), rays.contiguous())


@operator("terrarium::march")
def _march(alpha: Tensor, face_colour: Tensor, eye: Tensor, rays: Tensor) -> Tensor:
    from terrarium.kernels.march.triton_kernels import forward

    return forward(alpha, face_colour, eye, rays)


@_march.register_fake
def _(alpha: Tensor, face_colour: Tensor, eye: Tensor, rays: Tensor) -> Tensor:
    return alpha.new_empty(rays.shape[0], 8)


@operator("terrarium::march_bwd")
def _march_bwd(
    alpha: Tensor, face_colour: Tensor, eye: Tensor, rays: Tensor, grad: Tensor, need_alpha: bool, need_colour: bool
) -> tuple[Tensor, Tensor]:
    from terrarium.kernels.march.triton_kernels import backward

    return backward(alpha, face_colour, eye, rays, grad, need_alpha, need_colour)


@_march_bwd.register_fake
def _(
    alpha: Tensor, face_colour: Tensor, eye: Tensor, rays: Tensor, grad: Tensor, need_alpha: bool, need_colour: bool
) -> tuple[Tensor, Tensor]:
    d_alpha = torch.empty_like(alpha) if need_alpha else alpha.new_empty(0)
    return d_alpha, torch.empty_like(face_colour) if need_colour else alpha.new_empty(0)


def _setup(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    need_alpha, need_colour = ctx.needs_input_grad[:2]  # three of four sums over rays are for colours
    d_alpha, d_colour = _march_bwd(*ctx.saved_tensors, grad.contiguous(), need_alpha, need_colour)
    return d_alpha if need_alpha else None, d_colour if need_colour else None, None, None


_march.register_autograd(_backward, setup_context=_setup)
