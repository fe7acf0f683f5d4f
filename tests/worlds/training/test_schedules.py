"""Schedules as functions of the step, against PyTorch's that count."""

import math

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from terrarium.worlds.training import schedules as ours


def rates(schedule, n, history=()):
    return [schedule(index, history) for index in range(n)]


def their_rates(make, n, lr=1.0):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler, found = make(optimizer), []
    for _ in range(n):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("schedule", "make", "n"),
    [
        (ours.cosine(20, last=0.1), lambda o: theirs.CosineAnnealingLR(o, 20, eta_min=0.1), 20),
        (ours.step_decay(6, 0.5), lambda o: theirs.StepLR(o, 6, 0.5), 20),
        (ours.exponential(0.9), lambda o: theirs.ExponentialLR(o, 0.9), 20),
        (ours.one_cycle(20), lambda o: theirs.OneCycleLR(o, 1.0, 20), 20),
        (ours.warm_restarts(3, 2, last=0.1), lambda o: theirs.CosineAnnealingWarmRestarts(o, 3, 2, eta_min=0.1), 25),
    ],
    ids=["cosine", "step", "exponential", "one cycle", "warm restarts"],
)
def test_schedules_are_those_of_pytorch(schedule, make, n):
    assert rates(schedule, n) == pytest.approx(their_rates(make, n), abs=1e-9)


@pytest.mark.parametrize(("best", "sign"), [("min", 1), ("max", -1)])
def test_plateau_is_that_of_pytorch(best, sign):
    errors = [9, 5, 5, 5, 5, 4, 4.5, 4.4, 4.3, 4.2, 3, math.nan, 3, 3, 3, 3, 3]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = theirs.ReduceLROnPlateau(optimizer, best, 0.5, patience=2, min_lr=0.2)
    schedule = ours.plateau("x", 0.5, patience=2, best=best, last=0.2)
    history, factors = [], []
    for error in errors:
        value = sign * error if best == "min" else 10 - error
        scheduler.step(value)
        history.append({"step": len(history), "x": value})
        factors.append(schedule(0, history))
        assert factors[-1] == pytest.approx(optimizer.param_groups[0]["lr"])
    assert factors[0] == 1.0 and factors[-1] == 0.2


def test_warm_up_and_what_follows_it():
    both = ours.product(ours.warm_up(4), ours.cosine(8, start=4))
    assert rates(both, 9) == pytest.approx([0.25, 0.5, 0.75, 1, 1, *rates(ours.cosine(4), 4)[1:], 0])


def test_warmup_stable_decay():
    found = rates(ours.warmup_stable_decay(100, warmup=10, decay=0.3), 100)
    assert found[:10] == pytest.approx([(i + 1) / 10 for i in range(10)]) and set(found[10:71]) == {1.0}
    assert found[70:] == sorted(found[70:], reverse=True) and found[85] == pytest.approx(0.5) and 0 < found[99] < 0.01


def test_early_stop_waits_for_its_patience():
    stop = ours.early_stop("x", 2)
    history = [{"x": x} for x in (5, 4, 4, 3, 3, 3)]
    assert [stop(history[:n]) for n in range(7)] == [False, False, False, False, False, False, True]
    assert stop([{"x": 1}, {"x": math.nan}, {"x": math.nan}])


def test_a_short_run_has_no_division_by_zero():
    for schedule in (
        ours.one_cycle(1),
        ours.one_cycle(2),
        ours.cosine(0),
        ours.warmup_stable_decay(1),
        ours.warm_up(0),
    ):
        assert all(0 <= factor <= 1 for factor in rates(schedule, 4))
