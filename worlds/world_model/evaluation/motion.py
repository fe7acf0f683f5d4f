"""How far the picture moves: shift per degree of yaw, and zoom under W and S, in the model and in the simulator.

Both are found by one search: which shift (or zoom about the middle) of a frame comes closest to the next one in the
middle of the picture? A scene has depth, so a zoom is a rough summary; it is the same one for both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.world_model.evaluation.states import HELD, Trial, rounded
from terrarium.worlds.world_model.rollout import State, WorldModel, rollout

YAWS = (-1.0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.0)  # of MAX_YAW_DEG, in one step
SHIFTS = np.arange(-12, 12.25, 0.25)  # pixels of a frame 64 wide
ZOOMS = np.exp(np.linspace(-0.25, 0.25, 51))  # in one step
MIDDLE = 0.6  # of the picture's width and height, in which pictures are compared


def motion(
    model: WorldModel, world: BlockWorld, trials: list[Trial], state: State, probes: np.ndarray
) -> dict[str, Any]:
    """`state` of the trials; `probes` as retrieval.hold_probes gives it."""
    last = np.stack([t.frames[-1] for t in trials])
    return {"yaw": _yaw(model, world, trials, state, last), "zoom": _zoom(trials, probes, last)}


def _yaw(
    model: WorldModel, world: BlockWorld, trials: list[Trial], state: State, last: np.ndarray
) -> dict[str, dict[str, float]]:
    actions = np.stack([act.action(yaw=y) for y in YAWS])
    own = rollout(model, state.repeat(len(YAWS)), torch.from_numpy(np.tile(actions, (len(trials), 1)))[:, None]).frames
    real = []
    for trial in trials:
        for action in actions:
            world.set_state(trial.start)
            real.append(world.step(action))
    degrees = np.tile(np.array(YAWS) * act.MAX_YAW_DEG, len(trials))
    before = last.repeat(len(YAWS), axis=0)
    sides = {"model": own[:, 0], "simulator": np.stack(real)}
    return {name: line(degrees, shift_px(before, after)) for name, after in sides.items()}


def _zoom(trials: list[Trial], probes: np.ndarray, last: np.ndarray) -> dict[str, dict[str, float]]:
    """Over HELD steps: geometric means, and the slope of the model's log zoom on the simulator's through zero."""
    found = {}
    for key in ("w", "s"):
        i = act.PROBES.index(key)
        own, real = (_log_zoom(last, x) for x in (probes[:, i], np.stack([t.branches[i] for t in trials])))
        found[key] = {
            "model": rounded(np.exp(own.mean())),
            "simulator": rounded(np.exp(real.mean())),
            "slope": rounded((own * real).sum() / max((real**2).sum(), 1e-9)),
        }
    return found


def _log_zoom(last: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Frames [N, ...] and what follows [N, HELD, ...] -> log of the zoom over all steps, found step by step, [N]."""
    frames = np.concatenate([last[:, None], after], axis=1)
    return np.sum([np.log(zoom(frames[:, k], frames[:, k + 1])) for k in range(HELD)], axis=0)


def line(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Least squares through zero: pixels a degree, and the share of the variance of y that it explains."""
    slope = float((x * y).sum() / (x**2).sum())
    r2 = 1 - ((y - slope * x) ** 2).sum() / max(((y - y.mean()) ** 2).sum(), 1e-9)
    return {"px_per_degree": rounded(slope), "r2": rounded(r2)}


def shift_px(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] each -> pixels that the scene moved to the left, float [N]; positive where one turns right."""
    width = before.shape[2]
    shifts = SHIFTS * width / 64
    theta = np.zeros((len(shifts), 2, 3), np.float32)
    theta[:, 0, 0] = theta[:, 1, 1] = 1
    theta[:, 0, 2] = 2 * shifts / width
    return shifts[_closest(before, after, theta)]


def zoom(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] each -> by what factor the scene grew about the picture's middle, float [N]."""
    theta = np.zeros((len(ZOOMS), 2, 3), np.float32)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / ZOOMS
    return ZOOMS[_closest(before, after, theta)]


def _closest(before: np.ndarray, after: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Which of the affine maps [K, 2, 3] of `before` comes closest to `after` in the middle, int [N]."""
    a, b = (torch.from_numpy(x.astype(np.float32).mean(axis=-1)).unsqueeze(1) for x in (before, after))
    height, width = a.shape[2:]
    dy, dx = round(height * (1 - MIDDLE) / 2), round(width * (1 - MIDDLE) / 2)
    middle = (..., slice(dy, height - dy), slice(dx, width - dx))
    grids = F.affine_grid(torch.from_numpy(theta), [len(theta), 1, height, width], align_corners=False)
    differences = []
    for grid in grids:
        moved = F.grid_sample(a, grid.expand(len(a), -1, -1, -1), padding_mode="border", align_corners=False)
        differences.append((moved[middle] - b[middle]).abs().mean(dim=(1, 2, 3)))
    return torch.stack(differences).argmin(dim=0).numpy()
