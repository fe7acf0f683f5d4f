"""flow.c: a bounded flow from what is there, times what is done."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

import torch

from terrarium.kernels.cpu.build import Map, cells_last, pointer
from terrarium.kernels.op import empty_channels_last

Tensor = torch.Tensor
MOST_HIDDEN, MOST_OUT = 64, 16  # as in flow.c


class Field(ctypes.Structure):
    """`Field` of flow.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("samples", "cells", "hidden", "out", "place_count")),
        *((name, Map) for name in ("look", "act", "direct")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "basis")),
        ("most", ctypes.c_float),
    ]


class Flow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, programs: ctypes.CDLL, most: float, cells: Tensor, look: Tensor, *rows: Tensor) -> Tensor:
        look, rows = cells_last(look), tuple(row.contiguous() for row in rows)
        out = empty_channels_last(look, len(rows[-1]), torch.float32)
        programs.flow_forward(byref(field_of(most, cells, look, *rows)), pointer(out), torch.get_num_threads())
        ctx.programs, ctx.most = programs, most
        ctx.save_for_backward(out, cells, look, *rows)
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        out, cells, look, act, direct, weight, bias = ctx.saved_tensors
        dout, dlook = cells_last(dout), empty_channels_last(look, look.shape[1], look.dtype)
        n = len(look)
        sums = [row.new_zeros(n, *row.shape[-2:]) for row in (act, direct, weight)] + [bias.new_zeros(n, len(bias))]
        given = byref(field_of(ctx.most, cells, look, act, direct, weight, bias)), pointer(out), pointer(dout)
        ctx.programs.flow_backward(*given, byref(Map.of(dlook)), *map(pointer, sums), torch.get_num_threads())
        return None, None, None, dlook, *sums[:2], sums[2].sum(dim=0), sums[3].sum(dim=0)


def field_of(
    most: float, cells: Tensor, look: Tensor, act: Tensor, direct: Tensor, weight: Tensor, bias: Tensor
) -> Field:
    n, hidden, height, width = look.shape
    maps, pointers = map(Map.of, (look, act, direct)), (x.data_ptr() for x in (weight, bias, cells))
    return Field(n, height * width, hidden, len(bias), cells.shape[-1], *maps, *pointers, most)


def flow(
    programs: ctypes.CDLL,
    look: Tensor,
    act: Tensor,
    direct: Tensor,
    weight: Tensor,
    bias: Tensor,
    cells: Tensor,
    most: float,
) -> Tensor:
    """look [N, hidden, H, W]; fp32: act [N, P, hidden] and direct [N, P, out], the action's maps over the places,
    weight [out, hidden] and bias [out], cells [H, W, P] of the place basis -> the flow
    fp32 [N, out, H, W], at most `most`."""
    if look.shape[1] > MOST_HIDDEN or len(bias) > MOST_OUT:
        raise ValueError(f"{look.shape[1]} hidden, {len(bias)} out; expected at most {MOST_HIDDEN} and {MOST_OUT}")
    return Flow.apply(programs, most, cells, look, act, direct, weight, bias)
