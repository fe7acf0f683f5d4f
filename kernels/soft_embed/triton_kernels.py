"""Gumbel softmax to an embedding in Triton: softmax and product are made online over blocks of codes (Milakov and
Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022, arXiv:2205.14135), the noise in registers from the seed.

Neither the noise nor the probabilities are ever written; backward makes both again from the seed and one number a
row, the log of the softmax's denominator. Maths and names: naive.py.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from terrarium.kernels.block_sizes import block_sizes

SIZES = {"BLOCK_N": 64, "BLOCK_K": 64, "num_warps": 8}


@triton.jit
def _gumbel(seed, rows, start, WIDE: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """Standard Gumbel noise [BLOCK_N, BLOCK_K] for columns start ... of `rows`: four columns a Philox counter."""
    quads = (start // 4 + tl.arange(0, BLOCK_K // 4)).to(tl.uint32)[None, :]
    c0 = quads + tl.zeros((BLOCK_N, 1), tl.uint32)
    c1 = rows.to(tl.uint32)[:, None] + tl.zeros((1, BLOCK_K // 4), tl.uint32)
    zero = c0 * 0
    w0, w1, w2, w3 = tl.philox(seed, c0, c1, zero, zero, n_rounds=7)
    words = tl.join(tl.join(w0, w2), tl.join(w1, w3)).reshape(BLOCK_N, BLOCK_K)
    u = ((words >> 9).to(WIDE) + 0.5) * 1.1920928955078125e-07  # 2^-23
    return -tl.log(-tl.log(u))


@triton.jit
def _scores(logits_ptr, seed, inverse_tau, rows, start, n_rows, n_codes, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """-> columns [BLOCK_K], mask and (logits + g) / tau, both [BLOCK_N, BLOCK_K]; -inf past the last column."""
    k = start + tl.arange(0, BLOCK_K)
    mask = (rows[:, None] < n_rows) & (k[None, :] < n_codes)
    logits = tl.load(logits_ptr + rows[:, None] * n_codes + k[None, :], mask=mask, other=0.0)
    WIDE: tl.constexpr = tl.float64 if logits.dtype == tl.float64 else tl.float32
    s = (logits.to(WIDE) + _gumbel(seed, rows, start, WIDE, BLOCK_N, BLOCK_K)) * inverse_tau
    return k, mask, tl.where(k[None, :] < n_codes, s, float("-inf"))


@triton.jit
def soft_embed_fwd(
    logits_ptr, codebook_ptr, seed_ptr, out_ptr, lse_ptr, inverse_tau, n_rows, n_codes,
    D: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Grid (row blocks,). logits [N, K], codebook [K, D] -> out [N, D], lse [N], all contiguous."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    d = tl.arange(0, BLOCK_D)
    seed = tl.load(seed_ptr)
    WIDE: tl.constexpr = tl.float64 if codebook_ptr.dtype.element_ty == tl.float64 else tl.float32
    top = tl.full((BLOCK_N,), -1e38, WIDE)  # finite: a block of -inf logits must not make inf - inf
    total = tl.zeros((BLOCK_N,), WIDE)
    out = tl.zeros((BLOCK_N, BLOCK_D), WIDE)
    for start in range(0, n_codes, BLOCK_K):
        k, _, s = _scores(logits_ptr, seed, inverse_tau, rows, start, n_rows, n_codes, BLOCK_N, BLOCK_K)
        new_top = tl.maximum(top, tl.max(s, axis=1))
        p = tl.exp(s - new_top[:, None])
        shrink = tl.exp(top - new_top)
        e_mask = (k[:, None] < n_codes) & (d[None, :] < D)
        e = tl.load(codebook_ptr + k[:, None] * D + d[None, :], mask=e_mask, other=0.0)
        total = total * shrink + tl.sum(p, axis=1)
        out = tl.dot(p.to(e.dtype), e, out * shrink[:, None], input_precision="ieee", out_dtype=WIDE)
        top = new_top
    out = out / total[:, None]
    out_mask = (rows[:, None] < n_rows) & (d[None, :] < D)
    tl.store(out_ptr + rows[:, None] * D + d[None, :], out, mask=out_mask)
    tl.store(lse_ptr + rows, top + tl.log(total), mask=rows < n_rows)


@triton.jit
def soft_embed_bwd_logits(
    grad_ptr, out_ptr, logits_ptr, codebook_ptr, seed_ptr, lse_ptr, dlogits_ptr, inverse_tau, n_rows, n_codes,
    D: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Grid (row blocks,). dlogits = p (grad . e - grad . out) / tau."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    d = tl.arange(0, BLOCK_D)
    seed = tl.load(seed_ptr)
    row_mask = (rows[:, None] < n_rows) & (d[None, :] < D)
    grad = tl.load(grad_ptr + rows[:, None] * D + d[None, :], mask=row_mask, other=0.0)
    out = tl.load(out_ptr + rows[:, None] * D + d[None, :], mask=row_mask, other=0.0)
    WIDE: tl.constexpr = tl.float64 if grad.dtype == tl.float64 else tl.float32
    centre = tl.sum(grad.to(WIDE) * out.to(WIDE), axis=1)
    lse = tl.load(lse_ptr + rows, mask=rows < n_rows, other=0.0)
    for start in range(0, n_codes, BLOCK_K):
        k, mask, s = _scores(logits_ptr, seed, inverse_tau, rows, start, n_rows, n_codes, BLOCK_N, BLOCK_K)
        p = tl.exp(s - lse[:, None])
        e_mask = (k[:, None] < n_codes) & (d[None, :] < D)
        e = tl.load(codebook_ptr + k[:, None] * D + d[None, :], mask=e_mask, other=0.0)
        dp = tl.dot(grad, tl.trans(e), input_precision="ieee", out_dtype=WIDE)
        dlogits = p * (dp - centre[:, None]) * inverse_tau
        tl.store(dlogits_ptr + rows[:, None] * n_codes + k[None, :], dlogits, mask=mask)


@triton.jit
def soft_embed_bwd_codebook(
    grad_ptr, logits_ptr, seed_ptr, lse_ptr, partial_ptr, inverse_tau, n_rows, n_codes, rows_a_split,
    D: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Grid (code blocks, splits of the rows). partial [splits, K, D]: p^T grad over the split's rows."""
    start, split = tl.program_id(0) * BLOCK_K, tl.program_id(1)
    d = tl.arange(0, BLOCK_D)
    seed = tl.load(seed_ptr)
    WIDE: tl.constexpr = tl.float64 if grad_ptr.dtype.element_ty == tl.float64 else tl.float32
    de = tl.zeros((BLOCK_K, BLOCK_D), WIDE)
    first = split.to(tl.int64) * rows_a_split
    for row in range(0, rows_a_split, BLOCK_N):
        rows = first + row + tl.arange(0, BLOCK_N)
        _, mask, s = _scores(logits_ptr, seed, inverse_tau, rows, start, n_rows, n_codes, BLOCK_N, BLOCK_K)
        lse = tl.load(lse_ptr + rows, mask=rows < n_rows, other=0.0)
        p = tl.where(mask, tl.exp(s - lse[:, None]), 0.0)
        row_mask = (rows[:, None] < n_rows) & (d[None, :] < D)
        grad = tl.load(grad_ptr + rows[:, None] * D + d[None, :], mask=row_mask, other=0.0)
        de = tl.dot(tl.trans(p.to(grad.dtype)), grad, de, input_precision="ieee", out_dtype=WIDE)
    k = start + tl.arange(0, BLOCK_K)
    at = (split.to(tl.int64) * n_codes + k[:, None]) * D + d[None, :]
    tl.store(partial_ptr + at, de, mask=(k[:, None] < n_codes) & (d[None, :] < D))


