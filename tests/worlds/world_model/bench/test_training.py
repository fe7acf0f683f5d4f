from dataclasses import replace

import numpy as np
import pytest
import torch

from terrarium.kernels.cpu import compiled
from terrarium.worlds.training.task import Step
from terrarium.worlds.world_model.bench.eager import EagerLosses
from terrarium.worlds.world_model.bench.training import PARTS, bench_training, eager_twin
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.kinds import tokenizer_debug, world_model_debug
from terrarium.worlds.world_model.losses import Losses
from terrarium.worlds.world_model.tokenizer import Tokenizer, channels_last


@pytest.fixture(scope="module")
def programs():
    """None where no C compiler is: said by the tests of kernels/cpu."""
    return compiled()


@pytest.fixture(params=[0.0, 1.0], ids=["teacher_forcing", "rollout"])
def twins(request):
    """The dynamics and its eager twin, no weight of them zero, with their losses' config."""
    config = replace(world_model_debug(), rollout_fraction=request.param, margin=8)
    model = channels_last(Dynamics(config, Tokenizer(tokenizer_debug()), (8, 8), 9))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.02 * torch.randn_like(p))
        model.head.out.bias[-16:] += 1.0  # masks away from .5, where rounding would decide what counts as shown
    return model, eager_twin(model), config


@pytest.mark.parametrize("with_programs", [False, True], ids=["", "programs"])
def test_the_eager_twin_has_the_same_loss_and_gradients(twins, programs, with_programs):
    model, twin, config = twins
    codes = torch.randint(1000, (4, 6, 8, 8))
    actions, frames = torch.randn(4, 5, 9), torch.randint(256, (4, 6, 32, 32, 3), dtype=torch.uint8)
    fast = Losses(model, config, programs=programs if with_programs else None)
    losses = []
    for objective in (fast, EagerLosses(twin, config)):
        torch.manual_seed(0)
        loss, _ = objective(Step(5, 10, (0, 1), np.random.default_rng(0)), codes, actions, frames)
        loss.backward()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for (name, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
        if p.requires_grad:
            worst = (p.grad - q.grad).abs().max() / p.grad.abs().max().clamp(min=1e-6)
            assert worst < 2e-3, f"{name}: gradients differ by {worst:.1e} of the largest"


def test_each_row_makes_the_same_steps(debug_data):
    config = replace(world_model_debug(str(debug_data)), batch=2)
    found = bench_training(config, steps=2, warm_up=1)["rows"]
    assert list(found)[:2] == ["eager fp32", "fp32"] and found["eager fp32"]["speedup"] == 1
    for row in found.values():
        assert set(row["shares"]) == {*PARTS, "rest"} and sum(row["shares"].values()) == pytest.approx(1)
        assert all(0 <= share < 1 for share in row["shares"].values())
        assert len(row["losses"]) == 3 and row["speedup"] > 0 and row["steps_per_s"] > 0
    assert found["fp32"]["losses_apart"] < 1e-4


def test_variants_are_refused(debug_data):
    config = replace(world_model_debug(str(debug_data)), reset="before")
    with pytest.raises(ValueError, match=r"eager dynamics of \{'reset': 'before'"):
        bench_training(config, steps=1)
