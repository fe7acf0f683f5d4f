"""Residual nabla-DB, its forward part: how a diffusion model learns to sample p_base(x) exp(beta R(x)).

Of a GFlowNet that balances in detail (Liu et al. 2024, arXiv:2412.07775), the scores of a transition z_t -> z_s of the
aligned model and of the base differ by the gradient of the log-flow, which R at the expected clean world stands for:

    (mu_theta - mu_base) / sigma^2 = beta gamma grad_z R(x_hat(z))        at z = z_s

Both transitions are normal with the deviation sigma. The squared difference of the two sides, times sigma^2, is the
loss; gradients flow through mu_theta alone. gamma says how far x_hat is to be trusted at z: alphabar ("squared") or its
root ("root"); with `none` and a linear reward the aligned distribution is exact in the limit of many steps.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Trust = Literal["squared", "root", "none"]


def trust(alphabar: float, how: Trust) -> float:
    """gamma at a time whose alphabar is given."""
    return {"squared": alphabar, "root": alphabar**0.5, "none": 1.0}[how]


def residual(mean: Tensor, mean_base: Tensor, deviation: float | Tensor, gradient: Tensor, scale: float) -> Tensor:
    """Sum over a world's numbers of (mu_theta - mu_base - sigma^2 scale grad R)^2, [B].

    All of [B, ...]; `scale` is beta gamma. What is not `mean` must come without a gradient.
    """
    assert not (mean_base.requires_grad or gradient.requires_grad), "only mu_theta learns"
    return (mean - mean_base - deviation**2 * scale * gradient).square().flatten(1).sum(1)


def clipped(gradient: Tensor, most: float | None) -> Tensor:
    """Rewards' gradients [B, ...] whose norm is above `most` are outliers: scaled down to it."""
    if most is None:
        return gradient
    norms = gradient.flatten(1).norm(dim=1).view(-1, *[1] * (gradient.ndim - 1))
    return gradient * (most / norms.clamp(min=most))
