"""Does a rollout stay a picture? After `SETTLED` steps of a walk, against the simulator under the same actions.

Codes are those of the pictures shown, encoded again, on both sides.
- churn: share of the codes that differ from one frame to the next. `churn_ratio`: the model's over the simulator's.
  `noop_churn`: the same with no key held, right after the burn-in, where the simulator's is zero.
- `codes_per_frame_ratio`: how many different codes a frame holds.
- `ce_gap`: nats a code by which predictions of the true codes are worse along the model's own pictures than along the
  real ones, over the same 16 steps.
- `steps_to_divergence`: a rollout has diverged at the first window of `WINDOW` steps that is unlike every real window:
  its mean edge energy, or the distance of its mean judge's features to those of all real windows (in standard
  deviations of real windows), is outside what windows of real walks span: those of the same actions, and clips from
  other worlds. The median over rollouts; the length of the rollout where it never happens. `steps_to_divergence_real`
  is that of the real walks, each against the span of all others: it tells how strict the measure is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.pictures.metrics import edge_energy
from terrarium.worlds.world_model.codes import nats
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.evaluation.long import BEFORE, Walks
from terrarium.worlds.world_model.evaluation.states import Trial, encoded, rounded
from terrarium.worlds.world_model.rollout import Rollout, State, rollout
from terrarium.worlds.world_model.tokenizer import to_pictures

SETTLED = 200  # steps
EVERY = 6  # of the steps are looked at
CHURN_STEPS = 16
WINDOW = 32


@dataclass
class Features:
    """The judge's features of the model's walks, of the simulator's along them, and of other real clips: [B, N, F]."""

    own: np.ndarray
    real: np.ndarray
    clips: np.ndarray


def settled(model: Dynamics, walks: Walks) -> dict[str, Any]:
    """Ratios to the simulator after SETTLED steps."""
    own, real = (_look(model, x) for x in (walks.own, walks.real))
    names = {"churn_ratio": "churn", "codes_per_frame_ratio": "codes", "edge_energy_ratio_settled": "edges"}
    return {name: rounded(own[key] / max(real[key], 1e-9)) for name, key in names.items()}


def _look(model: Dynamics, frames: np.ndarray) -> dict[str, float]:
    after = frames[:, BEFORE + SETTLED :]
    codes = encoded(model.tokenizer, np.stack([after[:, :-1:EVERY], after[:, 1::EVERY]]))
    return {
        "churn": churn(codes[0], codes[1]),
        "codes": codes_per_frame(codes[0]),
        "edges": float(np.mean([edge_energy(walk).mean() for walk in after[:, ::EVERY]])),
    }


def churn(codes: torch.Tensor, then: torch.Tensor) -> float:
    return (codes != then).float().mean().item()


def codes_per_frame(codes: torch.Tensor) -> float:
    """int64 [..., h, w] -> mean number of different codes."""
    ordered = codes.flatten(0, -3).flatten(1).sort(dim=1).values
    return 1 + (ordered.diff(dim=1) != 0).sum(dim=1).float().mean().item()


def noop_churn(model: Dynamics, state: State) -> float:
    still = torch.from_numpy(act.action()).expand(len(state.codes), CHURN_STEPS, -1)
    codes = encoded(model.tokenizer, rollout(model, state, still).frames)
    return rounded(churn(codes[:, :-1], codes[:, 1:]))


@torch.inference_mode()
def ce_gap(model: Dynamics, trials: list[Trial], state: State, own: Rollout) -> dict[str, Any]:
    """`own`: along the trials' walks. Each frame's logits are those of the rollout itself (see parity.py)."""
    real = np.stack([t.walk_frames for t in trials])
    actions = torch.from_numpy(np.stack([t.walk_actions for t in trials])).to(model.device)
    true = encoded(model.tokenizer, real)

    def cost(codes: torch.Tensor, frames: np.ndarray) -> float:
        before = torch.cat([state.codes.unsqueeze(1), codes[:, :-1]], dim=1)
        pictures = torch.cat([state.picture.unsqueeze(1), to_pictures(frames[:, :-1]).to(model.device)], dim=1)
        return nats(model(before, pictures, actions, state.memory).logits, true, model.factors).mean().item()

    forced, free = cost(true, real), cost(own.codes, own.frames)
    return {"ce_teacher_forced": rounded(forced), "ce_free_running": rounded(free), "ce_gap": rounded(free - forced)}


def divergence(walks: Walks, clips: np.ndarray, features: Features | None) -> dict[str, Any]:
    """`clips`: real, uint8 [B, BEFORE + M, H, W, 3]; no features where there is no judge."""
    own, real, other = (_windows_of(x) for x in (walks.own, walks.real, clips))
    edges = {
        "steps": [WINDOW * (i + 1) for i in range(own.shape[1])],
        "model": [rounded(x, 3) for x in own[..., 0].mean(axis=0)],
        "simulator": [rounded(x, 3) for x in real[..., 0].mean(axis=0)],
    }
    if features is not None:
        sides = ((own, features.own), (real, features.real), (other, features.clips))
        own, real, other = (np.concatenate([x, _means(f)], axis=2) for x, f in sides)
    own_at = [left_at(x, [*real, *other]) for x in own]
    real_at = [left_at(x, [*real[:i], *real[i + 1 :], *other]) for i, x in enumerate(real)]
    return {
        "steps_to_divergence": float(np.median(own_at)),
        "steps_to_divergence_by_rollout": own_at,
        "steps_to_divergence_real": float(np.median(real_at)),
        "edge_energy_curve": edges,
    }


def left_at(walk: np.ndarray, others: list[np.ndarray]) -> int:
    """Windows [N, 1 + F] of a walk, edge energy first, and of real ones -> steps before the first window outside."""
    real = np.concatenate(others)
    low, high = real[:, 0].min(), real[:, 0].max()
    mean, deviation = real[:, 1:].mean(axis=0), real[:, 1:].std(axis=0) + 1e-3

    def distance(windows: np.ndarray) -> np.ndarray:
        return (((windows[:, 1:] - mean) / deviation) ** 2).sum(axis=1)

    outside = (walk[:, 0] < low) | (walk[:, 0] > high) | (distance(walk) > distance(real).max())
    return WINDOW * int(outside.argmax() if outside.any() else len(outside))


def codes_curve(model: Dynamics, walks: Walks) -> dict[str, Any]:
    """Different codes a frame in the middle of each window, over the steps."""
    at = np.arange(WINDOW // 2, walks.steps, WINDOW)
    sides = {"model": walks.own, "simulator": walks.real}
    codes = {name: encoded(model.tokenizer, x[:, BEFORE + at]) for name, x in sides.items()}
    return {
        "codes_per_frame_curve": {"steps": [int(t) + 1 for t in at]}
        | {name: [rounded(codes_per_frame(c[:, i]), 2) for i in range(len(at))] for name, c in codes.items()}
    }


def _windows_of(frames: np.ndarray) -> np.ndarray:
    """uint8 [B, BEFORE + N, ...] -> mean edge energy of windows, [B, N // WINDOW, 1]."""
    return _means(np.stack([edge_energy(walk[BEFORE:]) for walk in frames])[..., None])


def _means(values: np.ndarray) -> np.ndarray:
    """[B, N, F] -> [B, N // WINDOW, F]."""
    b, n, f = values.shape
    return values[:, : n // WINDOW * WINDOW].reshape(b, n // WINDOW, WINDOW, f).mean(axis=2)
