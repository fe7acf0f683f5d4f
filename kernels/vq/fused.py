"""Nearest code as one operator: naive.py's function, on CUDA in one Triton program (triton_kernels.py)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from terrarium.kernels.op import check_floating, check_index, check_one_device, operator, runs_triton
from terrarium.kernels.vq import naive

MAX_DIM = 256


def vector_quantize(x: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """x [N, D], codebook [K, D], of one dtype -> codes int64 [N], the nearest rows' indices; quantised [N, D].

    Distances are computed in fp32; where two are equal the lower index is taken. The gradient of `quantised` reaches
    the codebook; x has none (the straight-through step is the caller's). ValueError for anything else.
    """
    check_floating(x=x, codebook=codebook)
    check_one_device(x=x, codebook=codebook)
    if x.ndim != 2 or codebook.ndim != 2 or x.shape[1] != codebook.shape[1] or 0 in codebook.shape:
        raise ValueError(
            f"x has shape {list(x.shape)}, codebook {list(codebook.shape)}; expected [N, D] and [K, D], K and D above 0"
        )
    if x.dtype != codebook.dtype:
        raise ValueError(f"codebook is {codebook.dtype}, x {x.dtype}; expected one dtype")
    if not runs_triton(x):
        return naive.vector_quantize(x, codebook)
    if x.shape[1] > MAX_DIM:
        raise ValueError(f"vectors of {x.shape[1]} numbers; expected at most {MAX_DIM}")
    check_index(codebook=codebook)
    quantised, codes = _vq(x.contiguous(), codebook.contiguous())
    return codes, quantised


@operator("terrarium::vq")
def _vq(x: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    from terrarium.kernels.vq.triton_kernels import forward

    return forward(x, codebook)


@_vq.register_fake
def _(x: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty(x.shape[0], dtype=torch.int64)


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1])
    ctx.n_codes = len(inputs[1])


def _backward(ctx: Any, grad: Tensor, _: None) -> tuple[None, Tensor]:
    """Rows that chose a code add up in its row: sorted by code, no atomics, in fp32."""
    (codes,) = ctx.saved_tensors
    wide = grad.to(torch.promote_types(grad.dtype, torch.float32))
    return None, torch.ops.aten.embedding_dense_backward(wide, codes, ctx.n_codes, -1, False).to(grad.dtype)


_vq.register_autograd(_backward, setup_context=_setup)
