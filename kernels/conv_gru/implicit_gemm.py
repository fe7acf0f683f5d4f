"""An experiment, off by default and not measured on a GPU: the recurrent 3x3 convolution and the gates in one program.

The convolution is a matrix product over 9C whose left side is never written (implicit GEMM), and the gates are its
epilogue, so Gh never exists: a step moves 3C of gx, C of h and C of h' a cell. Forward only.
"""

from __future__ import annotations

import torch

from terrarium.kernels.conv_gru import naive
from terrarium.kernels.conv_gru.fused import sizes
from terrarium.kernels.op import (
    check_floating,
    check_one_device,
    check_shape,
    empty_channels_last,
    operator,
    runs_triton,
)

Tensor = torch.Tensor


def conv_gates(gx: Tensor, h: Tensor, h_conv: Tensor, h_bias: Tensor | None = None) -> Tensor:
    """gx [B, 3C, H, W], h [B, C, H, W], h_conv [3C, C, 3, 3], h_bias [3C] -> h' [B, C, H, W], of one dtype.

    Equal to `conv_gru_gates(gx, conv2d(h, h_conv, padding=1), h, h_bias=h_bias)`. CPU tensors take just that.
    Raises ValueError for shapes that do not fit, for dtypes that differ, and where a gradient would be asked for.
    """
    b, c, height, width = sizes(h)
    check_floating(gx=gx, h=h, h_conv=h_conv, h_bias=h_bias)
    check_one_device(h=h, gx=gx, h_conv=h_conv, h_bias=h_bias)
    check_shape("gx", gx, (b, 3 * c, height, width))
    check_shape("h_conv", h_conv, (3 * c, c, 3, 3))
    check_shape("h_bias", h_bias, (3 * c,))
    given = [x for x in (gx, h, h_conv, h_bias) if x is not None]
    if any(x.dtype != h.dtype for x in given):
        raise ValueError(f"dtypes are {[str(x.dtype) for x in given]}; expected {h.dtype} for all, as for h")
    if torch.is_grad_enabled() and any(x.requires_grad for x in given):
        raise ValueError("conv_gates has no backward: call it under torch.no_grad() or use conv_gru_gates")
    if not runs_triton(h):
        gh = torch.nn.functional.conv2d(h, h_conv, padding=1)
        return naive.conv_gru_gates(gx, gh, h, h_bias=h_bias)
    return _conv_gates(gx, h, h_conv, h_bias)


@operator("terrarium::conv_gru_conv_gates")
def _conv_gates(gx: Tensor, h: Tensor, h_conv: Tensor, h_bias: Tensor | None) -> Tensor:
    from terrarium.kernels.conv_gru.implicit_gemm_kernel import forward

    return forward(gx, h, h_conv, h_bias)


@_conv_gates.register_fake
def _(gx, h, h_conv, h_bias):
    return empty_channels_last(h, h.shape[1], h.dtype)
