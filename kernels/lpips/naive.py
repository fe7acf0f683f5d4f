"""The head of LPIPS as the equations read (Zhang et al. 2018, arXiv:1801.03924, equation 1).

    u = f / (|f| + eps)        unit-normalised over channels, eps = 1e-10; where |f| = 0, u = 0 and so is its gradient
    d = mean over pixels of  sum over channels of  w (u0 - u1)^2

The difference is taken directly: |u0|^2 - 2 u0.u1 + |u1|^2 loses all digits where the two maps are close.
"""

from __future__ import annotations

import torch

EPS = 1e-10


def lpips_head(f0: torch.Tensor, f1: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """f0, f1: feature maps [B, C, H, W]; weight [C] -> distance [B]; fp16 and bf16 give fp32."""
    difference = unit_normalize(f0) - unit_normalize(f1)
    return (_wide(weight).view(-1, 1, 1) * difference**2).sum(dim=1).mean(dim=(1, 2))


def lpips_head_backward(
    grad: torch.Tensor, f0: torch.Tensor, f1: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """grad: dL/dd [B] -> dL/df0, dL/df1, in the shapes and dtypes of f0 and f1."""
    pixels = f0.shape[2] * f0.shape[3]
    v = 2 * _wide(weight).view(-1, 1, 1) * (unit_normalize(f0) - unit_normalize(f1))  # dd/du0 = -dd/du1
    v = v * (_wide(grad) / pixels).view(-1, 1, 1, 1)
    return _through_norm(v, f0), _through_norm(-v, f1)


def unit_normalize(f: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] -> the same with every pixel's channels of length 1, or 0 where they are all 0."""
    f = _wide(f)
    squares = (f * f).sum(dim=1, keepdim=True)
    zero = squares == 0
    norm = torch.where(zero, 1, squares).sqrt()  # sqrt has no gradient at 0: keep it away from there
    return torch.where(zero, 0, f / (norm + EPS))


def _through_norm(v: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
    """v = dL/du -> dL/df = v / s - f (v.f) / (|f| s^2) with s = |f| + eps."""
    wide = _wide(f)
    squares = (wide * wide).sum(dim=1, keepdim=True)
    zero = squares == 0
    norm = torch.where(zero, 1, squares).sqrt()
    s = norm + EPS
    along = (v * wide).sum(dim=1, keepdim=True) / (norm * s * s)
    return torch.where(zero, 0, v / s - wide * along).to(f.dtype)


def _wide(x: torch.Tensor) -> torch.Tensor:
    """fp16's smallest number is above eps: half precision is computed in fp32."""
    return x if x.dtype == torch.float64 else x.float()
