from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from worlds.configs import tokenizer_debug, world_model_debug
from worlds.world_model.actions import A
from worlds.world_model.conv_gru import MAX_FLOW, ConvGRULayer, place_basis, warp
from worlds.world_model.dynamics import Dynamics, cross_entropy
from worlds.world_model.tokenizer import Tokenizer

FACTORS, GRID = [4, 3], (6, 8)


@pytest.fixture
def model():
    torch.manual_seed(0)
    tokenizer = Tokenizer(replace(tokenizer_debug(), levels=tuple(FACTORS)))
    model = Dynamics(world_model_debug(), tokenizer, GRID).eval()
    for p in model.parameters():  # away from the zero-initialised start, where much would be trivially equal
        p.data.add_(0.05 * torch.randn_like(p))
    return model


def inputs(batch=3, time=5):
    return torch.randint(12, (batch, time, *GRID)), torch.randn(batch, time, A)


def by_grid_sample(h, flow):
    b, c, height, width = h.shape
    groups = flow.shape[1] // 2
    y, x = torch.meshgrid(torch.arange(height).to(h), torch.arange(width).to(h), indexing="ij")
    at = flow.reshape(b * groups, 2, height, width)
    grid = torch.stack([(x + at[:, 0]) * 2 / (width - 1) - 1, (y + at[:, 1]) * 2 / (height - 1) - 1], dim=-1)
    cells = h.reshape(b * groups, c // groups, height, width)
    return F.grid_sample(cells, grid, padding_mode="border", align_corners=True).reshape(h.shape)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shape", [(2, 4, 7, 5), (1, 8, 16, 16)])
def test_warp_is_bilinear_sampling_with_all_gradients(groups, shape):
    h = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    flow = (2 * torch.randn(shape[0], 2 * groups, *shape[2:], dtype=torch.float64)).requires_grad_()
    ours, theirs = warp(h, flow), by_grid_sample(h, flow)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad((ours * weight).sum(), (h, flow)),
        torch.autograd.grad((theirs * weight).sum(), (h, flow)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_zero_flow_changes_nothing():
    h = torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(warp(h, torch.zeros(2, 2, 5, 6)), h)


def test_flow_is_bounded_and_starts_at_zero():
    layer = ConvGRULayer(8, 8, 16, flow=True)
    basis = place_basis(5, 5)
    h, action = torch.randn(2, 8, 5, 5), torch.randn(2, 16)
    assert layer.flow(h, action, basis).abs().max() == 0
    layer.flow.out.weight.data.normal_(std=100)
    assert 1 < layer.flow(h, action, basis).abs().max() <= MAX_FLOW


def test_live_steps_equal_the_batched_forward(model):
    """Parity: one step a frame with a carried state gives the logits of the hoisted forward over all T."""
    codes, actions = inputs()
    batched, last, _ = model(codes, actions, model.initial(3))
    hidden, live = model.initial(3), []
    for t in range(codes.shape[1]):
        logits, hidden, _ = model(codes[:, t : t + 1], actions[:, t : t + 1], hidden)
        live.append(logits)
    torch.testing.assert_close(torch.cat(live, dim=1), batched, atol=1e-5, rtol=1e-5)
    for a, b in zip(hidden.layers, last.layers, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_players_in_a_batch_do_not_see_each_other(model):
    codes, actions = inputs()
    together, _, _ = model(codes, actions, model.initial(3))
    alone, _, _ = model(codes[1:2], actions[1:2], model.initial(1))
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-5)


def test_the_future_does_not_leak_into_the_past(model):
    codes, actions = inputs()
    before, _, _ = model(codes, actions, model.initial(3))
    codes[:, 3:] = 0
    actions[:, 3:] = 9.0
    after, _, _ = model(codes, actions, model.initial(3))
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_action_and_place_reach_the_logits(model):
    codes, actions = inputs(1, 1)
    base, _, _ = model(codes, torch.zeros_like(actions), model.initial(1))
    moved, _, _ = model(codes, torch.ones_like(actions), model.initial(1))
    difference = (moved - base)[0, 0].abs().mean(dim=0)
    assert difference.min() > 0 and difference.std() > 0.01 * difference.mean()


def test_every_parameter_gets_a_gradient(model):
    codes, actions = inputs()
    drop = torch.tensor([[True, False, False, False]]).expand(3, -1)
    logits, _, _ = model(codes[:, :-1], actions[:, :-1], model.initial(3), torch.rand(3), drop)
    cross_entropy(model, logits, codes[:, 1:]).mean().backward()
    moving = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    assert not any(n.startswith("tokenizer") for n, _ in moving)
    assert [n for n, p in moving if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_cross_entropy_is_that_of_the_joint_code(model):
    """Independent factors: the loss is minus the log of the product of the factors' probabilities."""
    codes, actions = inputs(1, 3)
    logits, _, _ = model(codes[:, :-1], actions[:, :-1], model.initial(1))
    a, b = (part.softmax(dim=2) for part in logits.split(FACTORS, dim=2))
    joint = torch.einsum("btihw,btjhw->btjihw", a, b).flatten(2, 3)  # code = i + 4 j
    expected = -joint.gather(2, codes[:, 1:].unsqueeze(2)).squeeze(2).log()
    torch.testing.assert_close(cross_entropy(model, logits, codes[:, 1:]), expected)


def test_sampling_is_greedy_at_zero_and_follows_the_distribution_at_one(model):
    logits = torch.randn(1, sum(FACTORS), 1, 1).expand(4000, -1, -1, -1)
    greedy = model.sample(logits, 0.0)
    best = [p[0, :, 0, 0].argmax().item() for p in logits.split(FACTORS, dim=1)]
    assert greedy.unique().tolist() == [best[0] + 4 * best[1]]
    drawn = model.sample(logits, 1.0).flatten()
    share = torch.bincount(drawn % 4, minlength=4) / len(drawn)
    torch.testing.assert_close(share, logits[0, :4, 0, 0].softmax(0), atol=0.04, rtol=0)
