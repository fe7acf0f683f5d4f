"""Can a frozen judge read the keys off the pictures, long after the walk has left what was seen? (judge/model.py)

Per key, F1 of the judge over windows of a rollout. Its ceiling is the judge on the simulator's frames of the same
actions, its floor the same readings against shuffled actions. Keys held in fewer than `FEWEST` frames of a window have
no figure there, and no share of a ceiling of zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from terrarium.worlds.world_model.evaluation.long import Walks
from terrarium.worlds.world_model.evaluation.states import rounded
from terrarium.worlds.world_model.judge.model import KEYS, Judge, f1, labels

WINDOWS = {"1-16": (0, 16), "17-64": (16, 64), "65-256": (64, 256), "257-512": (256, 512)}  # steps
FEWEST = 12  # frames of a window in which a key is held


@dataclass
class Reading:
    """What the judge said of some walks, and the features it said it by."""

    held: np.ndarray  # bool [B, N, 9]
    own: np.ndarray  # bool [B, N, 9]
    real: np.ndarray
    own_features: np.ndarray  # float32 [B, N, F]
    real_features: np.ndarray


def read(judge: Judge, thresholds: dict[str, float], walks: Walks) -> Reading:
    least = np.array([thresholds[k] for k in KEYS])
    own, own_features = judge.read(walks.own)
    real, real_features = judge.read(walks.real)
    return Reading(labels(walks.actions), own > least, real > least, own_features, real_features)


def judged(reading: Reading, seed: int) -> dict[str, Any]:
    """F1 per window and key, with ceiling and floor over all windows too."""
    result: dict[str, Any] = {"judge_f1": {}, "judge_ceiling_by_window": {}, "judge_share": {}, "judge_positives": {}}
    for name, (first, last) in WINDOWS.items():
        held, own, real = (_flat(x[:, first:last]) for x in (reading.held, reading.own, reading.real))
        positives = held.sum(axis=0)
        score, ceiling = f1(own, held), f1(real, held)
        result["judge_f1"][name] = _by_key(score, positives)
        result["judge_ceiling_by_window"][name] = _by_key(ceiling, positives)
        result["judge_share"][name] = _by_key(score / np.maximum(ceiling, 1e-9), positives * (ceiling > 0))
        result["judge_positives"][name] = {k: int(n) for k, n in zip(KEYS, positives, strict=True)}
    held, real = _flat(reading.held), _flat(reading.real)
    shuffled = held[np.random.default_rng(seed).permutation(len(held))]
    positives = held.sum(axis=0)
    return result | {
        "judge_ceiling": _by_key(f1(real, held), positives),
        "judge_floor": _by_key(f1(real, shuffled), positives),
    }


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1])


def _by_key(values: np.ndarray, positives: np.ndarray) -> dict[str, float | None]:
    return {k: rounded(v) if n >= FEWEST else None for k, v, n in zip(KEYS, values, positives, strict=True)}
