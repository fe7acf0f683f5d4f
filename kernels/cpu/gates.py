"""gates.c: a step of the ConvGRU after its convolutions, with both norms and the action's maps."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

import torch

from terrarium.kernels.cpu.build import Map, cells_last
from terrarium.kernels.op import empty_channels_last

Tensor = torch.Tensor
MOST_CHANNELS = 1024  # of h; `MOST` in gates.c
ROWS = ("x_weight", "x_bias", "y_weight", "y_bias")


class Step(ctypes.Structure):
    """`Step` of gates.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("samples", "cells", "channels", "place_count")),
        *((name, Map) for name in ("x", "y", "h")),
        *((name, ctypes.c_void_p) for name in ROWS),
        *((name, Map) for name in ("scale", "places")),
        ("basis", ctypes.c_void_p),
    ]


class Gradients(ctypes.Structure):
    """`Gradients` of gates.c."""

    _fields_ = [
        *((name, Map) for name in ("x", "y", "h")),
        *((name, ctypes.c_void_p) for name in ("scale", "places", *ROWS)),
    ]


class Gates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, programs: ctypes.CDLL, cells: Tensor, *given: Tensor) -> Tensor:
        x, y, h = (cells_last(map_) for map_ in given[:3])
        rows = [row.contiguous() for row in given[3:]]
        out = empty_channels_last(h, h.shape[1], torch.float32)
        programs.gates_forward(byref(step_of(cells, x, y, h, rows)), byref(Map.of(out)), torch.get_num_threads())
        ctx.programs = programs
        ctx.save_for_backward(cells, x, y, h, *rows)
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        cells, x, y, h, *rows = ctx.saved_tensors
        dout = cells_last(dout)
        maps = [empty_channels_last(map_, map_.shape[1], map_.dtype) for map_ in (x, y, h)]
        n, wide = len(x), x.shape[1]
        scale, places = rows[4].new_zeros(n, wide), rows[5].new_zeros(n, *rows[5].shape[1:])
        norms = rows[0].new_zeros(4, n, wide)
        to = Gradients(*map(Map.of, maps), *(r.data_ptr() for r in (scale, places, *norms)))
        step = step_of(cells, x, y, h, rows)
        ctx.programs.gates_backward(byref(step), byref(Map.of(dout)), byref(to), torch.get_num_threads())
        return None, None, *maps, *norms.sum(dim=1), scale, places


def step_of(cells: Tensor, x: Tensor, y: Tensor, h: Tensor, rows: list[Tensor]) -> Step:
    """cells [H, W, P]; rows as in the function below."""
    n, c, height, width = h.shape
    pointers = [row.data_ptr() for row in rows[:4]]
    scale, places = (Map.of(row) for row in rows[4:])
    return Step(
        n,
        height * width,
        c,
        cells.shape[-1],
        Map.of(x),
        Map.of(y),
        Map.of(h),
        *pointers,
        scale,
        places,
        cells.data_ptr(),
    )


def conv_gru_gates(
    programs: ctypes.CDLL,
    x: Tensor,
    y: Tensor,
    h: Tensor,
    x_norm: tuple[Tensor, Tensor],
    y_norm: tuple[Tensor, Tensor],
    scale: Tensor,
    places: Tensor,
    cells: Tensor,
) -> Tensor:
    """x and y [N, 3C, H, W], the convolutions of input and state, h [N, C, H, W] -> h' [N, C, H, W] in fp32.

    The norms' weights and biases [3C]; scale [N, 3C] and places [N, P, 3C] of the action, cells [H, W, P] of the
    place basis, all fp32.
    """
    return Gates.apply(programs, cells, x, y, h, *x_norm, *y_norm, scale, places)
