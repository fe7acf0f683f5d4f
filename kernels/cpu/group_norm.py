"""group_norm.c: group norm and SiLU of a frozen network."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

import torch

from terrarium.kernels.cpu.build import Map, cells_last
from terrarium.kernels.op import empty_channels_last

Tensor = torch.Tensor
MOST_CHANNELS = 1024  # `MOST` in group_norm.c


class Norm(ctypes.Structure):
    """`Norm` of group_norm.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("samples", "cells", "channels", "groups")),
        ("x", Map),
        *((name, ctypes.c_void_p) for name in ("weight", "bias")),
    ]


class GroupNormSiLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, programs: ctypes.CDLL, x: Tensor, groups: int, weight: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> Tensor:
        x = cells_last(x)
        out = empty_channels_last(x, x.shape[1], dtype)
        norm = norm_of(x, groups, weight, bias)
        programs.group_norm_silu_forward(byref(norm), byref(Map.of(out)), torch.get_num_threads())
        ctx.programs, ctx.groups = programs, groups
        ctx.save_for_backward(x, weight, bias)
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        dout, dx = cells_last(dout), empty_channels_last(x, x.shape[1], x.dtype)
        norm, maps = norm_of(x, ctx.groups, weight, bias), (byref(Map.of(dout)), byref(Map.of(dx)))
        ctx.programs.group_norm_silu_backward(byref(norm), *maps, torch.get_num_threads())
        return None, dx, None, None, None, None


def norm_of(x: Tensor, groups: int, weight: Tensor, bias: Tensor) -> Norm:
    n, c, height, width = x.shape
    return Norm(n, height * width, c, groups, Map.of(x), weight.data_ptr(), bias.data_ptr())


def group_norm_silu(
    programs: ctypes.CDLL, x: Tensor, groups: int, weight: Tensor, bias: Tensor, dtype: torch.dtype
) -> Tensor:
    """x [N, C, H, W], weight and bias fp32 [C], which get no gradient -> silu(group norm) in `dtype`."""
    return GroupNormSiLU.apply(programs, x, groups, weight, bias, dtype)
