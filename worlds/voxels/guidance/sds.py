"""Score distillation, as functions of alphabar alone: weights, times, the surrogate loss, prompts by view.

Poole et al. 2022 (DreamFusion, arXiv:2209.14988): the gradient on the latent z is w(t) (eps_cfg - eps), without the
U-Net's own gradient. alphabar_t = alpha_t^2 is the share of a latent's variance that is left at time t.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# w(t) of alphabar_t
WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigma2": lambda alphabar: 1 - alphabar,  # DreamFusion
    "sigma": lambda alphabar: (1 - alphabar).sqrt(),
    "uniform": torch.ones_like,
    "fantasia3d": lambda alphabar: alphabar.sqrt() * (1 - alphabar),  # Chen et al. 2023, arXiv:2303.13873
}
OVERHEAD_DEG = 60.0  # elevation from which a view is one from above


def anneal(done: float, t_min: float, t_max: float, t_end: float) -> tuple[float, float]:
    """Times from `t_min` to a top that falls in a line from `t_max` to `t_end`."""
    top = t_max + (t_end - t_max) * done
    return min(t_min, top), top


def plan(done: float, t_min: float, t_max: float, t_end: float) -> tuple[float, float]:
    """High times in the first half of a run, low ones in the second, whatever the limits."""
    return (0.5, 0.9) if done < 0.5 else (0.0, 0.5)


def uniform(done: float, t_min: float, t_max: float, t_end: float) -> tuple[float, float]:
    return t_min, t_max


# (share of the run that is done, t_min, t_max, t_end) -> the shares of the schedule between which t is drawn
SCHEDULES: dict[str, Callable[[float, float, float, float], tuple[float, float]]] = {
    "anneal": anneal,
    "plan": plan,
    "uniform": uniform,
}


def draw_time(between: tuple[float, float], steps: int, rng: np.random.Generator) -> int:
    """A time in [between[0] steps, between[1] steps), at least one to choose from."""
    low = min(int(between[0] * steps), steps - 1)
    return int(rng.integers(low, max(low + 1, min(round(between[1] * steps), steps))))


def noised(z: Tensor, noise: Tensor, alphabar: Tensor) -> Tensor:
    """z_t of the variance-preserving process (DDPM): sqrt(alphabar) z + sqrt(1 - alphabar) noise."""
    return alphabar.sqrt() * z + (1 - alphabar).sqrt() * noise


def noise_of(made: Tensor, noisy: Tensor, alphabar: Tensor, prediction: str) -> Tensor:
    """eps of what a network made: `epsilon` itself, `sample` (the clean z) or `v_prediction`. ValueError for others."""
    if prediction == "epsilon":
        return made
    if prediction == "sample":
        return (noisy - alphabar.sqrt() * made) / (1 - alphabar).sqrt()
    if prediction == "v_prediction":
        return (1 - alphabar).sqrt() * noisy + alphabar.sqrt() * made
    raise ValueError(f"the model predicts {prediction!r}: expected epsilon, sample or v_prediction")


def guided(given: Tensor, other: Tensor, cfg: float) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598): `cfg` times as far from `other` as `given`."""
    return other + cfg * (given - other)


def surrogate(z: Tensor, gradient: Tensor) -> Tensor:
    """A loss whose gradient on z [B, ...] is `gradient` / B. Its value is that gradient's size, not progress."""
    target = (z - gradient).detach()
    return 0.5 * F.mse_loss(z.float(), target.float(), reduction="sum") / z.shape[0]


def side_of(azimuth_deg: float, elevation_deg: float) -> str:
    """What of a thing is seen: front (azimuth 0, +z), side, back, or all of it from overhead."""
    if elevation_deg > OVERHEAD_DEG:
        return "overhead"
    away = abs((azimuth_deg + 180) % 360 - 180)
    return "front" if away <= 45 else "side" if away < 135 else "back"


def view_prompt(prompt: str, azimuth_deg: float, elevation_deg: float) -> str:
    return f"{prompt}, {side_of(azimuth_deg, elevation_deg)} view"


def choose_prompt(prompts: Sequence[str], weights: Sequence[float], rng: np.random.Generator) -> str:
    """One of them, as often as its weight says; without weights all alike."""
    p = np.asarray(weights or [1.0] * len(prompts), np.float64)
    return prompts[int(rng.choice(len(prompts), p=p / p.sum()))]
