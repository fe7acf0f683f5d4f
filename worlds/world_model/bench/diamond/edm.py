"""Diffusion as DIAMOND uses it: EDM (Karras et al. 2022, arXiv:2206.00364) with its published settings.

A frame in [-1, 1] plus noise of deviation sigma; a network F sees it scaled to unit variance and predicts a mixture of
the frame and the noise that has unit variance too: D(x; sigma) = c_skip x + c_out F(c_in x; c_noise) (equation 7).
DIAMOND adds noise that is the same for all pixels of a channel, OFFSET, so that brightness is learned as well; the
scalings count it as noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch

SIGMA_DATA = 0.5  # deviation of frames
OFFSET = 0.3
P_MEAN, P_STD = -0.4, 1.2  # of log sigma in training
TRAINED = (2e-3, 20.0)  # least and largest sigma in training
STEPS = 3
SIGMA_MIN, SIGMA_MAX, RHO = 2e-3, 5.0, 7.0  # of the sampler


@dataclass
class Scalings:
    """For sigmas [B], each [B, 1, 1, 1] but c_noise [B]."""

    c_in: torch.Tensor
    c_skip: torch.Tensor
    c_out: torch.Tensor
    c_noise: torch.Tensor


def scalings(sigma: torch.Tensor) -> Scalings:
    """Table 1 of EDM, with the offset's variance added to the noise's."""
    noise = sigma.square() + OFFSET**2
    both = noise + SIGMA_DATA**2
    c_in, c_skip, c_out = both.rsqrt(), SIGMA_DATA**2 / both, SIGMA_DATA * (noise / both).sqrt()
    c_in, c_skip, c_out = (c.view(-1, 1, 1, 1) for c in (c_in, c_skip, c_out))
    return Scalings(c_in, c_skip, c_out, noise.log() / 8)


def draw_sigma(n: int, device: torch.device) -> torch.Tensor:
    """[n], log-normal within TRAINED."""
    return (P_MEAN + P_STD * torch.randn(n, device=device)).exp().clamp(*TRAINED)


def add_noise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Frames [B, 3, H, W] and sigma [B] -> noisy ones."""
    offset = OFFSET * torch.randn(*x.shape[:2], 1, 1, device=x.device)
    return x + offset + sigma.view(-1, 1, 1, 1) * torch.randn_like(x)


def sigmas(steps: int = STEPS) -> torch.Tensor:
    """[steps + 1], falling from SIGMA_MAX to SIGMA_MIN (EDM, equation 5), then 0."""
    most, least = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return torch.cat([torch.linspace(most, least, steps) ** RHO, torch.zeros(1)])


def euler(
    denoise: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], x: torch.Tensor, levels: torch.Tensor
) -> torch.Tensor:
    """Algorithm 1 of EDM without its second-order correction and without churn: x [B, ...] at the noise levels[0] ->
    at levels[-1]. `denoise(x, sigma [B])` -> what x is without noise."""
    for now, then in pairwise(levels):
        slope = (x - denoise(x, now.expand(len(x)))) / now
        x = x + (then - now) * slope
    return x
