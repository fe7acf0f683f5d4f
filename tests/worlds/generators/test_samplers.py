import math

import numpy as np
import pytest
import torch

from terrarium.worlds.generators import samplers
from terrarium.worlds.generators.samplers import AGAIN, Kept, Plan, posterior, sample, second_order, steps_of


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm"])
def test_a_world_depends_on_its_seed_and_not_on_its_batch(generator, sampler) -> None:
    captions = ["a tower", "a large ship"]
    pair = sample(generator, captions, Plan(seeds=(4, 5), sampler=sampler, steps=3))
    again = sample(generator, captions, Plan(seeds=(4, 5), sampler=sampler, steps=3))
    (alone,) = sample(generator, captions[1:], Plan(seeds=(5,), sampler=sampler, steps=3))
    (other,) = sample(generator, captions[1:], Plan(seeds=(6,), sampler=sampler, steps=3))
    assert pair[0].shape == (16, 16, 16) and pair[0].dtype == np.uint8 and pair[0].max() < 8
    assert all((a == b).all() for a, b in zip(pair, again, strict=True))
    assert (alone == pair[1]).mean() > 0.999 and (alone != other).mean() > 0.1


def test_steps_go_down_to_zero_and_repeated_ones_come_back() -> None:
    plain = list(steps_of(4, False))
    assert plain[0][0] == 999 and plain[-1][1] == 0 and not any(again for *_, again in plain)
    repeated = list(steps_of(4, True))
    assert len(repeated) == 3 * AGAIN + 1 and sum(again for *_, again in repeated) == 3 * (AGAIN - 1)


def test_the_posterior_keeps_the_marginal(generator) -> None:
    """Of z at one time, the posterior's z at an earlier one is distributed as noise added directly."""
    x = 0.3
    now, then = 700, 400
    alpha, sigma = samplers.at(generator, now)
    z = alpha * x + sigma * torch.randn(200_000)
    for eta in (0.0, 0.5, 1.0):
        mean, deviation = posterior(generator, z, torch.tensor(x), now, then, eta)
        drawn = mean + deviation * torch.randn(200_000)
        alpha_then, sigma_then = samplers.at(generator, then)
        assert float(drawn.mean()) == pytest.approx(alpha_then * x, abs=0.01)
        assert float(drawn.std()) == pytest.approx(sigma_then, rel=0.01)
    # Full noise is DDPM's: Ho et al. 2020, arXiv:2006.11239, equation 7.
    share = alpha**2 / alpha_then**2
    assert deviation == pytest.approx(math.sqrt((1 - alpha_then**2) / (1 - alpha**2) * (1 - share)), rel=1e-4)


def test_the_second_order_is_exact_where_the_clean_world_is_known(generator) -> None:
    x, noise = torch.tensor(0.3), torch.randn(5)
    times = (900, 700, 300)
    z = [samplers.at(generator, t)[0] * x + samplers.at(generator, t)[1] * noise for t in times]
    first = second_order(generator, z[0], x, None, times[0], times[1])
    torch.testing.assert_close(first, z[1])
    torch.testing.assert_close(second_order(generator, z[1], x, (times[0], x), times[1], times[2]), z[2])


def test_what_is_kept_stays(generator) -> None:
    blocks = np.random.default_rng(0).integers(0, 8, (16, 16, 16)).astype(np.uint8)
    where = np.zeros((16, 16, 16), bool)
    where[:, :3] = True
    (made,) = sample(generator, ["a tower"], Plan(seeds=(1,), steps=3), Kept(blocks, where))
    assert (made[where] == blocks[where]).all() and (made[~where] != blocks[~where]).any()


def test_noise_that_was_taken_away_is_added_again(generator) -> None:
    x, noises = 0.3, samplers.Noises(generator, [1])
    alpha, sigma = samplers.at(generator, 400)
    z = alpha * x + sigma * noises.draw()
    back = samplers.noisier(generator, z, 400, 700, noises)
    alpha, sigma = samplers.at(generator, 700)
    assert float(back.mean()) == pytest.approx(alpha * x, abs=0.03)
    assert float(back.std()) == pytest.approx(sigma, rel=0.02)
