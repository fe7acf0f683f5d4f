"""EDM's formulas against their definitions, and the sampler where its answer is known."""

import math

import pytest
import torch

from terrarium.worlds.world_model.bench.diamond import edm


@pytest.mark.parametrize("sigma", [0.002, 0.3, 5.0])
def test_what_the_network_sees_and_what_it_predicts_have_unit_variance(sigma):
    """The two demands from which Karras et al. derive the scalings (appendix B.6), with the offset counted as noise."""
    s = edm.scalings(torch.tensor([sigma]))
    noise = sigma**2 + edm.OFFSET**2
    assert (s.c_in**2 * (edm.SIGMA_DATA**2 + noise)).item() == pytest.approx(1)
    target = ((1 - s.c_skip) ** 2 * edm.SIGMA_DATA**2 + s.c_skip**2 * noise) / s.c_out**2
    assert target.item() == pytest.approx(1, rel=1e-4)
    assert s.c_noise.item() == pytest.approx(math.log(math.sqrt(noise)) / 4)


def test_noise_has_the_deviation_that_the_scalings_count_on():
    torch.manual_seed(0)
    noisy = edm.add_noise(torch.zeros(512, 3, 8, 8), torch.full((512,), 2.0))
    assert noisy.std().item() == pytest.approx(math.hypot(2.0, edm.OFFSET), rel=0.02)
    assert noisy.mean(dim=(2, 3)).std().item() == pytest.approx(math.hypot(2.0 / 8, edm.OFFSET), rel=0.05)


def test_training_sigmas_are_log_normal_within_bounds():
    torch.manual_seed(0)
    drawn = edm.draw_sigma(20_000, torch.device("cpu"))
    assert drawn.log().mean().item() == pytest.approx(edm.P_MEAN, abs=0.05)
    assert drawn.log().std().item() == pytest.approx(edm.P_STD, rel=0.05)
    assert edm.TRAINED[0] <= drawn.min() and drawn.max() <= edm.TRAINED[1]


def test_noise_levels():
    levels = edm.sigmas()
    middle = ((5 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7
    assert levels.tolist() == pytest.approx([5, middle, 0.002, 0], rel=1e-5)


@pytest.mark.parametrize(("steps", "close"), [(3, None), (400, 0.02)])
def test_euler_on_a_normal_distribution(steps, close):
    """Data of deviation s has the denoiser s^2 / (s^2 + sigma^2) x, so each step is a known factor, and with many of
    them x shrinks as the deviation of data and noise does: to s / sqrt(s^2 + sigma_max^2)."""
    s, x = 0.5, torch.tensor([[1.0], [-2.0]])

    def denoise(x, sigma):
        return x * (s**2 / (s**2 + sigma**2)).unsqueeze(1)

    levels = edm.sigmas(steps)
    found = edm.euler(denoise, x, levels)
    factor = 1.0
    for now, then in zip(levels[:-1].tolist(), levels[1:].tolist(), strict=True):
        factor *= 1 + (then - now) * now / (s**2 + now**2)
    assert torch.allclose(found, factor * x, rtol=1e-4)
    if close:
        assert factor == pytest.approx(s / math.hypot(s, edm.SIGMA_MAX), rel=close)
