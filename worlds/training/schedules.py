"""Learning-rate schedules and early stop, as pure functions of the step and of the validations so far.

A schedule maps a step, counted from its learner's first, to a factor of the learning rate. What PyTorch's schedulers
keep as state is computed anew from the history, which training states hold: nothing here needs saving.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

History = Sequence[Mapping[str, float]]  # the stage's validations, oldest first: `step` and what was measured
Schedule = Callable[[int, History], float]


def constant(_index: int, _history: History) -> float:
    return 1.0


def warm_up(steps: int) -> Schedule:
    """1 / steps, 2 / steps, ... 1."""
    return lambda index, _: min(1.0, (index + 1) / max(1, steps))


def product(*schedules: Schedule) -> Schedule:
    return lambda index, history: math.prod(schedule(index, history) for schedule in schedules)


def warmup_stable_decay(steps: int, warmup: int = 50, decay: float = 0.3) -> Schedule:
    """Warm-up, plateau, cosine fall to zero over the last `decay` of the steps (Hu et al. 2024, arXiv:2404.06395).

    A run can be lengthened before its decay.
    """

    def factor(index: int, _: History) -> float:
        warm = min(1.0, (index + 1) / max(1, min(warmup, steps // 4)))
        left = (steps - index) / max(1.0, decay * steps)
        return warm * (0.5 - 0.5 * math.cos(math.pi * min(1.0, left)))

    return factor


def cosine(steps: int, last: float = 0.0, start: int = 0) -> Schedule:
    """From 1 at `start` to `last` at `steps`, and `last` from there on."""
    return lambda index, _: _between(1.0, last, (index - start) / max(1, steps - start))


def warm_restarts(period: int, longer: int = 1, last: float = 0.0) -> Schedule:
    """Cosine from 1 to `last` over `period` steps, again and again, each `longer` times as long as the one before."""

    def factor(index: int, history: History) -> float:
        length = period
        while index >= length:
            index, length = index - length, length * longer
        return cosine(length, last)(index, history)

    return factor


def step_decay(every: int, factor: float = 0.1) -> Schedule:
    return lambda index, _: factor ** (index // every)


def exponential(factor: float, every: int = 1) -> Schedule:
    """`factor` once in `every` steps, evenly."""
    return lambda index, _: factor ** (index / every)


def one_cycle(steps: int, rise: float = 0.3, first: float = 1 / 25, last: float = 1 / 250_000) -> Schedule:
    """From `first` up to 1 over a share `rise` of the steps, down to `last` with the last step, in cosines (Smith and
    Topin 2017, arXiv:1708.07120; the momentum stays)."""

    def factor(index: int, _: History) -> float:
        peak = rise * steps - 1
        if index < peak:
            return _between(first, 1.0, index / peak)
        return _between(1.0, last, (index - peak) / max(1.0, steps - 1 - peak))

    return factor


def _between(start: float, end: float, done: float) -> float:
    """Half a cosine from `start` to `end`, which it keeps, as `done` goes from 0 to 1."""
    return end + (start - end) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, max(0.0, done))))


def plateau(
    metric: str,
    factor: float = 0.1,
    patience: int = 10,
    *,
    best: Literal["min", "max"] = "min",
    threshold: float = 1e-4,
    last: float = 0.0,
) -> Schedule:
    """`factor` once more, down to `last`, after more than `patience` validations in a row without a better `metric`."""

    def schedule(_index: int, history: History) -> float:
        falls = bad = 0
        for better in _better(history, metric, best, threshold):
            bad = 0 if better else bad + 1
            if bad > patience:
                falls, bad = falls + 1, 0
        return max(last, factor**falls)

    return schedule


def early_stop(
    metric: str, patience: int, *, best: Literal["min", "max"] = "min", threshold: float = 1e-4
) -> Callable[[History], bool]:
    """Whether the last `patience` validations were without a better `metric`."""

    def stop(history: History) -> bool:
        return len(history) > patience and not any(_better(history, metric, best, threshold)[-patience:])

    return stop


def _better(history: History, metric: str, best: str, threshold: float) -> list[bool]:
    """For each validation, whether it beat all before it by a share `threshold` of the best; NaN never does."""
    sign = 1 if best == "min" else -1
    found, least = [], math.inf
    for values in history:
        value = sign * values[metric]
        found.append(value < least - threshold * (abs(least) if math.isfinite(least) else 0))
        least = value if found[-1] else least
    return found
