"""silu.c: SiLU (Elfwing et al. 2018, arXiv:1702.03118) of a convolution's result."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from terrarium.kernels.cpu.build import Map, used
from terrarium.kernels.op import empty_channels_last

Tensor = torch.Tensor


class ByProgram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, programs: ctypes.CDLL, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        y = empty_channels_last(x, x.shape[1], x.dtype)
        programs.silu_forward(byref(Map.of(x)), byref(Map.of(y)), ctypes.c_int64(x.numel()), torch.get_num_threads())
        ctx.programs = programs
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        dy, dx = dy.contiguous(memory_format=torch.channels_last), empty_channels_last(x, x.shape[1], x.dtype)
        maps = (byref(Map.of(each)) for each in (x, dy, dx))
        ctx.programs.silu_backward(*maps, ctypes.c_int64(x.numel()), torch.get_num_threads())
        return None, dx


def silu(x: Tensor) -> Tensor:
    """x [N, C, H, W] -> the same shape and dtype; by the program where it is used, else by PyTorch's operator."""
    return ByProgram.apply(programs, x) if (programs := used(x)) else F.silu(x)


class SiLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return silu(x)
