"""blur.c: clips blurred, each by its own amount."""

from __future__ import annotations

import ctypes

import torch

from terrarium.kernels.cpu.build import pointer

Tensor = torch.Tensor


def blur(programs: ctypes.CDLL, pictures: Tensor, amounts: Tensor) -> Tensor:
    """pictures fp32 [B, T, C, H, W] mixed with themselves under a box of 5x5 pixels twice, by amounts fp32 [B] in
    [0, 1]. No gradients. The sides are those that `takes_pictures` allows."""
    pictures, amounts = pictures.contiguous(), amounts.contiguous()
    out = torch.empty_like(pictures)
    b, t, c, height, width = pictures.shape
    sizes = map(ctypes.c_int64, (b, t * c, height, width))
    programs.blur(*map(pointer, (pictures, amounts, out)), *sizes, torch.get_num_threads())
    return out
