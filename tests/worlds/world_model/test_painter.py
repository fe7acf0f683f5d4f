"""The painter: what it may change, and that play, evaluation and training paint alike."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from terrarium.worlds.world_model.degrade import degrade
from terrarium.worlds.world_model.discriminator import Discriminator, roughness
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.kinds import tokenizer_debug, world_model_debug
from terrarium.worlds.world_model.painter import Painter, binomial
from terrarium.worlds.world_model.picture import FADE, fading, move_pictures
from terrarium.worlds.world_model.rollout import State, burn_in, compose_next, rollout, show, step
from terrarium.worlds.world_model.tokenizer import Tokenizer

A = 9


def with_painter(strength=0.3):
    """A model whose flow moves things and whose painter shows."""
    model = Dynamics(replace(world_model_debug(), margin=8), Tokenizer(tokenizer_debug()), (8, 8), A)
    model.painter = Painter(12)
    for parameters in (model.stack[-1].flow.direct.parameters(), model.painter.out.parameters()):
        for p in parameters:
            torch.nn.init.normal_(p, std=strength)
    return model.eval()


def seen(rows=3, frames=4):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (rows, frames, 32, 32, 3), dtype=np.uint8)
    return pictures, rng.normal(size=(rows, frames - 1, A)).astype(np.float32)


@pytest.mark.parametrize("size", [(32, 32), (72, 128), (20, 36)])
def test_at_the_start_it_leaves_the_picture_as_it_is(size):
    picture, clues = torch.rand(2, 3, *size) - 0.5, torch.rand(2, 3, *size)
    painter = Painter(12)
    assert torch.equal(painter(picture, clues), picture)
    torch.nn.init.normal_(painter.out.weight)
    painted = painter(picture, clues)
    assert painted.shape == picture.shape and (painted - picture).abs().mean() > 0.1


@pytest.mark.parametrize("clue", [0, 1, 2], ids=["mask", "known", "fresh"])
def test_every_clue_counts(clue):
    painter = Painter(12)
    torch.nn.init.normal_(painter.out.weight)
    picture, clues = torch.rand(1, 3, 32, 32) - 0.5, torch.zeros(1, 3, 32, 32)
    other = clues.clone()
    other[:, clue] = 1.0
    assert (painter(picture, clues) - painter(picture, other)).abs().max() > 1e-3


def test_what_alternates_from_pixel_to_pixel_is_filtered_out():
    board = (torch.arange(32).view(-1, 1) + torch.arange(32)).remainder(2) * 2.0 - 1
    smooth = torch.full((1, 3, 32, 32), 0.25)
    assert binomial(board.expand(1, 3, -1, -1))[..., 1:-1, 1:-1].abs().max() < 1e-6
    torch.testing.assert_close(binomial(smooth), smooth)
    dot = torch.zeros(1, 3, 32, 32)
    dot[..., 8, 8] = 16.0
    around = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
    torch.testing.assert_close(binomial(dot)[0, 0, 7:10, 7:10], around)


def test_players_are_painted_alone_and_together_alike():
    model = with_painter()
    frames, actions = seen()
    states = burn_in(model, frames, actions)
    forward = torch.randn(3, A)
    together = step(model, states, forward, 0.0)
    alone = step(model, states.select(slice(1, 2)), forward[1:2], 0.0)
    torch.testing.assert_close(together.picture[1:2], alone.picture, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.memory.fresh[1:2], alone.memory.fresh)
    assert torch.equal(together.codes[1:2], alone.codes)


def test_a_rollout_is_its_steps_and_its_codes_are_of_what_is_shown():
    model = with_painter()
    state = burn_in(model, *seen())
    actions = torch.randn(3, 5, A)
    made = rollout(model, state, actions, temperature=0.0)
    for action in actions.unbind(1):
        state = step(model, state, action, 0.0)
    assert torch.equal(made.state.picture, state.picture)
    with torch.no_grad():
        assert torch.equal(state.codes, model.tokenizer.quantiser(model.tokenizer.encoder(state.picture))[1])
        unpainted = with_painter()
        unpainted.load_state_dict(model.state_dict())
        unpainted.painter = Painter(12)
    other = rollout(unpainted, burn_in(unpainted, *seen()), actions, temperature=0.0)
    assert np.abs(other.frames.astype(int) - made.frames).mean() > 1


def test_rows_in_which_nothing_moves_are_not_painted():
    """Of two rows one is told that nothing moved."""
    model = with_painter()
    state = burn_in(model, *seen(2))
    with torch.no_grad():
        given = state.codes.unsqueeze(1), state.picture.unsqueeze(1), torch.randn(2, 1, A), state.memory
        prediction = model(*given)
        prediction.flow[0] *= 0.2 / prediction.flow[0].abs().max()
        composed = compose_next(model, prediction, 0.0)
        painted = show(model, composed, model.painter(composed.state.picture, composed.clues))
    assert composed.moves.tolist() == [False, True]
    assert torch.equal(painted.picture[0], composed.state.picture[0])
    assert torch.equal(painted.codes[0], composed.state.codes[0])
    assert (painted.picture[1] - composed.state.picture[1]).abs().mean() > 0.01


def test_freshness_fades_with_what_moves_and_more_with_what_is_stretched():
    still, slide, zoom = torch.zeros(3, 1, 2, 16, 16).unbind(0)
    slide[:, 0] = 2.0
    zoom[:, 0], zoom[:, 1] = -0.5 * torch.arange(16.0), -0.5 * torch.arange(16.0).view(-1, 1)
    assert (fading(still) == 1).all()
    torch.testing.assert_close(fading(slide), torch.full((1, 1, 16, 16), math.exp(-1 / FADE)))
    inside = fading(zoom)[..., :-1, :-1]  # a quarter of the area: half the side
    torch.testing.assert_close(inside, torch.full_like(inside, math.exp(-1 / FADE) / 2))


def test_real_frames_are_fresh_and_what_is_drawn_is_not():
    model = with_painter()
    state = burn_in(model, *seen(1))
    assert (state.memory.fresh == 1).all()
    with torch.no_grad():
        given = state.codes.unsqueeze(1), state.picture.unsqueeze(1), torch.randn(1, 1, A), state.memory
        prediction = model(*given)
        prediction.mask = torch.zeros_like(prediction.mask)
        prediction.mask[..., :16] = 1.0
        prediction.fresh = torch.full_like(prediction.fresh, 0.7)
        composed = compose_next(model, prediction, 0.0)
    assert (composed.state.memory.fresh[..., :16] == 0.7).all() and (composed.state.memory.fresh[..., 16:] == 0).all()
    assert torch.equal(
        composed.clues, torch.cat([prediction.mask, prediction.known, composed.state.memory.fresh[:, None]], 2)[:, 0]
    )


def test_freshness_comes_back_from_the_margins():
    model = with_painter()
    start = model.initial(1)
    picture, right = torch.rand(1, 1, 3, 32, 32) - 0.5, torch.zeros(1, 1, 2, 32, 32)
    right[:, :, 0] = 4.0
    with torch.no_grad():
        moved, margins = move_pictures(picture, right, start.margins, start.fresh)
        back, _ = move_pictures(moved[:, None, :3], -right, margins, moved[:, 4:])
    assert (moved[:, 4, :, 28:] < 1e-4).all(), "columns never seen are not fresh"
    torch.testing.assert_close(back[:, 4, :, :28], torch.full((1, 32, 28), math.exp(-2 / FADE)))


def test_states_go_through_their_tensors():
    state = burn_in(with_painter(), *seen(2))
    again = State.of(state.tensors())
    assert all(torch.equal(a, b) for a, b in zip(state.tensors().values(), again.tensors().values(), strict=True))
    assert len(again.memory.layers) == len(state.memory.layers)


def test_the_discriminator_answers_at_three_scales_and_has_no_weights_of_the_tokenizer():
    tokenizer = Tokenizer(tokenizer_debug())
    discriminator = Discriminator(tokenizer)
    answers = discriminator(torch.rand(2, 3, 32, 32) - 0.5)
    assert [tuple(a.shape) for a in answers] == [(2, 1, 8, 8), (2, 1, 4, 4), (2, 1, 1, 1)]
    assert not set(discriminator.parameters()) & set(tokenizer.parameters())


def test_roughness_tells_directions_apart():
    stripes = (torch.arange(16) % 2).float().expand(1, 3, 16, 16)
    dx, dy, laplacian = roughness(stripes).mean(dim=(0, 2, 3)).tolist()
    assert dx > 0.9 and dy == 0 and laplacian > 1.5


def test_damage_leaves_some_rows_as_they_are_and_says_where_codes_are_new():
    torch.manual_seed(1)
    pictures = torch.rand(64, 3, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3) - 0.5
    damaged, clues = degrade(Tokenizer(tokenizer_debug()), pictures)
    same = (damaged == pictures).flatten(1).all(dim=1)
    assert 2 <= same.sum() <= 24 and damaged.abs().max() <= 0.5
    mask, known, fresh = clues.split(1, dim=1)
    assert (fresh[mask < 0.5] == 0).all() and (mask[known == 0] == 0).all()
    assert clues.min() >= 0 and clues.max() <= 1 and (mask[same] >= 0.5).all()
