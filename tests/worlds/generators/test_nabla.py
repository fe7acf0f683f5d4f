"""Against closed forms: a normal distribution under a linear reward stays normal, and its mean moves by beta r s^2."""

import pytest
import torch

from terrarium.worlds.generators.nabla import clipped, residual, trust
from terrarium.worlds.noise_schedule import cosine_alphabar

M, S, R = 0.4, 0.7, 1.3  # the base is N(M, S^2), the reward R x
ALPHABAR = cosine_alphabar(1000).double()
GRID = torch.linspace(999, 0, 501).long()  # times of a chain
NOW, THEN = GRID[:-1, None], GRID[1:, None]  # of its transitions, [500, 1]


def level(t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return ALPHABAR[t].sqrt(), (1 - ALPHABAR[t]).sqrt()


def slope(t: torch.Tensor) -> torch.Tensor:
    """d x_hat / d z of the exact denoiser."""
    alpha, sigma = level(t)
    return alpha * S**2 / (alpha**2 * S**2 + sigma**2)


def clean(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """E[x | z]."""
    return M + slope(t) * (z - level(t)[0] * M)


def transition(z: torch.Tensor, now: torch.Tensor, then: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of z at `then`, of DDPM with the exact denoiser."""
    (alpha, sigma), (alpha_then, sigma_then) = level(now), level(then)
    deviation = sigma_then * (1 - (alpha * sigma_then / (alpha_then * sigma)) ** 2).sqrt()
    x = clean(z, now)
    return alpha_then * x + (sigma_then**2 - deviation**2).sqrt() * (z - alpha * x) / sigma, deviation


def reward_gradient(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    z = z.detach().requires_grad_()
    (gradient,) = torch.autograd.grad((R * clean(z, t)).sum(), z)
    return gradient


@pytest.mark.parametrize("how", ["squared", "root", "none"])
@pytest.mark.parametrize("beta", [0.1, 1.0, 10.0])
def test_the_gradient_is_that_of_the_closed_form(beta, how) -> None:
    """mu_theta = mu_base + shift, so the gradient in the shift is 2 (shift - sigma^2 beta gamma R slope)."""
    torch.manual_seed(0)
    for i in (10, 200, 480):
        now, then = NOW[i], THEN[i]
        shift = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
        mean, deviation = transition(torch.randn(64, 1, dtype=torch.float64), now, then)
        gradient = reward_gradient(torch.randn(64, 1, dtype=torch.float64), then)
        scale = beta * trust(float(ALPHABAR[then]), how)
        loss = residual(mean + shift, mean, float(deviation), gradient, scale).mean()
        (found,) = torch.autograd.grad(loss, shift)
        assert float(found) == pytest.approx(2 * (0.05 - float(deviation**2 * scale * R * slope(then))), rel=1e-4)


@pytest.mark.parametrize("beta", [0.25, 0.5, 1.0, 2.0])
def test_the_aligned_mean_is_that_of_the_tilted_distribution(beta) -> None:
    """A shift of each transition is learned by gradient descent; the chain then samples N(M + beta R S^2, S^2)."""
    torch.manual_seed(0)
    shifts = torch.zeros_like(NOW, dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.SGD([shifts], lr=0.05)
    z = torch.randn(len(NOW), 8, dtype=torch.float64)
    mean, deviation = transition(z, NOW, THEN)
    for _ in range(20):
        optimizer.zero_grad()
        residual(mean + shifts, mean, deviation, reward_gradient(z, THEN), beta).sum().backward()
        optimizer.step()
    walked = torch.randn(50_000, dtype=torch.float64)
    for now, then, shift in zip(NOW, THEN, shifts.detach(), strict=True):
        mean, deviation = transition(walked, now, then)
        walked = mean + shift + deviation * torch.randn_like(walked)
    assert float(walked.mean()) == pytest.approx(M + beta * R * S**2, rel=0.02)
    assert float(walked.std()) == pytest.approx(S, rel=0.02)


def test_only_the_aligned_mean_learns() -> None:
    mean, base = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    with pytest.raises(AssertionError, match="only mu_theta learns"):
        residual(mean, base, 0.1, torch.zeros(2, 3), 1.0)


def test_outliers_are_clipped_and_no_others() -> None:
    gradient = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    torch.testing.assert_close(clipped(gradient, 1.0), torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]]))
    assert clipped(gradient, None) is gradient
