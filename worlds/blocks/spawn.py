"""Where a walk starts: on open ground, facing something worth seeing."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np
from numba import njit

from worlds.blocks import physics, raycast
from worlds.blocks.palette import ID

PLACES = 48  # columns tried
LOOKS = 16  # yaws tried at each
NEAR, GOOD_FROM, GOOD_TO = 2.5, 3.5, 14.0  # blocks


@njit(cache=True, nogil=True)
def interest(cells, x, y, z, yaw_deg):
    """Score of a view: a fan of level rays wants things in the middle distance and none in the face."""
    score = 0.0
    for k in range(-3, 4):
        yaw = radians(yaw_deg + 9.0 * k)
        d = raycast.distance(cells, x, y, z, sin(yaw), 0.05, -cos(yaw), 24.0)
        if d < NEAR:
            score -= 3.0
        elif GOOD_FROM <= d <= GOOD_TO:
            score += 1.0
        elif d < 20.0:
            score += 0.3
    return score


def stand_height(blocks: np.ndarray, x: int, z: int, from_y: int | None = None) -> int | None:
    """Height of the feet on the lowest open-air floor of a column, None if there is none."""
    column = blocks[x, :, z]
    solid = np.flatnonzero(column)
    if solid.size == 0:
        return None
    y = int(solid[-1]) + 1
    return y if y + 1 <= blocks.shape[1] else None


def choose(volume: raycast.Volume, seed: int) -> np.ndarray:
    """The body that starts the walk of `seed`, float64 [physics.BODY]."""
    blocks = volume.blocks
    rng = np.random.default_rng([7, seed])
    nx, _ny, nz = blocks.shape
    margin = min(8, nx // 4, nz // 4)
    low = np.median([stand_height(blocks, x, z) or 0 for x in range(0, nx, 5) for z in range(0, nz, 5)])
    best, best_score = None, -1e9
    for _ in range(PLACES):
        x, z = int(rng.integers(margin, nx - margin)), int(rng.integers(margin, nz - margin))
        turn = float(rng.uniform(0, 360 / LOOKS))
        y = stand_height(blocks, x, z)
        if y is None or physics.hits(blocks, x + 0.5, y, z + 0.5):
            continue
        penalty = 2.0 * (blocks[x, y - 1, z] == ID["Water"]) + 4.0 * max(0.0, y - low - 2)
        for look in range(LOOKS):
            yaw = turn + look * 360 / LOOKS
            score = interest(volume.cells, x + 0.5, y + physics.EYE, z + 0.5, yaw) - penalty
            if score > best_score:
                best, best_score = physics.new_body(x + 0.5, y, z + 0.5, yaw), score
        if best_score >= 5.0:
            break
    if best is None:
        raise ValueError(f"no place to stand in a world of {blocks.shape} blocks")
    return best
