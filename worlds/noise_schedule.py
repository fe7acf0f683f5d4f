"""How much of the noise and how much of the signal a diffusion model sees at each of its times."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine_alphabar(steps: int) -> Tensor:
    """alphabar_t, t = 0 ... steps - 1, float32 [steps]; what the last one leaves of a picture is not quite nothing."""
    at = torch.arange(1, steps + 1, dtype=torch.float64) / steps

    def curve(x: Tensor) -> Tensor:
        return torch.cos((x + 0.008) / 1.008 * math.pi / 2) ** 2

    return (curve(at) / curve(torch.zeros((), dtype=torch.float64))).clamp(1e-4, 0.9999).float()
