"""DIAMOND as a world model: its size, its loss, and the states by which it is rolled out."""

import numpy as np
import pytest
import torch

from terrarium.worlds.world_model.bench.diamond import edm
from terrarium.worlds.world_model.bench.diamond.model import PAST, Diamond
from terrarium.worlds.world_model.kinds import tokenizer_debug
from terrarium.worlds.world_model.rollout import State, burn_in, rollout
from terrarium.worlds.world_model.tokenizer import Tokenizer, to_pictures

ACTIONS = 9


def small(channels=(32, 32)):
    torch.manual_seed(0)
    model = Diamond(Tokenizer(tokenizer_debug()), ACTIONS, channels).eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.02 * torch.randn_like(p))  # no weight is zero
    return model


@pytest.fixture(scope="module")
def model():
    return small()


def clips(n, length):
    rng = np.random.default_rng(n)
    frames = rng.integers(0, 256, (n, length, 16, 16, 3), np.uint8)
    return frames, torch.from_numpy(rng.uniform(-1, 1, (n, length - 1, ACTIONS)).astype(np.float32))


def test_it_has_the_published_size():
    model = Diamond(Tokenizer(tokenizer_debug()), ACTIONS)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == pytest.approx(4.4e6, rel=0.01)


@pytest.mark.parametrize("sigma", [0.01, 1.0, 10.0])
def test_the_loss_is_the_denoisers_weighted_error(model, sigma, monkeypatch):
    """EDM, equation 8: lambda |D(y + n) - y|^2 with lambda = 1 / c_out^2. Without the 256 levels of a frame."""
    y, levels = 0.5 * torch.randn(3, 3, 16, 16), torch.full((3,), sigma)
    past, actions = torch.randn(3, 3 * PAST, 16, 16), torch.randn(3, PAST, ACTIONS)
    noisy = edm.add_noise(y, levels)
    monkeypatch.setattr("terrarium.worlds.world_model.bench.diamond.model.add_noise", lambda *_: noisy)
    with torch.no_grad():
        loss = model.denoising_loss(past, actions, y, levels)
        s = edm.scalings(levels)
        clean = s.c_skip * noisy + s.c_out * model(s.c_in * noisy, s.c_noise, past / edm.SIGMA_DATA, actions)
        levels_of_a_frame = model.denoise(noisy, levels, past, actions)
    assert loss.item() == pytest.approx(((clean - y).square() / s.c_out**2).mean().item(), rel=1e-3)
    assert (levels_of_a_frame - clean.clamp(-1, 1)).abs().max() <= 0.5 / 127.5 + 1e-5
    whole = (levels_of_a_frame + 1) * 127.5
    assert torch.allclose(whole, whole.round(), atol=1e-4)


def test_a_rollout_sees_the_last_frames_and_actions_alone(model):
    frames, actions = clips(2, 8)
    torch.manual_seed(1)
    made = rollout(model, burn_in(model, frames, actions), torch.ones(2, 3, ACTIONS))
    assert made.state.picture.is_inference(), "no graph that grows with every step"
    assert made.frames.shape == (2, 3, 16, 16, 3) and made.frames.dtype == np.uint8
    torch.manual_seed(1)
    short = burn_in(model, frames[:, -PAST:], actions[:, -(PAST - 1) :])
    assert np.array_equal(rollout(model, short, torch.ones(2, 3, ACTIONS)).frames, made.frames)
    last = made.state.memory.layers[0].unflatten(1, (PAST, 3))
    kept = to_pictures(np.concatenate([frames[:, -1:], made.frames], axis=1))
    assert torch.allclose(last, kept, atol=1e-6), "what it shows is what it goes on from"
    for other in (torch.zeros(2, 3, ACTIONS), torch.eye(3, ACTIONS).expand(2, -1, -1)):
        torch.manual_seed(1)
        assert not np.array_equal(rollout(model, burn_in(model, frames, actions), other).frames, made.frames)


def test_states_are_told_apart_joined_and_kept(model):
    frames, actions = clips(3, 5)
    state = burn_in(model, frames, actions)
    assert len(state.codes) == 3
    again = State.of(State.stack([state.select([i]) for i in range(3)]).tensors())
    for a, b in zip(state.tensors().values(), again.tensors().values(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(state.repeat(2).picture[1], state.picture[0])


def test_too_short_a_beginning_is_refused(model):
    with pytest.raises(ValueError, match="3 frames before the first step: expected at least 4"):
        burn_in(model, *clips(1, 3))
