import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.kernels.codes import join_factors, split_factors
from terrarium.worlds.world_model.quantise import EMAVQ, FSQ


@given(st.lists(st.integers(2, 9), min_size=1, max_size=4), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_factors_round_trip(levels, seed):
    total = 1
    for n in levels:
        total *= n
    codes = torch.tensor([seed % total])
    assert torch.equal(join_factors(split_factors(codes, levels), levels), codes)


@pytest.mark.parametrize("quantiser", [FSQ((8, 5, 5, 5)), EMAVQ(32, 8)])
def test_codes_decode_to_what_forward_returned(quantiser):
    quantiser.eval()
    quantised, codes, _ = quantiser(torch.randn(2, quantiser.dim, 3, 5))
    assert codes.shape == (2, 3, 5) and codes.dtype == torch.int64
    torch.testing.assert_close(quantiser.decode(codes), quantised)


def test_fsq_gradient_passes_straight_through():
    latents = torch.zeros(1, 4, 2, 2, requires_grad=True)
    quantised, _, _ = FSQ((8, 5, 5, 5))(latents)
    quantised.sum().backward()
    assert (latents.grad > 0).all()


def test_fsq_reaches_every_code():
    fsq = FSQ((3, 4))
    latents = torch.randn(4000, 2, 1, 1) * 4
    assert fsq(latents)[1].unique().numel() == 12


def test_ema_vq_starts_from_kmeans_and_uses_its_codes():
    torch.manual_seed(0)
    vq = EMAVQ(16, 4).train()
    centres = torch.nn.functional.normalize(torch.randn(16, 4), dim=1)
    data = centres[torch.randint(16, (512,))] + 0.02 * torch.randn(512, 4)
    latents = data.view(2, 16, 16, 4).movedim(-1, 1)
    _, codes, loss = vq(latents)
    assert vq.started and codes.unique().numel() >= 12 and loss < 0.2


def test_ema_vq_restarts_only_long_dead_codes_with_their_buffers():
    torch.manual_seed(0)
    vq = EMAVQ(8, 4, dead_after=3).train()
    vq(torch.randn(1, 4, 8, 8))
    vq.codebook[0] = torch.tensor([1.0, 0, 0, 0])
    vq.ema_sum[0] = vq.codebook[0]
    away = -torch.ones(1, 4, 4, 4) + 0.1 * torch.randn(1, 4, 4, 4)
    for _ in range(2):
        vq(away)
    assert vq.unused[0] == 2 and torch.equal(vq.codebook[0], torch.tensor([1.0, 0, 0, 0]))
    vq(away)
    assert vq.unused[0] == 0 and vq.ema_count[0] == 1.0 and vq.codebook[0, 0] < 0


def test_ema_vq_is_still_in_eval():
    vq = EMAVQ(8, 4).eval()
    before = vq.codebook.clone()
    vq(torch.randn(1, 4, 8, 8))
    assert torch.equal(before, vq.codebook) and not vq.started
