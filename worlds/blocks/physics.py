"""The player's body: one discrete step a frame.

A frame is the unit of time, so speeds are blocks a frame. Horizontal motion has no inertia: the picture must
answer in the very frame of the action. The body is float64 [BODY]; every step reads blocks uint8 [X, Y, Z]
and writes the body in place. Position is the middle of the feet; whatever is not Air is solid, water too.
Outside the map is solid, except above it.
"""

from __future__ import annotations

from math import cos, floor, pi, sin, sqrt

import numpy as np

from terrarium.worlds.blocks.actions import (
    JUMP,
    LEFT,
    MAX_PITCH_DEG,
    MAX_YAW_DEG,
    PITCH,
    RIGHT,
    SNEAK,
    SPRINT,
    YAW,
    S,
    W,
)
from terrarium.worlds.blocks.jit import jit

WALK = 0.4
SPRINT_FACTOR = 1.5
SNEAK_FACTOR = 0.5
HALF_WIDTH = 0.3
HEIGHT = 1.8
EYE = 1.62
SNEAK_DROP = 0.3  # how far sneaking lowers the eye
MAX_PITCH = 60.0
# Height after k frames is k JUMP_SPEED - k (k - 1) / 2 GRAVITY: 1.25 at k = 4, 0 at k = 8, exact in binary.
GRAVITY = 5 / 32
JUMP_SPEED = 35 / 64
MAX_FALL = 0.9375  # under a block a frame, so that nothing is tunnelled through
SKIN = 1e-6

# Body columns. `LAG` is how far the eye is still below (above, if negative) its place after a step up (down).
X, Y, Z, VY, YAW_DEG, PITCH_DEG, ON_GROUND, LAG, SNEAKING = range(9)
BODY = 9


@jit
def hits(blocks, x, y, z):
    """Whether a body with its feet at (x, y, z) overlaps a solid block."""
    nx, ny, nz = blocks.shape
    x0, x1 = floor(x - HALF_WIDTH + SKIN), floor(x + HALF_WIDTH - SKIN)
    y0, y1 = floor(y + SKIN), floor(y + HEIGHT - SKIN)
    z0, z1 = floor(z - HALF_WIDTH + SKIN), floor(z + HALF_WIDTH - SKIN)
    if x0 < 0 or x1 >= nx or z0 < 0 or z1 >= nz or y0 < 0:
        return True
    for i in range(x0, x1 + 1):
        for j in range(y0, min(y1, ny - 1) + 1):
            for k in range(z0, z1 + 1):
                if blocks[i, j, k] != 0:
                    return True
    return False


@jit
def _slide(blocks, body, axis, delta):
    """Move along X or Z, up to the wall; a walker climbs a wall of one block."""
    if delta == 0.0:
        return
    x, y, z = body[X], body[Y], body[Z]
    to_x, to_z = (x + delta, z) if axis == X else (x, z + delta)
    if not hits(blocks, to_x, y, to_z):
        body[axis] += delta
        return
    up = floor(y + SKIN) + 1.0
    if body[ON_GROUND] != 0.0 and not hits(blocks, x, up, z) and not hits(blocks, to_x, up, to_z):
        body[axis] += delta
        body[Y] = up
        body[LAG] += up - y
        return
    start = body[axis]
    if delta > 0:
        body[axis] = max(start, floor(start + delta + HALF_WIDTH - SKIN) - HALF_WIDTH)
    else:
        body[axis] = min(start, floor(start + delta - HALF_WIDTH + SKIN) + 1.0 + HALF_WIDTH)


@jit
def _fall(blocks, body, was_on_ground, jump):
    """Vertical motion: jump, gravity, ceiling and floor; a walker steps down one block without flying."""
    x, y, z = body[X], body[Y], body[Z]
    if was_on_ground and jump:
        body[VY] = JUMP_SPEED
    elif was_on_ground:
        body[VY] = 0.0
        if hits(blocks, x, y - 2 * SKIN, z):
            return
        if hits(blocks, x, y - 1.0 - 2 * SKIN, z) and not hits(blocks, x, y - 1.0, z):
            body[Y] = y - 1.0
            body[LAG] -= 1.0
            return
        body[VY] = -GRAVITY
    else:
        body[VY] = max(body[VY] - GRAVITY, -MAX_FALL)
    to_y = y + body[VY]
    if hits(blocks, x, to_y, z):
        if body[VY] > 0:
            to_y = max(y, floor(to_y + HEIGHT) - HEIGHT)
        else:
            to_y = min(y, floor(to_y + SKIN) + 1.0)
        body[VY] = 0.0
    body[Y] = to_y
    body[ON_GROUND] = 1.0 if body[VY] <= 0 and hits(blocks, x, to_y - 2 * SKIN, z) else 0.0
    if body[ON_GROUND] != 0.0:
        body[VY] = 0.0


@jit
def step(blocks, body, action):
    """One frame: turn, walk, fall. `action` is float32 [9] of worlds/blocks/actions.py."""
    body[YAW_DEG] = (body[YAW_DEG] + action[YAW] * MAX_YAW_DEG) % 360.0
    if body[YAW_DEG] >= 360.0:  # a tiny negative angle rounds up
        body[YAW_DEG] = 0.0
    body[PITCH_DEG] = min(max(body[PITCH_DEG] + action[PITCH] * MAX_PITCH_DEG, -MAX_PITCH), MAX_PITCH)
    ahead = int(action[W] > 0.5) - int(action[S] > 0.5)
    aside = int(action[RIGHT] > 0.5) - int(action[LEFT] > 0.5)
    sneak = action[SNEAK] > 0.5
    speed = WALK * (SNEAK_FACTOR if sneak else SPRINT_FACTOR if action[SPRINT] > 0.5 else 1.0)
    if ahead != 0 and aside != 0:
        speed /= sqrt(2.0)
    body[SNEAKING] = 1.0 if sneak else 0.0
    body[LAG] = 0.0
    was_on_ground = body[ON_GROUND] != 0.0
    yaw = body[YAW_DEG] * pi / 180.0
    _slide(blocks, body, X, speed * (ahead * sin(yaw) + aside * cos(yaw)))
    _slide(blocks, body, Z, speed * (aside * sin(yaw) - ahead * cos(yaw)))
    _fall(blocks, body, was_on_ground, action[JUMP] > 0.5)
    body[LAG] *= 0.5  # half of a step shows now, the rest in the next frame


@jit
def eye_height(body):
    """Height of the eye above y = 0, in blocks."""
    return body[Y] + EYE - body[LAG] - SNEAK_DROP * body[SNEAKING]


def new_body(x: float, y: float, z: float, yaw_deg: float) -> np.ndarray:
    """A body standing at (x, y, z), float64 [BODY]."""
    body = np.zeros(BODY)
    body[X], body[Y], body[Z], body[YAW_DEG], body[ON_GROUND] = x, y, z, yaw_deg, 1.0
    return body
