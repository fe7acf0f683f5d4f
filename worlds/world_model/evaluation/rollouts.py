"""Short rollouts under a random walk, frame by frame against the simulator's.

Measures are PSNR (dB), SSIM, and LPIPS with the trunk `random`, which any machine has and which no one has fitted to
what people see (worlds/pictures/perceptual.py). Beside each stand the last real frame held still (a floor) and the
tokenizer's picture of the true frame (a ceiling for pictures drawn from codes), and beside all of them the ratio of
edge energies: blur raises PSNR and lowers that ratio. Beyond 16 steps pixels cannot be right, since much of what is
then in view was never seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from terrarium.worlds.device import default_device
from terrarium.worlds.pictures.metrics import edge_energy, psnr, ssim
from terrarium.worlds.pictures.perceptual import LPIPS
from terrarium.worlds.world_model.evaluation.states import Trial, rounded, through
from terrarium.worlds.world_model.rollout import WorldModel

ROLLOUT_AT = (1, 4, 8, 16)
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]  # uint8 [..., H, W, 3] twice -> [...]


def rollout_quality(model: WorldModel, trials: list[Trial], own: np.ndarray) -> dict[str, Any]:
    """`own` uint8 [N, WALK, H, W, 3]: the model along the trials' walks."""
    real = np.stack([t.walk_frames for t in trials])
    still = np.broadcast_to(np.stack([t.frames[-1:] for t in trials]), real.shape)
    at = [k - 1 for k in ROLLOUT_AT]
    redrawn = through(model.tokenizer, real[:, at])
    values: dict[str, Any] = {}
    measures: dict[str, Measure] = {"psnr": psnr, "ssim": ssim, "lpips_random": random_lpips()}
    for name, measure in measures.items():
        rows = {"rollout": own[:, at], "copy_last": still[:, at], "tokenizer": redrawn}
        values |= {f"{row}_{name}": by_step(measure(x, real[:, at]).mean(axis=0), 3) for row, x in rows.items()}
    values["edge_energy_ratio"] = by_step(edge_energy(own[:, at]).mean(axis=0) / edge_energy(real[:, at]).mean(axis=0))
    curves = {"rollout_psnr": psnr(own, real), "copy_last_psnr": psnr(still, real)}
    return values | {"psnr_curve": {k: [rounded(x, 3) for x in v.mean(axis=0)] for k, v in curves.items()}}


def random_lpips() -> Measure:
    device = default_device()
    lpips = LPIPS("random").to(device)

    @torch.inference_mode()
    def measure(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        flat = (torch.tensor(z.reshape(-1, *z.shape[-3:])).to(device) for z in (a, b))
        x, y = (z.movedim(-1, 1).float() / 127.5 - 1 for z in flat)
        return lpips(x, y).cpu().numpy().reshape(a.shape[:-3])

    return measure


def by_step(values: np.ndarray, digits: int = 4) -> dict[str, float]:
    return {str(k): rounded(v, digits) for k, v in zip(ROLLOUT_AT, values, strict=True)}
