"""Starts the programs of triton_kernels.py: strides, block sizes, memory for results.

Where nobody has swept them (kernels/block_sizes.py), block sizes are such that a thread holds 8 values of a tile (16
bytes of bf16), which was checked for spills by compiling (python -m terrarium.kernels.report).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl

from terrarium.kernels.block_sizes import block_sizes
from terrarium.kernels.conv_gru.triton_kernels import gates_bwd, gates_fwd
from terrarium.kernels.op import cells_of, empty_channels_last, multiprocessors

Tensor = torch.Tensor
FORWARD = {"values": 8, "num_warps": 4}  # of a tile a thread holds so many
BACKWARD = {"values": 8, "num_warps": 8, "programs": 2}  # so many programs on a multiprocessor
WIDE = {tl.float32: torch.float32, tl.float64: torch.float64}


def accumulator(*tensors: Tensor) -> tl.dtype:
    return tl.float64 if any(x.dtype == torch.float64 for x in tensors) else tl.float32


def blocks(channels: int, cells: int, sizes: dict[str, int]) -> dict[str, int]:
    """BLOCK_M, BLOCK_C, num_warps: at least one cell, no more cells than there are."""
    block_c = max(16, triton.next_power_of_2(channels))
    most = 32 * sizes["num_warps"] * sizes["values"] // block_c
    block_m = max(1, min(most, triton.next_power_of_2(cells)))
    return {"BLOCK_M": block_m, "BLOCK_C": block_c, "num_warps": sizes["num_warps"]}


def forward(
    gx: Tensor, gh: Tensor, h: Tensor, rows: list[Tensor | None], keep: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """rows: x_norm, x_bias, h_norm, h_bias [3C], scale, shift [B, 3C], contiguous or None
    -> h' [B, C, H, W] and, with `keep`, the gates [B, 4C, H, W], else an empty tensor."""
    c = h.shape[1]
    cells = h.shape[2] * h.shape[3]
    if 4 * c * cells >= 2**31:
        values = f"its gates have {4 * c * cells} values a sample"
        raise ValueError(f"h has shape {list(h.shape)}: {values}; expected less than 2**31")
    out = empty_channels_last(h, c, dtype)
    gates = empty_channels_last(h, 4 * c, dtype) if keep else h.new_empty(0, dtype=dtype)
    gx, gx_strides = cells_of(gx)
    gh, gh_strides = cells_of(gh)
    h, h_strides = cells_of(h)
    options = blocks(c, cells, block_sizes("conv_gru forward", FORWARD, h.device))
    grid = (len(h) * triton.cdiv(cells, options["BLOCK_M"]),)
    if out.numel():
        gates_fwd[grid](
            gx, gh, h, *rows, out, gates if keep else None, *gx_strides, *gh_strides, *h_strides, cells,
            C=c, ACC=accumulator(gx, gh, h), **options,
        )  # fmt: skip
    return out, gates


def backward(
    dout: Tensor, gates: Tensor | None, gx: Tensor | None, gh: Tensor | None, h: Tensor, rows: list[Tensor | None],
    dtypes: tuple[torch.dtype, torch.dtype], needs: Sequence[bool], sums: tuple[bool, bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """`gates`, or both `gx` and `gh`; `dtypes` of gx and gh; whether gx, gh, h and the sums of either part are needed
    -> dgx, dgh, dh, and the sums of d and of d * x over the cells of each sample, [B, 2, 3C] in the accumulator's
    type, for the x part and the h part; empty is what nobody needs."""
    b, c = h.shape[:2]
    results = [
        empty_channels_last(h, n * c, dtype) if need else h.new_empty(0, dtype=dtype)
        for n, dtype, need in zip((3, 3, 1), (*dtypes, h.dtype), needs, strict=True)
    ]
    wide = accumulator(*results)
    dout, dout_strides = cells_of(dout)
    gx, gx_strides = (None, (0, 0, 0)) if gx is None else cells_of(gx)
    gh, gh_strides = (None, (0, 0, 0)) if gh is None else cells_of(gh)
    h, h_strides = cells_of(h)
    cells = h.shape[2] * h.shape[3]
    sizes = block_sizes("conv_gru backward", BACKWARD, h.device)
    options = blocks(c, cells, sizes)
    # Each leaves its sums: as many as run at once, shared out among the samples.
    programs = min(
        triton.cdiv(cells, options["BLOCK_M"]), triton.cdiv(sizes["programs"] * multiprocessors(h.device), max(1, b))
    )
    empty = h.new_empty(0, dtype=WIDE[wide])
    memory = [empty.new_empty((b, programs, 2, 3 * c)) if need else None for need in sums]
    if h.numel():
        gates_bwd[(b, programs)](
            dout, gates, gx, gh, h, *rows,
            *(x if need else None for x, need in zip(results, needs, strict=True)), *memory,
            *dout_strides, *gx_strides, *gh_strides, *h_strides, cells,
            C=c, ACC=wide, **options,
        )  # fmt: skip
    dgx, dgh, dh = results
    x_total, h_total = (empty.clone() if part is None else part.sum(1) for part in memory)
    return dgx, dgh, dh, x_total, h_total


def run_cells(program: Any, c: int, inputs: Sequence[Tensor], results: Sequence[Tensor]) -> None:
    """Starts a program of reset_before_kernels.py; `results` are written, an empty one is passed as None."""
    b, _, height, width = inputs[-1].shape
    if not inputs[-1].numel():
        return
    laid = [cells_of(x) for x in inputs]
    options = blocks(c, height * width, block_sizes("conv_gru forward", FORWARD, inputs[-1].device))
    grid = (b * triton.cdiv(height * width, options["BLOCK_M"]),)
    program[grid](
        *(x for x, _ in laid), *(x if x.numel() else None for x in results),
        *(stride for _, strides in laid for stride in strides), height * width,
        C=c, ACC=accumulator(*inputs), **options,
    )  # fmt: skip
