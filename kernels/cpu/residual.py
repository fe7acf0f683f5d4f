"""residual.c: a state plus SiLU of the norm of its convolution."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

import torch

from terrarium.kernels.cpu.build import Map, cells_last, pointer
from terrarium.kernels.op import empty_channels_last

Tensor = torch.Tensor


class Arguments(ctypes.Structure):
    """`Residual` of residual.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("samples", "cells", "channels")),
        *((name, Map) for name in ("x", "h")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias")),
    ]


class Residual(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, programs: ctypes.CDLL, x: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x, h = cells_last(x), cells_last(h)
        out = empty_channels_last(h, h.shape[1], torch.float32)
        programs.residual_forward(byref(arguments(x, h, weight, bias)), byref(Map.of(out)), torch.get_num_threads())
        ctx.programs = programs
        ctx.save_for_backward(x, h, weight, bias)
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        x, h, weight, bias = ctx.saved_tensors
        dout, dx = cells_last(dout), empty_channels_last(x, x.shape[1], x.dtype)
        sums = weight.new_zeros(2, len(x), len(weight))
        given = arguments(x, h, weight, bias), Map.of(dout), Map.of(dx)
        ctx.programs.residual_backward(*map(byref, given), *map(pointer, sums), torch.get_num_threads())
        return None, dx, dout.to(h.dtype), *sums.sum(dim=1)


def arguments(x: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Arguments:
    n, c, height, width = x.shape
    return Arguments(n, height * width, c, Map.of(x), Map.of(h), weight.data_ptr(), bias.data_ptr())


def residual(programs: ctypes.CDLL, x: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x, h [N, C, H, W], weight and bias fp32 [C] of the norm over channels -> h + silu(norm(x)) in fp32."""
    return Residual.apply(programs, x, h, weight, bias)
