"""Where a walk starts: on open ground, facing something worth seeing."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np

from terrarium.worlds.blocks import physics, raycast
from terrarium.worlds.blocks.jit import jit
from terrarium.worlds.blocks.palette import ID, NAMES

PLACES = 48  # columns tried
LOOKS = 16  # yaws tried at each
GOOD_ENOUGH = 3.0  # score that ends the search, so that spawns vary
NEAR, GOOD_FROM, GOOD_TO = 2.5, 3.5, 14.0  # blocks
NATURAL = np.array([n in ("Air", "Grass", "Dirt", "Stone", "Snow", "Sand", "Water") for n in NAMES])


@jit
def interest(cells, nx, ny, nz, natural, x, y, z, yaw_deg):
    """Score of a view: a fan of rays wants landmarks and trees in the middle distance, none in the face."""
    score = 0.0
    for k in range(-3, 4):
        yaw = radians(yaw_deg + 9.0 * k)
        dx, dy, dz = 0.9987 * sin(yaw), 0.05, -0.9987 * cos(yaw)
        block, d, _face, _x, _y, _z = raycast.cast(cells, nx, ny, nz, x, y, z, dx, dy, dz, 24.0)
        if d < NEAR:
            score -= 3.0
        elif block != 0 and not natural[block]:
            score += 1.0 if GOOD_FROM <= d <= GOOD_TO else 0.4
        elif d <= GOOD_TO:
            score += 0.2
    return score


def stand_height(blocks: np.ndarray, x: int, z: int) -> int | None:
    """Height of the feet on the highest block of a column, None if the column is empty."""
    solid = np.flatnonzero(blocks[x, :, z])
    return int(solid[-1]) + 1 if solid.size else None


def choose(volume: raycast.Volume, seed: int) -> np.ndarray:
    """The body that starts the walk of `seed`, float64 [physics.BODY]."""
    blocks = volume.blocks
    rng = np.random.default_rng([7, seed])
    nx, ny, nz = volume.shape
    margin = min(10, nx // 4, nz // 4)
    best, best_score = None, -1e9
    for _ in range(PLACES):
        x, z = int(rng.integers(margin, nx - margin)), int(rng.integers(margin, nz - margin))
        turn = float(rng.uniform(0, 360 / LOOKS))
        y = stand_height(blocks, x, z)
        if y is None:
            continue
        penalty = 20.0 * (not NATURAL[blocks[x, y - 1, z]]) + 2.0 * (blocks[x, y - 1, z] == ID["Water"])
        for look in range(LOOKS):
            yaw = turn + look * 360 / LOOKS
            eye = x + 0.5, y + physics.EYE, z + 0.5
            score = interest(volume.flat, nx, ny, nz, NATURAL, *eye, yaw) - penalty
            if score > best_score:
                best, best_score = physics.new_body(x + 0.5, y, z + 0.5, yaw), score
        if best_score >= GOOD_ENOUGH:
            break
    if best is None:
        raise ValueError(f"no place to stand in a world of {nx} x {ny} x {nz} blocks")
    return best
