"""Gumbel softmax to an embedding as one operator: naive.py's function, on CUDA in Triton (triton_kernels.py)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from terrarium.kernels.op import check_floating, check_index, check_one_device, operator, runs_triton
from terrarium.kernels.soft_embed import naive

MAX_DIM = {2: 256, 4: 128, 8: 64}  # by bytes a number: a program holds all of a row's output


def soft_embed(logits: Tensor, codebook: Tensor, seed: Tensor, tau: float = 1.0) -> Tensor:
    """logits [N, K], codebook [K, D], of one dtype; seed int64 []; tau > 0 -> softmax((logits + g) / tau) @ codebook.

    [N, D]. g is standard Gumbel noise, a function of the seed (naive.gumbel makes the same); sums are in fp32. A seed
    in a tensor, so that a captured graph can be replayed with another. ValueError for anything else.
    """
    check_floating(logits=logits, codebook=codebook)
    check_one_device(logits=logits, codebook=codebook, seed=seed)
    if logits.ndim != 2 or codebook.ndim != 2 or logits.shape[1] != codebook.shape[0] or 0 in codebook.shape:
        raise ValueError(
            f"logits have shape {list(logits.shape)}, codebook {list(codebook.shape)}; "
            "expected [N, K] and [K, D], K and D above 0"
        )
    if logits.dtype != codebook.dtype:
        raise ValueError(f"codebook is {codebook.dtype}, logits are {logits.dtype}; expected one dtype")
    if seed.dtype != torch.int64 or seed.numel() != 1:
        raise ValueError(f"seed is {seed.dtype} with shape {list(seed.shape)}; expected one torch.int64")
    if not tau > 0:
        raise ValueError(f"tau is {tau}; expected a number above 0")
    if not runs_triton(logits):
        return naive.soft_embed(logits, codebook, seed, tau)
    if codebook.shape[1] > MAX_DIM[codebook.dtype.itemsize]:
        largest = MAX_DIM[codebook.dtype.itemsize]
        raise ValueError(f"codes of {codebook.shape[1]} numbers in {codebook.dtype}; expected at most {largest}")
    check_index(codebook=codebook)
    return _soft_embed(logits.contiguous(), codebook.contiguous(), seed, tau)[0]


@operator("terrarium::soft_embed")
def _soft_embed(logits: Tensor, codebook: Tensor, seed: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    from terrarium.kernels.soft_embed.triton_kernels import forward

    return forward(logits, codebook, seed, tau)


@_soft_embed.register_fake
def _(logits: Tensor, codebook: Tensor, seed: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    wide = torch.promote_types(logits.dtype, torch.float32)
    rows = logits.shape[0]
    return codebook.new_empty((rows, codebook.shape[1])), logits.new_empty(rows, dtype=wide)


@operator("terrarium::soft_embed_bwd")
def _soft_embed_bwd(
    grad: Tensor,
    out: Tensor,
    lse: Tensor,
    logits: Tensor,
    codebook: Tensor,
    seed: Tensor,
    tau: float,
    need_logits: bool,
    need_codebook: bool,
) -> tuple[Tensor, Tensor]:
    from terrarium.kernels.soft_embed.triton_kernels import backward

    return backward(grad, out, lse, logits, codebook, seed, tau, need_logits, need_codebook)


@_soft_embed_bwd.register_fake
def _(grad, out, lse, logits, codebook, seed, tau, need_logits, need_codebook):
    dlogits = torch.empty_like(logits) if need_logits else logits.new_empty(0)
    return dlogits, torch.empty_like(codebook) if need_codebook else codebook.new_empty(0)


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, float], output: tuple[Tensor, Tensor]) -> None:
    logits, codebook, seed, ctx.tau = inputs
    ctx.save_for_backward(*output, logits, codebook, seed)


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    need_logits, need_codebook = ctx.needs_input_grad[:2]
    dlogits, dcodebook = _soft_embed_bwd(grad, *ctx.saved_tensors, ctx.tau, need_logits, need_codebook)
    return dlogits if need_logits else None, dcodebook if need_codebook else None, None, None


_soft_embed.register_autograd(_backward, setup_context=_setup)
