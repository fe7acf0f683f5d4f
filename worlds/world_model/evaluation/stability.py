"""Does a rollout stay a picture? After `SETTLED` steps of a walk, against the simulator under the same actions.

Codes are those of the pictures shown, encoded again, on both sides.
- churn: share of the codes that differ from one frame to the next. `churn_ratio`: the model's over the simulator's.
  `noop_churn`: the same with no key held, right after the burn-in, where the simulator's is zero.
- `codes_per_frame_ratio`: how many different codes a frame holds.
- `ce_gap`: nats a code by which predictions of the true codes are worse along the model's own pictures than along the
  real ones, over the same 16 steps.
- `steps_to_divergence`: a rollout has diverged at the first window of `WINDOW` steps that cannot be read as a block
  world: its share of surely named cells, or of pixels on straight edges (realism.py), is below what all but a hundredth
  of the windows of real walks through other worlds have. The median over rollouts; the length of the rollout where it
  never happens. `steps_to_divergence_real` is that of the simulator under the same actions: it tells how strict the
  measure is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from terrarium.kernels.codes import nats
from terrarium.worlds.blocks import actions as act
from terrarium.worlds.pictures.metrics import edge_energy
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.evaluation.long import BEFORE, LOOKS, Walks
from terrarium.worlds.world_model.evaluation.realism import Side
from terrarium.worlds.world_model.evaluation.states import Trial, encoded, rounded
from terrarium.worlds.world_model.rollout import Rollout, State, WorldModel, rollout
from terrarium.worlds.world_model.tokenizer import to_pictures

SETTLED = 200  # steps
EVERY = 6  # of the steps are looked at
CHURN_STEPS = 16
WINDOW = 32
UNLIKE = 0.01  # of real windows are below what counts as a divergence


def settled(model: WorldModel, walks: Walks) -> dict[str, Any]:
    """Ratios to the simulator after SETTLED steps."""
    own, real = (_look(model, x) for x in (walks.own, walks.real))
    names = {"churn_ratio": "churn", "codes_per_frame_ratio": "codes", "edge_energy_ratio_settled": "edges"}
    return {name: rounded(own[key] / max(real[key], 1e-9)) for name, key in names.items()}


def _look(model: WorldModel, frames: np.ndarray) -> dict[str, float]:
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


def noop_churn(model: WorldModel, state: State) -> float:
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


def divergence(own: Side, real: Side, other: Side) -> dict[str, Any]:
    """Looks at random walks, read by the probe."""
    least = np.quantile(_windows(other), UNLIKE, axis=(0, 1))
    own_at, real_at = ([_first(windows < least) for windows in _windows(side)] for side in (own, real))
    return {
        "steps_to_divergence": float(np.median(own_at)),
        "steps_to_divergence_by_rollout": own_at,
        "steps_to_divergence_real": float(np.median(real_at)),
    }


def _windows(side: Side) -> np.ndarray:
    """Means over windows of WINDOW steps, [B, N, 2]: surely named cells, pixels on straight edges."""
    ends = range(WINDOW, LOOKS[-1] + 1, WINDOW)
    parts = [side.within(end - WINDOW, end) for end in ends]
    return np.stack([np.stack([p.surely.mean(axis=1), np.nanmean(p.straight, axis=1)], axis=1) for p in parts], axis=1)


def _first(low: np.ndarray) -> int:
    """bool [N, 2], what is too low in each window -> steps before the first such window."""
    windows = np.flatnonzero(low.any(axis=1))
    return WINDOW * int(windows[0] if len(windows) else len(low))


def curves(model: WorldModel, walks: Walks) -> dict[str, Any]:
    """Mean edge energy of windows, and different codes a frame in the middle of each, over the steps."""
    at = np.arange(WINDOW // 2, walks.steps, WINDOW)
    edges: dict[str, Any] = {"steps": [WINDOW * (i + 1) for i in range(len(at))]}
    codes: dict[str, Any] = {"steps": [int(t) + 1 for t in at]}
    for name, frames in (("model", walks.own), ("simulator", walks.real)):
        energy = np.stack([edge_energy(walk[BEFORE:]) for walk in frames])
        edges[name] = [rounded(x, 3) for x in energy.reshape(len(frames), -1, WINDOW).mean(axis=(0, 2))]
        middle = encoded(model.tokenizer, frames[:, BEFORE + at])
        codes[name] = [rounded(codes_per_frame(middle[:, i]), 2) for i in range(len(at))]
    return {"edge_energy_curve": edges, "codes_per_frame_curve": codes}
