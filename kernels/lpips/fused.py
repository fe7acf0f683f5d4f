"""The head of LPIPS as one operator: naive.py's function, on CUDA in two Triton programs (triton_kernels.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from terrarium.kernels.lpips import naive
from terrarium.kernels.op import check_floating, check_one_device, check_shape, operator, runs_triton

MAX_CHANNELS = 1024  # a program holds all of a pixel's


def lpips_head(f0: Tensor, f1: Tensor, weight: Tensor) -> Tensor:
    """f0, f1: feature maps [B, C, H, W] of one dtype; weight [C], a constant -> distance [B].

    fp16 and bf16 are computed and returned in fp32. NCHW and channels-last are read as they lie; where the two maps
    lie differently, f1 is copied to the layout of f0. ValueError for anything else.
    """
    check_floating(f0=f0, f1=f1, weight=weight)
    check_one_device(f0=f0, f1=f1, weight=weight)
    if f0.ndim != 4 or 0 in f0.shape[1:]:
        raise ValueError(f"f0 has shape {list(f0.shape)}; expected [B, C, H, W], none but B 0")
    check_shape("f1", f1, f0.shape)
    check_shape("weight", weight, (f0.shape[1],))
    if f1.dtype != f0.dtype:
        raise ValueError(f"f1 is {f1.dtype}, f0 {f0.dtype}; expected one dtype")
    if weight.requires_grad:
        raise ValueError("weight requires a gradient; expected a constant (naive.lpips_head differentiates it)")
    if not runs_triton(f0):
        return naive.lpips_head(f0, f1, weight)
    if f0.shape[1] > MAX_CHANNELS or f0.shape[1:].numel() >= 2**31:
        raise ValueError(
            f"f0 has shape {list(f0.shape)}; expected at most {MAX_CHANNELS} channels, 2^31 - 1 numbers each"
        )
    channels_last = f0.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return _lpips_head(f0.contiguous(memory_format=layout), f1.contiguous(memory_format=layout), weight.contiguous())


class LPIPSHead(nn.Module):
    """LPIPS from the features of some trunk: the distances of its layers, added up. `weights`: [C] for each layer."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        for i, weight in enumerate(weights):
            self.register_buffer(f"head{i}", weight)

    def forward(self, feats0: Sequence[Tensor], feats1: Sequence[Tensor]) -> Tensor:
        """feats0, feats1: a map [B, C, H, W] for each layer -> distance [B]."""
        heads = [head for _, head in self.named_buffers()]
        layers = [lpips_head(f0, f1, head) for f0, f1, head in zip(feats0, feats1, heads, strict=True)]
        return torch.stack(layers).sum(dim=0)


@operator("terrarium::lpips_head")
def _lpips_head(f0: Tensor, f1: Tensor, weight: Tensor) -> Tensor:
    from terrarium.kernels.lpips.triton_kernels import forward

    return forward(f0, f1, weight)


@_lpips_head.register_fake
def _(f0: Tensor, f1: Tensor, weight: Tensor) -> Tensor:
    return f0.new_empty(f0.shape[0], dtype=torch.promote_types(f0.dtype, torch.float32))


@operator("terrarium::lpips_head_bwd")
def _lpips_head_bwd(
    grad: Tensor, f0: Tensor, f1: Tensor, weight: Tensor, need0: bool, need1: bool
) -> tuple[Tensor, Tensor]:
    from terrarium.kernels.lpips.triton_kernels import backward

    return backward(grad, f0, f1, weight, need0, need1)


@_lpips_head_bwd.register_fake
def _(grad: Tensor, f0: Tensor, f1: Tensor, weight: Tensor, need0: bool, need1: bool) -> tuple[Tensor, Tensor]:
    df0 = torch.empty_like(f0) if need0 else f0.new_empty(0)
    return df0, torch.empty_like(f1) if need1 else f1.new_empty(0)


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    need0, need1, _ = ctx.needs_input_grad
    df0, df1 = _lpips_head_bwd(grad, *ctx.saved_tensors, need0, need1)
    return df0 if need0 else None, df1 if need1 else None, None


_lpips_head.register_autograd(_backward, setup_context=_setup)
