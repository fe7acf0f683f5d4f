"""How fast a live step is: eager, and compiled (frozen.py), in fp32 and in bf16, in turns on the same state."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from terrarium.worlds.precision import Precision, computing_in
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.forms import Form, forms
from terrarium.worlds.world_model.frozen import Package, check, compile_step, cut, example, in_turns
from terrarium.worlds.world_model.rollout import load_world_model, step
from terrarium.worlds.world_model.side_by_side import SideBySide


def bench_step(
    folder: Path,
    *,
    players: list[int],
    steps: int,
    precisions: Sequence[Precision],
    painter: bool,
    clock: Callable[[], float],
) -> list[dict[str, Any]]:
    """-> a row for each number of players. Raises AssertionError where a compiled step is not the eager one."""
    if steps < 1 or not players or min(players) < 1:
        raise ValueError(f"{steps} steps of {players} players: expected at least 1 of both")
    dynamics = load_world_model(folder)[0].cpu()  # which is what a step is compiled for
    if not painter:
        dynamics.painter = None
    packages = {}
    with tempfile.TemporaryDirectory() as scratch:
        for form in forms(precisions):
            if form.players <= max(players):
                compile_step(dynamics, form, form.package(Path(scratch)))
                packages[form] = Package(form.package(Path(scratch)), form)
                check(dynamics, packages[form], form)
        return [row(dynamics, packages, n, steps, precisions, clock) for n in players]


@torch.inference_mode()
def row(
    dynamics: Dynamics,
    packages: Mapping[Form, Package],
    players: int,
    steps: int,
    precisions: Sequence[Precision],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """-> medians in milliseconds, of the compiled steps of a precision the fastest (None: there is none); the fastest
    of all, and how many times as fast as the eager step in fp32 it is."""
    given, side_by_side = example(dynamics, players), SideBySide()
    runs: dict[str, Callable[[], Any]] = {}
    for precision in precisions:
        runs[f"eager-{precision}"] = partial(eager_step, dynamics, precision, given)
    for form, package in packages.items():
        runs[str(form)] = partial(side_by_side, package, cut(*given, form.players))
    times = dict(zip(runs, in_turns(list(runs.values()), steps, clock), strict=True))
    fastest = min(times, key=lambda name: times[name])
    found: dict[str, float | None] = {f"eager_{precision}_ms": times[f"eager-{precision}"] for precision in precisions}
    for precision in precisions:
        of = [times[str(form)] for form in packages if form.precision == precision]
        found[f"frozen_{precision}_ms"] = min(of, default=None)
    rounded = {name: None if ms is None else round(ms, 2) for name, ms in found.items()}
    gain = round(times["eager-fp32"] / times[fastest], 2)
    return {"players": players} | rounded | {"fastest": fastest, "times": gain}


def eager_step(dynamics: Dynamics, precision: Precision, given: tuple[Any, ...]) -> None:
    with computing_in(precision, dynamics.device):
        step(dynamics, *given)
