"""warp.c: a state moved by its flow."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

import torch

from terrarium.kernels.cpu.build import pointer
from terrarium.kernels.op import empty_channels_last

Tensor = torch.Tensor


class WarpArguments(ctypes.Structure):
    """`Warp` of warp.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("samples", "height", "width", "channels", "groups", "fields")),
        *((name, ctypes.c_void_p) for name in ("h", "field")),
    ]


class Warp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, programs: ctypes.CDLL, groups: int, h: Tensor, field: Tensor) -> Tensor:
        h, field = (x.contiguous(memory_format=torch.channels_last) for x in (h, field))
        out = empty_channels_last(h, h.shape[1], torch.float32)
        programs.warp_forward(byref(arguments(groups, h, field)), pointer(out), torch.get_num_threads())
        ctx.programs, ctx.groups = programs, groups
        ctx.save_for_backward(h, field)
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        h, field = ctx.saved_tensors
        dout = dout.contiguous(memory_format=torch.channels_last)
        dh, dfield = (empty_channels_last(x, x.shape[1], torch.float32).zero_() for x in (h, field))
        pointers = map(pointer, (dout, dh, dfield))
        ctx.programs.warp_backward(byref(arguments(ctx.groups, h, field)), *pointers, torch.get_num_threads())
        return None, None, dh, dfield


def arguments(groups: int, h: Tensor, field: Tensor) -> WarpArguments:
    n, c, height, width = h.shape
    return WarpArguments(n, height, width, c, groups, field.shape[1], h.data_ptr(), field.data_ptr())


def warp(programs: ctypes.CDLL, h: Tensor, field: Tensor, groups: int) -> Tensor:
    """h fp32 [N, C, H, W] sampled at each cell plus the first 2 * groups of field fp32 [N, F, H, W] (x, y a group, in
    cells), bilinear, edges kept."""
    return Warp.apply(programs, groups, h, field)
