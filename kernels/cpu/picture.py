"""picture.c: pictures moved by their flow."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

import torch

from terrarium.kernels.cpu.build import cells_last, pointer

Tensor = torch.Tensor
CHANNELS = 4  # of a canvas: a painter's fifth takes PyTorch's operators


class Move(ctypes.Structure):
    """`Move` of picture.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("samples", "height", "width", "canvas_width", "canvas_stride")),
        *((name, ctypes.c_void_p) for name in ("canvas", "flow", "columns")),
    ]


class MovePicture(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, programs: ctypes.CDLL, canvas: Tensor, flow: Tensor, columns: Tensor) -> Tensor:
        canvas, flow = cells_last(canvas), flow.contiguous()
        out = flow.new_empty(len(flow), CHANNELS, *flow.shape[2:])
        programs.move_forward(byref(move_of(canvas, flow, columns)), pointer(out), torch.get_num_threads())
        ctx.programs = programs
        ctx.save_for_backward(canvas, flow, columns)
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        canvas, flow, columns = ctx.saved_tensors
        dout, dflow = dout.contiguous(), torch.empty_like(flow)
        move = move_of(canvas, flow, columns)
        ctx.programs.move_backward(byref(move), pointer(dout), pointer(dflow), torch.get_num_threads())
        return None, None, dflow, None


def move_of(canvas: Tensor, flow: Tensor, columns: Tensor) -> Move:
    n, _, height, width = flow.shape
    sizes = n, height, width, canvas.shape[3], canvas.stride(0)
    return Move(*sizes, canvas.data_ptr(), flow.data_ptr(), columns.data_ptr())


def move_picture(programs: ctypes.CDLL, canvas: Tensor, flow: Tensor, columns: Tensor) -> Tensor:
    """canvas fp32 [N, 4, H, W'] sampled at columns fp32 [W] and each row plus flow fp32 [N, 2, H, W] -> [N, 4, H, W],
    in their ranges. Only the flow gets a gradient."""
    return MovePicture.apply(programs, canvas, flow, columns)
