"""SSIM as one operator: naive.py's function, on CUDA in Triton (triton_kernels.py)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from terrarium.kernels.op import check_floating, check_one_device, check_shape, operator, runs_triton
from terrarium.kernels.ssim import naive


def ssim(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    """x, y: [B, C, H, W] of one dtype, H and W >= 11, values over a range of `data_range` -> [B], mean SSIM.

    fp16 and bf16 are computed and returned in fp32. Both pictures have gradients. ValueError for anything else.
    """
    check_floating(x=x, y=y)
    check_one_device(x=x, y=y)
    if x.ndim != 4 or min(x.shape[2:]) < naive.WINDOW or x.shape[1] == 0:
        raise ValueError(f"x has shape {list(x.shape)}; expected [B, C, H, W] with H and W at least {naive.WINDOW}")
    check_shape("y", y, x.shape)
    if y.dtype != x.dtype:
        raise ValueError(f"y is {y.dtype}, x {x.dtype}; expected one dtype")
    if not data_range > 0:
        raise ValueError(f"data_range is {data_range}; expected a number above 0")
    if not runs_triton(x):
        return naive.ssim(x, y, data_range)
    if x.shape[1:].numel() >= 2**31:
        raise ValueError(f"x has shape {list(x.shape)}; expected at most 2^31 - 1 numbers a picture")
    return _ssim(_dense(x), _dense(y), data_range)


class SSIM(nn.Module):
    """`ssim` of pictures whose values span `data_range`."""

    def __init__(self, data_range: float = 1.0) -> None:
        super().__init__()
        self.data_range = data_range

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return ssim(x, y, self.data_range)


def _dense(x: Tensor) -> Tensor:
    """NCHW and channels-last stay as they are; a slice of something larger is copied."""
    return x if x.is_contiguous(memory_format=torch.channels_last) else x.contiguous()


@operator("terrarium::ssim")
def _ssim(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    from terrarium.kernels.ssim.triton_kernels import forward

    return forward(x, y, data_range)


@_ssim.register_fake
def _(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    return x.new_empty(x.shape[0], dtype=torch.promote_types(x.dtype, torch.float32))


@operator("terrarium::ssim_bwd")
def _ssim_bwd(
    grad: Tensor, x: Tensor, y: Tensor, data_range: float, need_x: bool, need_y: bool
) -> tuple[Tensor, Tensor]:
    from terrarium.kernels.ssim.triton_kernels import backward

    return backward(grad, x, y, data_range, need_x, need_y)


@_ssim_bwd.register_fake
def _(grad: Tensor, x: Tensor, y: Tensor, data_range: float, need_x: bool, need_y: bool) -> tuple[Tensor, Tensor]:
    dx = torch.empty_like(x) if need_x else x.new_empty(0)
    return dx, torch.empty_like(y) if need_y else y.new_empty(0)


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: Tensor) -> None:
    *pictures, ctx.data_range = inputs
    ctx.save_for_backward(*pictures)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    need_x, need_y, _ = ctx.needs_input_grad
    dx, dy = _ssim_bwd(grad, *ctx.saved_tensors, ctx.data_range, need_x, need_y)
    return dx if need_x else None, dy if need_y else None, None


_ssim.register_autograd(_backward, setup_context=_setup)
