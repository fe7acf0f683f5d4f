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
from terrarium.worlds.world_model.frozen import Package, check, compile_step, example, in_turns
from terrarium.worlds.world_model.rollout import load_world_model, step


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
            if any(form.holds(n) for n in players):
                compile_step(dynamics, form, form.package(Path(scratch)))
                packages[form] = Package(form.package(Path(scratch)))
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
    """-> medians in milliseconds, None where no package holds so many players; and how many times as fast as the eager
    step in fp32 the fastest of all is."""
    given = example(dynamics, players)
    runs: dict[str, Callable[[], Any]] = {}
    for precision in precisions:
        runs[f"eager_{precision}_ms"] = partial(eager_step, dynamics, precision, given)
    for form, package in packages.items():
        if form.holds(players):
            runs[f"frozen_{form.precision}_ms"] = partial(package, *given)
    names = [f"{kind}_{precision}_ms" for kind in ("eager", "frozen") for precision in precisions]
    times = dict(zip(runs, in_turns(list(runs.values()), steps, clock), strict=True))
    gain = times["eager_fp32_ms"] / min(times.values())
    return (
        {"players": players}
        | {n: round(times[n], 2) if n in times else None for n in names}
        | {"times": round(gain, 2)}
    )


def eager_step(dynamics: Dynamics, precision: Precision, given: tuple[Any, ...]) -> None:
    with computing_in(precision, dynamics.device):
        step(dynamics, *given)
