"""upsample.c: a field in cells as the picture's flow."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

import torch

from terrarium.kernels.cpu.build import pointer
from terrarium.kernels.op import empty_channels_last

Tensor = torch.Tensor
DOWN = 4  # pixels along the side of a cell


class Arguments(ctypes.Structure):
    """`Upsample` of upsample.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("samples", "height", "width", "fields")),
        ("field", ctypes.c_void_p),
    ]

    @classmethod
    def of(cls, field: Tensor) -> Arguments:
        n, fields, height, width = field.shape
        return cls(n, height, width, fields, field.data_ptr())


class Upsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, programs: ctypes.CDLL, field: Tensor) -> Tensor:
        field = field.contiguous(memory_format=torch.channels_last)
        n, _, height, width = field.shape
        flow = field.new_empty(n, 2, DOWN * height, DOWN * width)
        programs.upsample_forward(byref(Arguments.of(field)), pointer(flow), torch.get_num_threads())
        ctx.programs = programs
        ctx.save_for_backward(field)
        return flow

    @staticmethod
    def backward(ctx: Any, dflow: Tensor) -> tuple[Tensor | None, ...]:
        (field,) = ctx.saved_tensors
        dflow, dfield = dflow.contiguous(), empty_channels_last(field, field.shape[1], torch.float32)
        given = byref(Arguments.of(field)), pointer(dflow), pointer(dfield)
        ctx.programs.upsample_backward(*given, torch.get_num_threads())
        return None, dfield


def upsample(programs: ctypes.CDLL, field: Tensor) -> Tensor:
    """field fp32 [N, F, h, w] in cells, coarse in its first two channels and fine in its last eight -> flow in pixels
    [N, 2, 4h, 4w]. The sides are those that `takes_pictures` allows."""
    return Upsample.apply(programs, field)
