"""The choosing of codes in Triton: one program a block of cells, each factor's levels in registers in turn.

Log-softmax, Gumbel noise, argmax and the joining of the digits in one pass over the logits. Maths and names: naive.py.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from terrarium.kernels.block_sizes import block_sizes
from terrarium.kernels.op import cells_of

SIZES = {"tile": 512, "num_warps": 4}  # values of a factor in a program


@triton.jit
def draw_codes_fwd(
    logits_ptr, noise_ptr, temperature_ptr, codes_ptr, chosen_ptr, out_ptr, nats_ptr,
    logits_b, logits_c, logits_m, noise_b, noise_c, noise_m, cells,
    FACTORS: tl.constexpr, COUNT: tl.constexpr, ACC: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Grid (B * cell blocks,). codes, out int64 [B, cells], chosen int8 [B, cells], nats [B, cells]: contiguous."""
    blocks = tl.cdiv(cells, BLOCK_M)
    pid = tl.program_id(0)
    b = (pid // blocks).to(tl.int64)
    m = (pid % blocks) * BLOCK_M + tl.arange(0, BLOCK_M)
    k = tl.arange(0, BLOCK_K)
    there = m < cells
    heat = tl.load(temperature_ptr + b).to(ACC)
    chosen = tl.load(chosen_ptr + b * cells + m, mask=there, other=0) != 0
    rest = tl.load(codes_ptr + b * cells + m, mask=there, other=0)
    code = tl.zeros((BLOCK_M,), tl.int64)
    nats = tl.zeros((BLOCK_M,), ACC)
    first, unit = 0, 1
    for f in tl.static_range(COUNT):
        mask = there[:, None] & (k < FACTORS[f])[None, :]
        c = first + k
        at = b * logits_b + m[:, None] * logits_m + c[None, :] * logits_c
        x = tl.where((k < FACTORS[f])[None, :], tl.load(logits_ptr + at, mask=mask, other=0).to(ACC), -float("inf"))
        at = b * noise_b + m[:, None] * noise_m + c[None, :] * noise_c
        score = x - heat * tl.log(tl.load(noise_ptr + at, mask=mask, other=1).to(ACC))
        top = tl.max(score, axis=1)
        drawn = tl.min(tl.where(score == top[:, None], k[None, :], BLOCK_K - 1), axis=1)  # the first of equal ones
        digit = tl.where(chosen, rest % FACTORS[f], drawn.to(tl.int64))
        top = tl.max(x, axis=1)
        total = tl.sum(tl.exp(x - top[:, None]), axis=1)
        nats += top + tl.log(total) - tl.sum(tl.where(k[None, :] == digit[:, None], x, 0), axis=1)
        code += digit * unit
        rest = rest // FACTORS[f]
        first += FACTORS[f]
        unit *= FACTORS[f]
    tl.store(out_ptr + b * cells + m, code, mask=there)
    tl.store(nats_ptr + b * cells + m, nats, mask=there)


def forward(
    logits: torch.Tensor,
    noise: torch.Tensor,
    temperature: torch.Tensor,
    codes: torch.Tensor,
    chosen: torch.Tensor,
    factors: tuple[int, ...],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Contiguous codes and chosen -> codes int64 [B, h, w], nats [B, h, w] in fp32, or fp64 for fp64."""
    wide = torch.promote_types(logits.dtype, torch.float32)
    out, nats = torch.empty_like(codes), logits.new_empty(codes.shape, dtype=wide)
    logits, logits_strides = cells_of(logits)
    noise, noise_strides = cells_of(noise)
    cells = codes.shape[1] * codes.shape[2]
    options = blocks(factors, logits.device)
    if codes.numel():
        draw_codes_fwd[(len(codes) * triton.cdiv(cells, options["BLOCK_M"]),)](
            logits, noise, temperature, codes, chosen.view(torch.int8), out, nats,
            *logits_strides, *noise_strides, cells,
            FACTORS=factors, COUNT=len(factors), ACC=tl.float64 if wide == torch.float64 else tl.float32, **options,
        )  # fmt: skip
    return out, nats


def blocks(factors: tuple[int, ...], device: torch.device) -> dict[str, int]:
    sizes = block_sizes("codes", SIZES, device)
    block_k = max(4, triton.next_power_of_2(max(factors)))
    return {"BLOCK_M": max(1, sizes["tile"] // block_k), "BLOCK_K": block_k, "num_warps": sizes["num_warps"]}
