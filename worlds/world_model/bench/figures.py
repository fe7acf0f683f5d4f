"""What the comparisons print of an evaluation, and how they tell time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.walk import glance
from terrarium.worlds.device import default_device, synchronize
from terrarium.worlds.world_model.evaluation.judged import WINDOWS
from terrarium.worlds.world_model.evaluation.states import rounded, simulator
from terrarium.worlds.world_model.rollout import WorldModel, burn_in, rollout

Figures = dict[str, float | list[float] | None]  # lists have an entry for each of WINDOWS


def clock() -> float:
    """Seconds: of this process's threads on a CPU, so that other work does not count, else by the wall."""
    synchronize()
    return time.process_time() if default_device().type == "cpu" else time.perf_counter()


def figures_of(evaluation: Mapping[str, Any]) -> Figures:
    """The figures that decide, of random walks. None where no judge or probe reads the model's frames."""
    shares = [_known(evaluation["judge_share"][w]) for w in WINDOWS] if evaluation["judge"]["available"] else []
    realism = evaluation["realism"]

    def by_window(name: str) -> list[float] | None:
        return [realism[w][name] for w in WINDOWS] if realism else None

    return {
        "retrieval_1": evaluation["counterfactual_retrieval"]["1"],
        "retrieval_4": evaluation["counterfactual_retrieval"]["4"],
        "judge_share": [rounded(np.mean(s), 3) for s in shares] or None,
        "worst_key": [rounded(min(s), 3) for s in shares] or None,
        "frechet_ratio": by_window("frechet_ratio"),
        "two_sample_error": by_window("two_sample_error"),
        "legibility": by_window("legibility"),
        "psnr_1": evaluation["rollout_psnr"]["1"],
        "psnr_4": evaluation["rollout_psnr"]["4"],
        **{f"memory_drop_{way}": drop for way, drop in evaluation["memory_drop"].items()},
        "edge_energy_16": evaluation["edge_energy_ratio"]["16"],
        "noop_churn": evaluation["noop_churn"],
    }


def _known(shares: Mapping[str, float | None]) -> list[float]:
    """Those of the keys that were held often enough; NaN alone if none was."""
    return [share for share in shares.values() if share is not None] or [float("nan")]


def over_seeds(rows: Sequence[Figures]) -> dict[str, tuple[list[float], list[float]]]:
    """Figures of several seeds -> {name: (means, deviations)}, with an entry for each window where they have some.
    What one of the seeds lacks is left out."""
    found = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if None not in values:
            table = np.array([np.atleast_1d(np.array(v, np.float64)) for v in values])
            found[name] = table.mean(axis=0).tolist(), table.std(axis=0).tolist()
    return found


def step_ms(model: WorldModel, manifest: dict[str, Any], steps: int = 60) -> float:
    """The median time, by `clock`, of one step of one player who holds W, in milliseconds."""
    frames, actions = glance(simulator(manifest), 1)
    state = burn_in(model, frames[None], actions[None])
    action, times = torch.from_numpy(act.action("w"))[None, None], []
    for _ in range(steps):
        started = clock()
        state = rollout(model, state, action).state
        times.append(1e3 * (clock() - started))
    return round(statistics.median(times), 2)
