"""How fast a live step is: eager, and frozen (frozen.py), in turns on the same state."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.frozen import MOST, FrozenStep, check, compile_step, example
from terrarium.worlds.world_model.rollout import load_world_model, step


def bench_step(folder: Path, *, players: list[int], steps: int) -> list[dict[str, Any]]:
    """-> a row for each number of players. Raises AssertionError where the frozen step is not the eager one."""
    if steps < 1 or not players or min(players) < 1:
        raise ValueError(f"{steps} steps of {players} players: expected at least 1 of both")
    dynamics = load_world_model(folder)[0].cpu()  # which is what a frozen step is compiled for
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "step.pt2"
        compile_step(dynamics, package)
        frozen = FrozenStep(package)
        check(dynamics, frozen)
        return [row(dynamics, frozen, n, steps) for n in players]


@torch.inference_mode()
def row(dynamics: Dynamics, frozen: FrozenStep, players: int, steps: int, warm_up: int = 5) -> dict[str, Any]:
    """-> medians in milliseconds, and how many times as fast the frozen step is; None beyond its MOST players."""
    given = example(dynamics, players)
    forms: list[Callable[[], Any]] = [lambda: step(dynamics, *given)]
    if players <= MOST:
        forms.append(lambda: frozen(*given))
    times: list[list[float]] = [[] for _ in forms]
    for _ in range(warm_up + steps):
        for run, found in zip(forms, times, strict=True):
            started = time.perf_counter()
            run()
            found.append(1e3 * (time.perf_counter() - started))
    eager, *rest = (round(statistics.median(found[warm_up:]), 2) for found in times)
    fast = rest[0] if rest else None
    return {"players": players, "eager_ms": eager, "frozen_ms": fast, "times": fast and round(eager / fast, 2)}
