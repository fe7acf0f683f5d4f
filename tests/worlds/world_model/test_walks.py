"""The pool that the painter is trained on, and the losses on it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from terrarium.worlds.episodes.format import Episode
from terrarium.worlds.training.task import Step
from terrarium.worlds.world_model.discriminator import WEIGHTS
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.kinds import tokenizer_debug, world_model_debug
from terrarium.worlds.world_model.painter_losses import (
    PAIRED,
    TELLS,
    Loop,
    Painting,
    paired,
    penalty,
    relative,
    sliced_distance,
    unlikeness,
    warm_up_loss,
)
from terrarium.worlds.world_model.rollout import burn_in
from terrarium.worlds.world_model.tokenizer import Tokenizer
from terrarium.worlds.world_model.train_painter import Pools, sample_start
from terrarium.worlds.world_model.walks import EVERY, HELD, SHORTEST, YOUNG, Turn, Walks

NAMES = ["yaw", "pitch", "w", "a", "s", "d", "jump", "sprint", "sneak"]
A = len(NAMES)


def episodes(n=3, length=40):
    rng = np.random.default_rng(0)
    return [
        Episode(
            id=str(i), seed=i, split="train", pose=None,
            frames=rng.integers(0, 256, (length + 1, 32, 32, 3), dtype=np.uint8),
            actions=rng.normal(size=(length, A)).astype(np.float32),
        )
        for i in range(n)
    ]  # fmt: skip


@pytest.fixture
def model():
    torch.manual_seed(0)
    dynamics = Dynamics(replace(world_model_debug(), margin=8), Tokenizer(tokenizer_debug()), (8, 8), A)
    torch.nn.init.normal_(dynamics.stack[-1].flow.direct.linear.bias, std=0.3)
    return Painting(dynamics, 12).eval()


@pytest.fixture
def walks(model):
    return Walks(model.dynamics, episodes(), NAMES, long=4, longest=20)


def begin(walks, index, done=0.0, rng=None):
    clip = sample_start(walks.episodes, 3, np.random.default_rng(index))
    walks.start(index, done, *clip, rng or np.random.default_rng(index))
    return clip


def goes_on(walks, long=2, seed=0):
    rng = np.random.default_rng(seed)
    turn = walks.turn(long, rng)
    walks.go_on(turn, turn.state, rng)
    return turn


def test_a_walk_begins_where_its_clip_ends_and_follows_the_episode(walks):
    frames, actions, (episode, at) = begin(walks, 0)
    real = walks.episodes[episode]
    assert np.array_equal(real.frames[at], frames[-1]) and np.array_equal(real.actions[at - 2 : at], actions)
    for t in range(3):
        turn = goes_on(walks)
        assert turn.rows.tolist() == [0] and turn.follows.all() and turn.frames.tolist() == [t + 1]
        assert np.array_equal(turn.actions[0], real.actions[at + t])
        assert np.array_equal(turn.real[0], real.frames[at + t + 1])


def test_a_walks_first_state_is_that_after_its_clip(walks, model):
    frames, actions, _ = begin(walks, 1)
    expected = burn_in(model.dynamics, frames[None].numpy(), actions[None]).tensors()
    for name, x in walks.state.tensors().items():
        torch.testing.assert_close(x[1:2], expected[name])


def test_young_walks_grow_up_into_the_places_of_those_that_are_over(walks):
    for index in range(YOUNG):
        begin(walks, index)
        goes_on(walks)
    assert (walks.facts["frames"] >= 0).tolist() == [True] * YOUNG + [False] * 4
    state, walked = walks.state.tensors()["picture"][0].clone(), int(walks.facts["frames"][0])
    begin(walks, YOUNG)
    assert walks.facts["frames"].tolist()[: YOUNG + 1] == [0, 2, 1, walked]
    assert torch.equal(walks.state.picture[YOUNG], state), "the first takes the first empty place"
    for index in range(YOUNG + 1, YOUNG + 4):
        begin(walks, index)
    walks.facts["limit"][YOUNG:] = 30
    before = walks.facts["frames"].clone()
    begin(walks, 0)
    assert torch.equal(walks.facts["frames"][YOUNG:], before[YOUNG:]), "none of the long ones is over"
    walks.facts["frames"][YOUNG + 2], walks.facts["frames"][1] = 30, 7
    begin(walks, 1)
    assert walks.facts["frames"][YOUNG + 2] == 7


def test_walks_get_longer_over_the_stage(walks):
    limits = {}
    for done in (0.0, 1.0):
        limits[done] = set()
        for seed in range(200):
            walks.facts["frames"].fill_(5)
            walks.facts["limit"].fill_(0)
            begin(walks, 0, done, np.random.default_rng(seed))
            limits[done].add(int(walks.facts["limit"].max()))
    assert limits[0.0] == {SHORTEST} and limits[1.0] == set(range(SHORTEST, 21))


def test_some_long_walks_hold_a_key_mostly_w(walks):
    held, keys, n = 0, np.zeros(A), 400
    for seed in range(n):
        walks.facts["frames"].fill_(5)
        walks.facts["limit"].fill_(0)
        begin(walks, 0, 1.0, np.random.default_rng(seed))
        row = int(walks.facts["limit"].argmax())
        held += bool(walks.facts["holds"][row])
        keys += (walks.facts["held"][row] != 0).numpy()
    assert held / n == pytest.approx(HELD, abs=0.08)
    assert keys.argmax() == NAMES.index("w") and keys.argsort()[-2] == NAMES.index("s") and keys.sum() == n
    walks.facts["holds"][:] = torch.arange(YOUNG + 4) == YOUNG
    turn = walks.turn(4, np.random.default_rng(0))
    assert torch.equal(turn.actions[YOUNG], walks.facts["held"][YOUNG])
    assert turn.follows.tolist() == [row != YOUNG for row in range(YOUNG + 4)]


def test_a_walk_past_the_end_of_its_episode_follows_another(walks):
    begin(walks, 0)
    walks.facts["at"][0] = 39
    last = walks.episodes[walks.facts["episode"][0]].frames[40]
    assert np.array_equal(goes_on(walks).real[0], last)
    assert walks.facts["at"][0] == 0 and walks.facts["frames"][0] == 1


def test_pools_are_saved_and_restored(walks, model):
    for index in range(5):
        begin(walks, index)
        goes_on(walks)
    other = Walks(model.dynamics, walks.episodes, NAMES, long=4, longest=20)
    Pools([other]).load_state_dict(Pools([walks]).state_dict())
    a, b = goes_on(walks, seed=3), goes_on(other, seed=3)
    assert torch.equal(a.rows, b.rows) and torch.equal(a.actions, b.actions) and torch.equal(a.frames, b.frames)
    assert all(torch.equal(x, y) for x, y in zip(a.state.tensors().values(), b.state.tensors().values(), strict=True))


def test_a_clip_leaves_room_for_a_young_walk():
    for seed in range(200):
        _, _, (_, at) = sample_start(episodes(), 4, np.random.default_rng(seed))
        assert at >= 3 and at + YOUNG * EVERY <= 40


def in_the_loop(model, walks, index=0):
    loop = Loop(model, [walks], rows=2, rough=torch.full((3,), 0.1), steps=10)
    frames = torch.from_numpy(episodes()[0].frames[: 2 + 4 + YOUNG])
    step = Step(index, 100, (0, 1), np.random.default_rng(0))
    return loop, step, (frames, *sample_start(walks.episodes, 3, step.rng))


def test_each_learner_reaches_its_own_weights_alone(model, walks):
    loop, step, batch = in_the_loop(model, walks)
    for losses, own in ((loop.painter_loss, model.painter), (loop.discriminator_loss, model.discriminator)):
        mine = set(own.parameters())
        for p in model.parameters():
            p.requires_grad_(p in mine)
        loss, metrics = losses(step, *batch)
        loss.backward()
        reached = {p for p in model.parameters() if p.grad is not None and p.grad.any()}
        assert reached and reached <= mine
        assert all(torch.isfinite(m).all() for m in metrics.values())
        model.zero_grad()
    assert not loop.shown, "what was shown is kept for one turn"


def test_the_painter_is_fed_what_it_painted(model, walks):
    loop, step, batch = in_the_loop(model, walks)
    torch.nn.init.normal_(model.painter.out.weight, std=0.5)
    loop.painter_loss(step, *batch)
    _, painted = loop.shown[0]
    torch.testing.assert_close(walks.state.picture[:1], painted)
    assert walks.facts["frames"][0] == 1


def test_the_true_frame_counts_less_the_longer_a_walk_is():
    shown, real = torch.zeros(3, 3, 8, 8), torch.full((3, 3, 8, 8), 0.1)
    rows, frames = torch.tensor([0, 1, YOUNG]), torch.tensor([1, 5, 1])
    turn = Turn(rows, None, None, frames, None, None)
    weight = 1 + np.exp(-4 / TELLS)  # the third is a long walk
    assert PAIRED * paired(shown, real, torch.ones(3, 1, 8, 8), turn) == pytest.approx(PAIRED * 0.1 * weight / YOUNG)
    drawn = paired(shown, real, torch.zeros(3, 1, 8, 8), turn)
    assert drawn == pytest.approx(2 * 0.1 * weight / YOUNG)


def test_unlikeness_sees_slopes():
    flat, stripes = torch.zeros(1, 3, 8, 8), (torch.arange(8) % 2 * 0.2 - 0.1).expand(1, 3, 8, 8)
    assert unlikeness(flat, stripes).mean() > 1.8 * unlikeness(flat, flat + 0.1).mean()


def test_relative_losses_are_paired_and_least_where_reals_are_far_above():
    low, high = ([torch.full((2, 1, n, n), x) for n in (8, 4, 1)] for x in (-5.0, 5.0))
    assert relative(high, low) < 1e-3 and relative(low, high) == pytest.approx(10, rel=1e-3)
    assert relative(low, low) == pytest.approx(np.log(2)) and sum(WEIGHTS) == pytest.approx(1)


def test_the_penalty_is_of_cells_or_of_the_whole_picture(model):
    pictures = torch.rand(4, 3, 32, 32) - 0.5
    d = model.discriminator
    answers = d(pictures)
    for whole, reached, not_reached in ((False, d.answers[0], d.whole), (True, d.whole, d.answers[0])):
        found = penalty(d, pictures, answers, whole=whole)
        gradient = torch.autograd.grad(
            found, [reached.weight, not_reached.weight], retain_graph=True, allow_unused=True
        )
        assert found > 0 and gradient[0].any() and (gradient[1] is None or not gradient[1].any())


def test_the_warm_up_learns_from_damage(model):
    frames = torch.from_numpy(np.repeat(np.repeat(episodes()[0].frames[:8, ::8, ::8], 8, 1), 8, 2))
    optimizer = torch.optim.Adam(model.painter.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        torch.manual_seed(0)  # the same damage every time
        loss, _ = warm_up_loss(model, frames)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.97 * losses[0]


def test_cells_are_compared_by_how_often_they_occur_from_top_to_bottom():
    pictures = torch.rand(4, 3, 8, 4).sub(0.5).repeat_interleave(2, 2)
    assert sliced_distance(pictures, pictures.flip(0, 3)) < 1e-6, "elsewhere in the band, or in another picture"
    assert sliced_distance(pictures, pictures.flip(2)) > 0.02
    dark = (pictures - 0.1).requires_grad_()
    distance = sliced_distance(dark, pictures)
    (slope,) = torch.autograd.grad(distance, dark)
    assert distance.item() == pytest.approx(0.1 * 3**0.5 / 2, rel=0.5), "a shift along random directions"
    assert (slope.sum(dim=1) < 0).all()


def test_a_smooth_walk_does_not_make_up_for_a_rough_one():
    half = torch.linspace(0.5, 1.5, 8).view(8, 1, 1, 1).expand(8, 3, 16, 16).contiguous()
    torn = torch.cat([half[:4] - 0.4, half[4:] + 0.4])  # the mean is the same
    assert torn.mean() == pytest.approx(half.mean())
    assert sliced_distance(torn, half) > 0.1
