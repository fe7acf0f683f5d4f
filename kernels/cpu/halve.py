"""halve.c: the first convolution of a frozen encoder, of pictures to maps of half the size."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

import torch

from terrarium.kernels.cpu.build import Map, cells_last, pointer

Tensor = torch.Tensor
SIDE, LANES, MOST = 256, 16, 64  # as in halve.c


class Arguments(ctypes.Structure):
    """`Halve` of halve.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("samples", "height", "width", "channels")),
        ("pictures", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("sample", "colour")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias")),
    ]

    @classmethod
    def of(cls, pictures: Tensor, weight: Tensor, bias: Tensor) -> Arguments:
        n, _, height, width = pictures.shape
        at = pictures.data_ptr(), *pictures.stride()[:2]
        return cls(n, height, width, len(bias), *at, weight.data_ptr(), bias.data_ptr())


class Halve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, programs: ctypes.CDLL, pictures: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> Tensor:
        pictures = pictures if pictures[0, 0].is_contiguous() else pictures.contiguous()
        n, _, height, width = pictures.shape
        out = pictures.new_empty(n, height // 2, width // 2, len(bias), dtype=dtype).permute(0, 3, 1, 2)
        given = byref(Arguments.of(pictures, weight, bias)), byref(Map.of(out))
        programs.halve_forward(*given, torch.get_num_threads())
        ctx.programs = programs
        ctx.save_for_backward(pictures, weight, bias)
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        pictures, weight, bias = ctx.saved_tensors
        dout, dpictures = cells_last(dout), pictures.new_empty(pictures.shape)
        given = byref(Arguments.of(pictures, weight, bias)), byref(Map.of(dout)), pointer(dpictures)
        ctx.programs.halve_backward(*given, torch.get_num_threads())
        return None, dpictures, None, None, None


def halve(programs: ctypes.CDLL, pictures: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """pictures fp32 [N, 3, H, W], weight fp32 [C, 3, 4, 4] and bias [C], which get no gradient -> [N, C, H/2, W/2] in
    `dtype`: stride 2, padding 1."""
    return Halve.apply(programs, pictures, weight.contiguous(), bias, dtype)


def takes_halving(channels: int, height: int, width: int) -> bool:
    """Whether the program holds maps of this width, and pictures of this size."""
    return channels <= MOST and not channels % LANES and max(height, width) <= SIDE and not height % 2 and not width % 2
