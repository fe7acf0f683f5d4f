"""How fast a live step is: eager, through torch.compile, and frozen (frozen.py), in turns on the same state."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from worlds.world_model.dynamics import Dynamics
from worlds.world_model.frozen import MOST, FrozenStep, LiveStep, as_inputs, check, compile_step, example
from worlds.world_model.rollout import load_world_model, step


def bench_step(folder: Path, *, players: list[int], steps: int, warm_up: int = 5) -> list[dict[str, Any]]:
    """-> a row for each number of players: the median of `steps` steps of each form, in milliseconds, and how many
    times as fast as eager it is; None for the frozen form beyond its MOST players. The frozen step was checked first.
    """
    if steps < 1 or not players or min(players) < 1:
        raise ValueError(f"{steps} steps of {players} players: expected at least 1 of both")
    dynamics, _ = load_world_model(folder)
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "step.pt2"
        compile_step(dynamics, package)
        frozen = FrozenStep(package)
        check(dynamics, frozen)
        compiled = torch.compile(LiveStep(dynamics))
        return [row(dynamics, frozen, compiled, n, steps, warm_up) for n in players]


@torch.inference_mode()
def row(
    dynamics: Dynamics, frozen: FrozenStep, compiled: Callable[..., Any], n: int, steps: int, warm_up: int
) -> dict[str, Any]:
    given = example(dynamics, n)
    forms: dict[str, Callable[[], Any]] = {
        "eager": lambda: step(dynamics, *given),
        "compile": lambda: compiled(*as_inputs(*given)),
    }
    if n <= MOST:
        forms["frozen"] = lambda: frozen(*given)
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(warm_up + steps):
        for name, run in forms.items():
            started = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - started))
    medians = {name: statistics.median(all_[warm_up:]) for name, all_ in times.items()}
    found: dict[str, Any] = {"players": n}
    for name in ("eager", "compile", "frozen"):
        found[f"{name}_ms"] = round(medians[name], 2) if name in medians else None
    for name in ("compile", "frozen"):
        found[f"{name}_times"] = round(medians["eager"] / medians[name], 2) if name in medians else None
    return found