def forward(
    logits: torch.Tensor, codebook: torch.Tensor, seed: torch.Tensor, tau: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Contiguous inputs -> out [N, D]; the log of the softmax's denominator [N], fp32, or fp64 for fp64."""
    n, k = logits.shape
    out = codebook.new_empty((n, codebook.shape[1]))
    lse = logits.new_empty(n, dtype=torch.promote_types(logits.dtype, torch.float32))
    options = blocks(codebook.shape[1], codebook.device)
    grid = (triton.cdiv(n, options["BLOCK_N"]),)
    soft_embed_fwd[grid](logits, codebook, seed, out, lse, 1 / tau, n, k, **options)
    return out, lse


def backward(
    grad: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    logits: torch.Tensor,
    codebook: torch.Tensor,
    seed: torch.Tensor,
    tau: float,
    need_logits: bool,
    need_codebook: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Contiguous inputs -> dlogits [N, K], dcodebook [K, D]; one that is not needed is empty."""
    (n, k), grad = logits.shape, grad.contiguous()
    options = blocks(codebook.shape[1], codebook.device)
    row_blocks, code_blocks = triton.cdiv(n, options["BLOCK_N"]), triton.cdiv(k, options["BLOCK_K"])
    dlogits = torch.empty_like(logits) if need_logits else logits.new_empty(0)
    if need_logits:
        soft_embed_bwd_logits[(row_blocks,)](grad, out, logits, codebook, seed, lse, dlogits, 1 / tau, n, k, **options)
    if not need_codebook:
        return dlogits, codebook.new_empty(0)
    splits = max(1, min(row_blocks, 256 // code_blocks))  # enough programs for a GPU, few partial sums
    rows_a_split = triton.cdiv(row_blocks, splits) * options["BLOCK_N"]
    partial = codebook.new_empty((splits, *codebook.shape), dtype=lse.dtype)
    soft_embed_bwd_codebook[(code_blocks, splits)](
        grad, logits, seed, lse, partial, 1 / tau, n, k, rows_a_split, **options
    )
    return dlogits, partial.sum(dim=0).to(codebook.dtype)


def blocks(d: int, device: torch.device) -> dict[str, int]:
    return {"D": d, "BLOCK_D": max(16, triton.next_power_of_2(d))} | block_sizes("soft_embed", SIZES, device)
