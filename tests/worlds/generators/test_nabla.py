"""Against closed forms: a normal distribution under a linear reward stays normal, and its mean moves by beta r s^2."""

import math

import pytest
import torch

from terrarium.worlds.generators.nabla import clipped, residual, trust
from terrarium.worlds.noise_schedule import cosine_alphabar

M, S, R = 0.4, 0.7, 1.3  # the base is N(M, S^2), the reward R x
ALPHABAR = cosine_alphabar(1000).double()
GRID = torch.linspace(999, 0, 501).long()  # times of a chain


def level(t: int) -> tuple[float, float]:
    return math.sqrt(ALPHABAR[t]), math.sqrt(1 - ALPHABAR[t])


def slope(t: int) -> float:
    """d x_hat / d z of the exact denoiser."""
    alpha, sigma = level(t)
    return alpha * S**2 / (alpha**2 * S**2 + sigma**2)


def clean(z: torch.Tensor, t: int) -> torch.Tensor:
    """E[x | z]."""
    return M + slope(t) * (z - level(t)[0] * M)


def transition(z: torch.Tensor, now: int, then: int) -> tuple[torch.Tensor, float]:
    """Mean and deviation of z at `then`, of DDPM with the exact denoiser."""
    (alpha, sigma), (alpha_then, sigma_then) = level(now), level(then)
    deviation = sigma_then * math.sqrt(1 - (alpha * sigma_then / (alpha_then * sigma)) ** 2)
    x = clean(z, now)
    return alpha_then * x + math.sqrt(sigma_then**2 - deviation**2) * (z - alpha * x) / sigma, deviation


def reward_gradient(z: torch.Tensor, t: int) -> torch.Tensor:
    z = z.detach().requires_grad_()
    (gradient,) = torch.autograd.grad((R * clean(z, t)).sum(), z)
    return gradient


@pytest.mark.parametrize("beta", [0.1, 1.0, 10.0])
def test_the_gradient_is_that_of_the_closed_form(beta) -> None:
    """mu_theta = mu_base + shift, so the gradient in the shift is 2 (shift - sigma^2 beta gamma R slope)."""
    torch.manual_seed(0)
    for i in (10, 200, 480):
        now, then = int(GRID[i]), int(GRID[i + 1])
        shift = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
        z = torch.randn(64, 1, dtype=torch.float64)
        mean, deviation = transition(z, now, then)
        gradient = reward_gradient(torch.randn(64, 1, dtype=torch.float64), then)
        for how in ("squared", "root", "none"):
            gamma = trust(float(ALPHABAR[then]), how)
            loss = residual(mean + shift, mean, deviation, gradient, beta * gamma).mean()
            (found,) = torch.autograd.grad(loss, shift)
            wanted = 2 * (0.05 - deviation**2 * beta * gamma * R * slope(then))
            assert float(found) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("beta", [0.25, 0.5, 1.0, 2.0])
def test_the_aligned_mean_is_that_of_the_tilted_distribution(beta) -> None:
    """A shift a step is learned by gradient descent on the loss; the chain then samples N(M + beta R S^2, S^2)."""
    torch.manual_seed(0)
    shifts = torch.zeros(len(GRID) - 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([shifts], lr=0.45)
    z = torch.randn(8, 1, dtype=torch.float64)
    for _ in range(4):
        losses = []
        for i, (now, then) in enumerate(zip(GRID[:-1].tolist(), GRID[1:].tolist(), strict=True)):
            mean, deviation = transition(z, now, then)
            losses.append(residual(mean + shifts[i], mean, deviation, reward_gradient(z, then), beta).mean())
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
    z = torch.randn(200_000, dtype=torch.float64)
    for i, (now, then) in enumerate(zip(GRID[:-1].tolist(), GRID[1:].tolist(), strict=True)):
        mean, deviation = transition(z, now, then)
        z = mean + shifts[i].detach() + deviation * torch.randn_like(z)
    assert float(z.mean()) == pytest.approx(M + beta * R * S**2, rel=0.02)
    assert float(z.std()) == pytest.approx(S, rel=0.02)


def test_only_the_aligned_mean_learns() -> None:
    mean, base = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    with pytest.raises(AssertionError, match="only mu_theta learns"):
        residual(mean, base, 0.1, torch.zeros(2, 3), 1.0)


def test_outliers_are_clipped_and_no_others() -> None:
    gradient = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    torch.testing.assert_close(clipped(gradient, 1.0), torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]]))
    assert clipped(gradient, None) is gradient
