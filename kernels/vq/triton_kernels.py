"""Nearest code in Triton: the codebook streams past a block of vectors, so the N x K distances are never written.

Maths and names: naive.py. Products accumulate in fp32 (fp64 for fp64); fp32 inputs are multiplied as such, not as tf32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from terrarium.kernels.block_sizes import block_sizes


@triton.jit
def vq_fwd(
    x_ptr, codebook_ptr, half_ptr, codes_ptr, quantised_ptr, n_rows, n_codes,
    D: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Grid (row blocks,). x [N, D], codebook e [K, D], half |e|^2 / 2 [K] -> codes int64 [N], quantised [N, D], all
    contiguous."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    d = tl.arange(0, BLOCK_D)
    row_mask = rows[:, None] < n_rows
    x_ptrs = x_ptr + rows[:, None] * D + d[None, :]
    x = tl.load(x_ptrs, mask=row_mask & (d[None, :] < D), other=0.0)
    WIDE: tl.constexpr = tl.float64 if x.dtype == tl.float64 else tl.float32
    best = tl.full((BLOCK_N,), float("inf"), WIDE)
    code = tl.zeros((BLOCK_N,), tl.int32)
    for start in range(0, n_codes, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        half = tl.load(half_ptr + k, mask=k < n_codes, other=float("inf"))  # a code that is not there is far away
        dot = tl.zeros((BLOCK_N, BLOCK_K), WIDE)
        for d0 in range(0, D, BLOCK_D):  # once, but for long vectors in fp32
            if D <= BLOCK_D:
                part = x
            else:
                part = tl.load(x_ptrs + d0, mask=row_mask & (d0 + d[None, :] < D), other=0.0)
            mask = (k[:, None] < n_codes) & (d0 + d[None, :] < D)
            e = tl.load(codebook_ptr + k[:, None] * D + d0 + d[None, :], mask=mask, other=0.0)
            dot = tl.dot(part, tl.trans(e), dot, input_precision="ieee", out_dtype=WIDE)
        score = half[None, :] - dot
        low = tl.min(score, axis=1)
        first = tl.min(tl.where(score == low[:, None], k[None, :], n_codes), axis=1)
        code = tl.where(low < best, first, code)  # strictly: of equal distances the earlier block keeps its code
        best = tl.minimum(best, low)
    tl.store(codes_ptr + rows, code.to(tl.int64), mask=rows < n_rows)
    for d0 in range(0, D, BLOCK_D):
        mask = row_mask & (d0 + d[None, :] < D)
        chosen = tl.load(codebook_ptr + code[:, None] * D + d0 + d[None, :], mask=mask, other=0.0)
        tl.store(quantised_ptr + rows[:, None] * D + d0 + d[None, :], chosen, mask=mask)


def forward(x: torch.Tensor, codebook: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Contiguous x [N, D] and codebook [K, D] of one dtype -> quantised [N, D], codes int64 [N]."""
    n, d = x.shape
    codes = x.new_empty(n, dtype=torch.int64)
    quantised = torch.empty_like(x)
    wide = codebook.to(torch.promote_types(x.dtype, torch.float32))
    half = wide.square().sum(dim=1) / 2  # once a call, not once a block of rows
    options = blocks(x.dtype, d, x.device)
    grid = (triton.cdiv(n, options["BLOCK_N"]),)
    vq_fwd[grid](x, codebook, half, codes, quantised, n, len(codebook), **options)
    return quantised, codes


def blocks(dtype: torch.dtype, d: int, device: torch.device) -> dict[str, int]:
    """A product in fp32 holds its whole depth in registers, so it is cut to 32; one in half precision need not be."""
    whole = max(16, triton.next_power_of_2(d))
    block_d = whole if dtype.itemsize == 2 else min(whole, 32)
    name = "vq" if block_d == whole else "vq in parts"
    own = {"BLOCK_N": 128 if block_d == whole else 64, "BLOCK_K": 64, "num_warps": 8}
    return {"D": d, "BLOCK_D": block_d} | block_sizes(name, own, device)
