import pytest
import torch

pytest.importorskip("diffusers", reason="the extra `sds` is not installed")

from terrarium.worlds.blocks.structures.captions import vocabulary
from terrarium.worlds.voxels.prior.model import Looking, Prior


@pytest.fixture(scope="module")
def prior() -> Prior:
    torch.manual_seed(0)
    return Prior(vocabulary(), (8, 16), 16).eval()


def looking(*azimuths: float) -> Looking:
    return Looking(torch.tensor(azimuths), torch.full((len(azimuths),), 25.0))


@torch.no_grad()
def test_a_prediction_does_not_depend_on_the_rest_of_its_batch(prior) -> None:
    z, t = torch.randn(2, 3, 64, 64), torch.tensor([100, 900])
    tokens = prior.captions.tokens(["a tower", "a large smooth stone pyramid on sand"])
    both = prior(z, t, tokens, looking(30, 200))
    short = prior.captions.tokens(["a tower"])
    assert both.shape == z.shape
    torch.testing.assert_close(prior(z[:1], t[:1], short, looking(30)), both[:1], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_full_turn_is_no_turn_and_half_a_turn_is_one(prior) -> None:
    z, t, tokens = torch.randn(1, 3, 64, 64), torch.tensor([500]), prior.captions.tokens(["a tower"])
    seen = [prior(z, t, tokens, looking(azimuth)) for azimuth in (30.0, 390.0, 210.0)]
    torch.testing.assert_close(seen[0], seen[1], rtol=1e-3, atol=1e-4)
    assert (seen[0] - seen[2]).abs().max() > 1e-3


@torch.no_grad()
def test_guidance_goes_on_beyond_the_caption(prior) -> None:
    z, t = torch.randn(1, 3, 64, 64), torch.tensor([500])
    given, other = prior.captions.tokens(["a tower", ""]).split(1)
    with_caption, without = prior(z, t, given, looking(30)), prior(z, t, other, looking(30))
    found = prior.guided(z, t, given, other, looking(30), 3.0)
    torch.testing.assert_close(found, without + 3 * (with_caption - without), rtol=1e-3, atol=1e-4)


def test_samples_are_pictures_and_a_seed_names_them(prior) -> None:
    first, again, other = (prior.sample(["a tower"], looking(30), cfg=2.0, steps=3, seed=s) for s in (1, 1, 2))
    assert first.shape == (1, 3, 64, 64) and first.min() >= 0 and first.max() <= 1
    assert first.equal(again) and not first.equal(other)
