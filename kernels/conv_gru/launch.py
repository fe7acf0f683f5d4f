"""Starts the programs of triton_kernels.py: strides, block sizes, memory for results.

Block sizes are fixed, not tuned: chosen so that a thread holds 8 values of a tile (16 bytes of bf16) forward and
backward, and checked for spills by compiling (python -m terrarium.kernels.report). Fixed sizes are also what a CUDA
graph needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl

from terrarium.kernels.conv_gru.triton_kernels import gates_bwd, gates_fwd
from terrarium.kernels.op import cells_of, empty_channels_last

Tensor = torch.Tensor
FWD_WARPS = 4
WIDE = {tl.float32: torch.float32, tl.float64: torch.float64}


def accumulator(*tensors: Tensor) -> tl.dtype:
    return tl.float64 if any(x.dtype == torch.float64 for x in tensors) else tl.float32


def blocks(channels: int, cells: int, warps: int) -> tuple[int, int]:
    """BLOCK_M, BLOCK_C: 8 values a thread, at least one cell, no more cells than there are."""
    block_c = max(16, triton.next_power_of_2(channels))
    return max(1, min(256 * warps // block_c, triton.next_power_of_2(cells))), block_c


def bwd_warps(normalises_x: bool) -> int:
    """Many, since each program leaves sums of its own; fewer where 16 warps would have too few registers each."""
    return 8 if normalises_x else 16


def forward(
    gx: Tensor, gh: Tensor, h: Tensor, rows: list[Tensor | None], keep: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """rows: x_norm, x_bias, h_norm, h_bias [3C], scale, shift [B, 3C], contiguous or None
    -> h' [B, C, H, W] and, with `keep`, the gates [B, 4C, H, W], else an empty tensor."""
    c = h.shape[1]
    out = empty_channels_last(h, c, dtype)
    gates = empty_channels_last(h, 4 * c, dtype) if keep else h.new_empty(0, dtype=dtype)
    gx, gx_strides = cells_of(gx)
    gh, gh_strides = cells_of(gh)
    h, h_strides = cells_of(h)
    cells = h.shape[2] * h.shape[3]
    block_m, block_c = blocks(c, cells, FWD_WARPS)
    grid = (len(h) * triton.cdiv(cells, block_m),)
    if out.numel():
        gates_fwd[grid](
            gx, gh, h, *rows, out, gates if keep else None, *gx_strides, *gh_strides, *h_strides, cells,
            C=c, ACC=accumulator(gx, gh, h), BLOCK_M=block_m, BLOCK_C=block_c, num_warps=FWD_WARPS,
        )  # fmt: skip
    return out, gates


def backward(
    dout: Tensor, gates: Tensor | None, gx: Tensor | None, gh: Tensor | None, h: Tensor, rows: list[Tensor | None],
    dtypes: tuple[torch.dtype, torch.dtype],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """`gates`, or both `gx` and `gh`; `dtypes` of gx and gh
    -> dgx, dgh, dh, and the sums of d and of d * x over the cells of each sample, [B, 2, 3C] in the accumulator's
    type, for the x part and the h part; empty where no row of that part is given."""
    x_norm, x_bias, h_norm, h_bias, scale, shift = rows
    b, c = h.shape[:2]
    dgx, dgh = empty_channels_last(h, 3 * c, dtypes[0]), empty_channels_last(h, 3 * c, dtypes[1])
    dh = empty_channels_last(h, c, h.dtype)
    dout, dout_strides = cells_of(dout)
    gx, gx_strides = (None, (0, 0, 0)) if gx is None else cells_of(gx)
    gh, gh_strides = (None, (0, 0, 0)) if gh is None else cells_of(gh)
    h, h_strides = cells_of(h)
    cells = h.shape[2] * h.shape[3]
    warps = bwd_warps(x_norm is not None)
    block_m, block_c = blocks(c, cells, warps)
    programs = triton.cdiv(cells, block_m)
    wide = accumulator(dgx, dgh, dh)
    x_sums = sums_memory(h, programs, wide, x_norm, x_bias, scale, shift)
    h_sums = sums_memory(h, programs, wide, h_norm, h_bias)
    if dh.numel():
        gates_bwd[(b * programs,)](
            dout, gates, gx, gh, h, *rows,
            dgx, dgh, dh, x_sums, h_sums,
            *dout_strides, *gx_strides, *gh_strides, *h_strides, cells,
            C=c, ACC=wide, BLOCK_M=block_m, BLOCK_C=block_c, num_warps=warps,
        )  # fmt: skip
    empty = h.new_empty(0, dtype=WIDE[wide])
    x_total, h_total = (empty.clone() if sums is None else sums.sum(1) for sums in (x_sums, h_sums))
    return dgx, dgh, dh, x_total, h_total


def sums_memory(h: Tensor, programs: int, wide: tl.dtype, *rows: Tensor | None) -> Tensor | None:
    """Where each of a sample's programs leaves its sums for the gradients of `rows`; None where there are no rows."""
    if all(row is None for row in rows):
        return None
    return h.new_empty((len(h), programs, 2, 3 * h.shape[1]), dtype=WIDE[wide])


def run_cells(program: Any, c: int, inputs: Sequence[Tensor], results: Sequence[Tensor]) -> None:
    """Starts a program of reset_before_kernels.py; `results` are written, an empty one is passed as None."""
    if not results[0].numel():
        return
    laid = [cells_of(x) for x in inputs]
    b, _, height, width = results[0].shape
    block_m, block_c = blocks(c, height * width, FWD_WARPS)
    grid = (b * triton.cdiv(height * width, block_m),)
    program[grid](
        *(x for x, _ in laid), *(x if x.numel() else None for x in results),
        *(stride for _, strides in laid for stride in strides), height * width,
        C=c, ACC=accumulator(*inputs), BLOCK_M=block_m, BLOCK_C=block_c, num_warps=FWD_WARPS,
    )  # fmt: skip
