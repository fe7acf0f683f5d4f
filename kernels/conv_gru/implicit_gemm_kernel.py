"""The program of implicit_gemm.py."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from terrarium.kernels.conv_gru.triton_kernels import tanh
from terrarium.kernels.op import cells_of, empty_channels_last

Tensor = torch.Tensor
WARPS = 4  # 3x3 products of this kind have come out wrong at 8: check each count on a GPU before it is used
BLOCK_M, BLOCK_N, BLOCK_K = 64, 32, 32


@triton.jit
def conv_gates_fwd(
    gx_ptr, h_ptr, weight_ptr, bias_ptr, out_ptr, gx_b, gx_c, gx_m, h_b, h_c, h_m, samples, height, width,
    C: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """weight [3, 3, C, 3C] (row, column, in, out); bias [3C] or None; out [B, cells, C].

    A program makes BLOCK_N channels of BLOCK_M cells of the batch: three sums, one a gate, then the gates.
    """
    cells = height * width
    at = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    b, m = at // cells, at % cells
    y, x = m // width, m % width
    real = at < samples * cells
    sum_r = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    sum_z = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    sum_n = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for step in range(9 * tl.cdiv(C, BLOCK_K)):
        tap, k = step % 9, (step // 9) * BLOCK_K + tl.arange(0, BLOCK_K)
        dy, dx = tap // 3 - 1, tap % 3 - 1
        inside = real & (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        left = b * h_b + (m + dy * width + dx) * h_m
        h_tile = tl.load(h_ptr + left[:, None] + k[None, :] * h_c, mask=inside[:, None] & (k < C)[None, :], other=0)
        right = weight_ptr + (tap * C + k[:, None]) * 3 * C + n[None, :]
        mask = (k < C)[:, None] & (n < C)[None, :]
        sum_r = tl.dot(h_tile, tl.load(right, mask=mask, other=0), sum_r, input_precision="ieee")
        sum_z = tl.dot(h_tile, tl.load(right + C, mask=mask, other=0), sum_z, input_precision="ieee")
        sum_n = tl.dot(h_tile, tl.load(right + 2 * C, mask=mask, other=0), sum_n, input_precision="ieee")
    if bias_ptr is not None:
        sum_r += tl.load(bias_ptr + n, mask=n < C, other=0).to(tl.float32)[None, :]
        sum_z += tl.load(bias_ptr + C + n, mask=n < C, other=0).to(tl.float32)[None, :]
        sum_n += tl.load(bias_ptr + 2 * C + n, mask=n < C, other=0).to(tl.float32)[None, :]
    mask = real[:, None] & (n < C)[None, :]
    gx = gx_ptr + (b * gx_b + m * gx_m)[:, None] + n[None, :] * gx_c
    r = tl.sigmoid(tl.load(gx, mask=mask, other=0).to(tl.float32) + sum_r)
    z = tl.sigmoid(tl.load(gx + C * gx_c, mask=mask, other=0).to(tl.float32) + sum_z)
    candidate = tanh(tl.load(gx + 2 * C * gx_c, mask=mask, other=0).to(tl.float32) + r * sum_n)
    h = tl.load(h_ptr + (b * h_b + m * h_m)[:, None] + n[None, :] * h_c, mask=mask, other=0).to(tl.float32)
    out = out_ptr + (at * C)[:, None] + n[None, :]
    tl.store(out, (candidate + z * (h - candidate)).to(out_ptr.dtype.element_ty), mask=mask)


def forward(gx: Tensor, h: Tensor, h_conv: Tensor, h_bias: Tensor | None) -> Tensor:
    """As `conv_gates`; the weights are laid out anew each call, which a caller that measures should know."""
    b, c, height, width = h.shape
    out = empty_channels_last(h, c, h.dtype)
    gx, gx_strides = cells_of(gx)
    h, h_strides = cells_of(h)
    grid = (triton.cdiv(b * height * width, BLOCK_M), triton.cdiv(c, BLOCK_N))
    if out.numel():
        conv_gates_fwd[grid](
            gx, h, h_conv.permute(2, 3, 1, 0).contiguous(), h_bias, out, *gx_strides, *h_strides, b, height, width,
            C=c, BLOCK_M=BLOCK_M, BLOCK_N=BLOCK_N, BLOCK_K=BLOCK_K, num_warps=WARPS,
        )  # fmt: skip
    return out
