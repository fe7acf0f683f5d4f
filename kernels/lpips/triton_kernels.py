"""The head of LPIPS in Triton: a program holds every channel of some pixels in registers, so each map is read once.

Forward writes one partial sum a program; backward computes the norms again instead of keeping them, and writes the
gradients that are asked for. Maths and names: naive.py.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from terrarium.kernels.block_sizes import block_sizes

# By whether channels are last. They lie side by side then, so that few pixels fill a load: half the tile.
SIZES = {True: {"tile": 4096, "num_warps": 4}, False: {"tile": 8192, "num_warps": 8}}


@triton.jit
def _wide(x):
    """fp64 stays; everything else is computed in fp32."""
    if x.dtype == tl.float64:
        return x
    else:
        return x.to(tl.float32)


@triton.jit
def _tile(pixels, channels, n_pixels, n_channels, CHANNELS_LAST: tl.constexpr):
    """-> offsets within a sample, mask, both [BLOCK_P, BLOCK_C]."""
    if CHANNELS_LAST:
        offsets = pixels[:, None] * n_channels + channels[None, :]
    else:
        offsets = channels[None, :] * n_pixels + pixels[:, None]
    return offsets, (pixels[:, None] < n_pixels) & (channels[None, :] < n_channels)


@triton.jit
def _norm(f):
    """-> 1 / (|f| + eps), 1 / |f|, [BLOCK_P, 1] each, both 0 where f is 0."""
    norm = tl.sqrt(tl.sum(f * f, axis=1))[:, None]
    zero = norm == 0.0
    safe = tl.where(zero, 1.0, norm)
    return tl.where(zero, 0.0, 1.0 / (safe + 1e-10)), tl.where(zero, 0.0, 1.0 / safe)


@triton.jit
def lpips_head_fwd(
    f0_ptr, f1_ptr, weight_ptr, partial_ptr, n_pixels, n_channels,
    CHANNELS_LAST: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Grid (B, pixel blocks). partial [B, pixel blocks]: the sum over the block's pixels."""
    b, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    sample = b * n_pixels * n_channels
    channels = tl.arange(0, BLOCK_C)
    offsets, mask = _tile(block * BLOCK_P + tl.arange(0, BLOCK_P), channels, n_pixels, n_channels, CHANNELS_LAST)
    f0 = _wide(tl.load(f0_ptr + sample + offsets, mask=mask, other=0.0))
    f1 = _wide(tl.load(f1_ptr + sample + offsets, mask=mask, other=0.0))
    weight = tl.load(weight_ptr + channels, mask=channels < n_channels, other=0.0).to(f0.dtype)
    inverse0, _ = _norm(f0)
    inverse1, _ = _norm(f1)
    difference = f0 * inverse0 - f1 * inverse1
    total = tl.sum(tl.sum(weight[None, :] * difference * difference, axis=1), axis=0)
    tl.store(partial_ptr + b * tl.num_programs(1) + block, total)


@triton.jit
def lpips_head_bwd(
    grad_ptr, f0_ptr, f1_ptr, weight_ptr, df0_ptr, df1_ptr, n_pixels, n_channels,
    NEED0: tl.constexpr, NEED1: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Grid (B, pixel blocks). grad [B] -> df0, df1 laid out as f0 and f1."""
    b, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    sample = b * n_pixels * n_channels
    channels = tl.arange(0, BLOCK_C)
    offsets, mask = _tile(block * BLOCK_P + tl.arange(0, BLOCK_P), channels, n_pixels, n_channels, CHANNELS_LAST)
    f0 = _wide(tl.load(f0_ptr + sample + offsets, mask=mask, other=0.0))
    f1 = _wide(tl.load(f1_ptr + sample + offsets, mask=mask, other=0.0))
    weight = tl.load(weight_ptr + channels, mask=channels < n_channels, other=0.0).to(f0.dtype)
    inverse0, over_norm0 = _norm(f0)
    inverse1, over_norm1 = _norm(f1)
    u0, u1 = f0 * inverse0, f1 * inverse1
    v = (2.0 * tl.load(grad_ptr + b) / n_pixels) * weight[None, :] * (u0 - u1)
    if NEED0:  # v/s - f (v.f) / (|f| s^2), written with u = f/s
        along = tl.sum(v * u0, axis=1)[:, None] * over_norm0
        tl.store(df0_ptr + sample + offsets, inverse0 * v - along * u0, mask=mask)
    if NEED1:
        along = tl.sum(v * u1, axis=1)[:, None] * over_norm1
        tl.store(df1_ptr + sample + offsets, along * u1 - inverse1 * v, mask=mask)


def forward(f0: torch.Tensor, f1: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """f0 and f1 [B, C, H, W] both NCHW or both channels-last -> [B], fp32, or fp64 for fp64."""
    batch, channels, height, width = f0.shape
    options = blocks(channels, *_layout(f0, f1))
    grid = (batch, triton.cdiv(height * width, options["BLOCK_P"]))
    partial = f0.new_empty(grid, dtype=torch.promote_types(f0.dtype, torch.float32))
    lpips_head_fwd[grid](f0, f1, weight, partial, height * width, channels, **options)
    return partial.sum(dim=1) / (height * width)


def backward(
    grad: torch.Tensor, f0: torch.Tensor, f1: torch.Tensor, weight: torch.Tensor, need0: bool, need1: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """grad [B] -> df0, df1, laid out as f0 and f1; one that is not needed is empty."""
    batch, channels, height, width = f0.shape
    options = blocks(channels, *_layout(f0, f1))
    grid = (batch, triton.cdiv(height * width, options["BLOCK_P"]))
    df0 = torch.empty_like(f0) if need0 else f0.new_empty(0)
    df1 = torch.empty_like(f1) if need1 else f1.new_empty(0)
    lpips_head_bwd[grid](
        grad.contiguous(), f0, f1, weight, df0, df1, height * width, channels, NEED0=need0, NEED1=need1, **options
    )
    return df0, df1


def blocks(channels: int, channels_last: bool, sizes: dict[str, int]) -> dict[str, int | bool]:
    """What a launch wants beside its sizes: a tile of `tile` values, at least one pixel."""
    block_c = max(16, triton.next_power_of_2(channels))
    block_p = max(1, sizes["tile"] // block_c)
    return {
        "CHANNELS_LAST": channels_last,
        "BLOCK_P": block_p,
        "BLOCK_C": block_c,
        "num_warps": sizes["num_warps"],
    }


def _layout(f0: torch.Tensor, f1: torch.Tensor) -> tuple[bool, dict[str, int]]:
    """Whether the maps are channels-last, and the sizes of that layout's tiles."""
    channels_last = f0.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert f0.is_contiguous(memory_format=layout) and f1.is_contiguous(memory_format=layout)
    name = "lpips channels-last" if channels_last else "lpips NCHW"
    return channels_last, block_sizes(name, SIZES[channels_last], f0.device)
