"""Picture encodings. Light adds up in linear values; pictures and albedo maps are stored in sRGB."""

from __future__ import annotations

import torch
from torch import Tensor


def srgb_to_linear(x: Tensor) -> Tensor:
    """IEC 61966-2-1, [0, 1] -> [0, 1]."""
    x = x.clamp(0, 1)
    curve = ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(x <= 0.04045, x / 12.92, curve)


def linear_to_srgb(x: Tensor) -> Tensor:
    """The inverse; what lies outside [0, 1] is clipped, which is the tone-mapping of a plain camera."""
    x = x.clamp(0, 1)
    curve = 1.055 * x.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(x <= 0.0031308, 12.92 * x, curve)


def reinhard(x: Tensor) -> Tensor:
    """Radiance [0, inf) -> [0, 1) (Reinhard et al. 2002, doi:10.1145/566654.566575, equation 3)."""
    return x / (1 + x)
