"""The choosing of codes as one operator: naive.py's function, on CUDA in one Triton program (triton_kernels.py)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from terrarium.kernels.codes import naive
from terrarium.kernels.op import check_floating, check_one_device, check_shape, operator, runs_triton

MAX_LEVELS = 4096  # a program holds all of a factor's


def draw_codes(
    logits: Tensor, noise: Tensor, temperature: Tensor, codes: Tensor, chosen: Tensor, factors: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """logits [B, K, h, w], standard exponential `noise` of that shape, temperature [B], `codes` int64 [B, h, w] and
    `chosen` bool [B, h, w]; K is the sum of the `factors` -> codes, their nats [B, h, w] (naive.py has the equations).

    Nats of fp16 and bf16 are fp32. No gradients. Inputs may have any strides. Factors of more than 4096 levels take the
    naive path everywhere. ValueError for anything else.
    """
    check_floating(logits=logits, noise=noise, temperature=temperature)
    check_one_device(logits=logits, noise=noise, temperature=temperature, codes=codes, chosen=chosen)
    if logits.ndim != 4 or not factors or logits.shape[1] != sum(factors):
        raise ValueError(f"logits have shape {list(logits.shape)}; expected [B, {sum(factors)}, h, w] by the factors")
    b, _, height, width = logits.shape
    check_shape("noise", noise, tuple(logits.shape))
    check_shape("temperature", temperature, (b,))
    for name, x, dtype in (("codes", codes, torch.int64), ("chosen", chosen, torch.bool)):
        check_shape(name, x, (b, height, width))
        if x.dtype != dtype:
            raise ValueError(f"{name} is {x.dtype}; expected {dtype}")
    if not runs_triton(logits) or max(factors) > MAX_LEVELS:
        return naive.draw_codes(logits, noise, temperature, codes, chosen, factors)
    given = (x.detach() for x in (logits, noise, temperature))
    return _draw_codes(*given, codes.contiguous(), chosen.contiguous(), factors)


@operator("terrarium::draw_codes")
def _draw_codes(
    logits: Tensor, noise: Tensor, temperature: Tensor, codes: Tensor, chosen: Tensor, factors: Sequence[int]
) -> tuple[Tensor, Tensor]:
    from terrarium.kernels.codes.triton_kernels import forward

    return forward(logits, noise, temperature, codes, chosen, tuple(factors))


@_draw_codes.register_fake
def _(
    logits: Tensor, noise: Tensor, temperature: Tensor, codes: Tensor, chosen: Tensor, factors: Sequence[int]
) -> tuple[Tensor, Tensor]:
    wide = torch.promote_types(logits.dtype, torch.float32)
    return torch.empty_like(codes), logits.new_empty(codes.shape, dtype=wide)
