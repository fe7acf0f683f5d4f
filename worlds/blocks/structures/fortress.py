"""What is built to hold: tower, castle, a wall with a gate, and what time leaves of them."""

from __future__ import annotations

import numpy as np

from terrarium.worlds.blocks.landmarks import box
from terrarium.worlds.blocks.palette import AIR, ID
from terrarium.worlds.blocks.structures.shapes import (
    BLOCK,
    GLASS,
    battlements,
    cone,
    disc,
    door,
    hip,
    part,
    span,
    squared_distance,
)


def _keep(blocks, x: int, z: int, wide: int, top: int, wall: int, roof: int | None) -> None:
    """A square tower up to `top` under battlements or, with `roof`, a pointed roof; a wide one has a wider crown."""
    box(blocks, x, 1, z, (wide, top - 1, wide), wall)
    out = 1 if wide > 4 else 0
    around = (wide + 2 * out, wide + 2 * out)
    if roof is None:
        box(blocks, x - out, top - 1, z - out, (around[0], 1, around[1]), wall)
        battlements(blocks, x - out, top, z - out, *around, wall)
    else:
        hip(blocks, x - out, top, z - out, *around, roof, 1 if out else 2)


def tower(blocks: np.ndarray, rng, *, material: str, top: str, shape: str, windows: str) -> None:
    n = blocks.shape[0]
    wall = BLOCK[material]
    x, wide = span(n, 0.38)
    high = 1 + part(n, 0.62)
    if shape == "square":
        box(blocks, x - 1, 1, x - 1, (wide + 2, part(n, 0.1), wide + 2), wall)
        _keep(blocks, x, x, wide, high, wall, None if top == "battlements" else BLOCK["thatched"])
    else:
        radius = wide / 2 + 0.3
        disc(blocks, 1, part(n, 0.1), radius + 1, wall)
        disc(blocks, 1, high - 1, radius, wall)
        if top == "battlements":
            disc(blocks, high - 1, 1, radius + 1, wall)
            _round_battlements(blocks, high, radius + 1, wall)
        else:
            cone(blocks, high, radius + 1, BLOCK["thatched"])
    dx, slit = span(n, 0.1)
    tall, far = part(n, 0.13, 2), x + wide - 1
    rows = (0.42,) if windows == "one row of windows" else (0.28, 0.47)
    for y in (part(n, share) for share in rows):
        for side in (x, far):
            box(blocks, dx, y, side, (slit, tall, 1), GLASS)
            box(blocks, side, y, dx, (1, tall, slit), GLASS)
    door(blocks, far, wall, part(n, 0.17, 2))
    door(blocks, far + 1, wall, part(n, 0.17, 2))


def _round_battlements(blocks, y: int, radius: float, block: int) -> None:
    square = squared_distance(blocks, ((blocks.shape[0] - 1) / 2, (blocks.shape[2] - 1) / 2))
    n = blocks.shape[0]
    step = np.minimum(np.arange(n), n - 1 - np.arange(n))
    rim = (square < radius**2) & (square >= (radius - 1) ** 2) & ((step[:, None] + step[None, :]) % 2 == 0)
    blocks[:, y][rim] = block


def castle(blocks: np.ndarray, rng, *, material: str, towers: str, top: str, middle: str, moat: str) -> None:
    """A square of walls with towers at two or four corners, and a keep or an open court within."""
    n = blocks.shape[0]
    wall = BLOCK[material]
    roof = None if top == "battlements" else BLOCK["thatched"]
    x, wide = span(n, 0.76 if moat == "a moat" else 0.84)
    far, thick = x + wide - 1, part(n, 0.06)
    if moat == "a moat":
        shore = int(blocks[0, 0, 0])
        box(blocks, 0, 0, 0, (n, 1, n), ID["Water"])
        box(blocks, x - 1, 0, x - 1, (wide + 2, 1, wide + 2), shore)
        bridge_x, bridge = span(n, 0.2)
        box(blocks, bridge_x, 0, far, (bridge, 1, n - far), ID["Plank"])
    height = part(n, 0.26, 3)
    box(blocks, x, 1, x, (wide, height, wide), wall)
    box(blocks, x + thick, 1, x + thick, (wide - 2 * thick, height, wide - 2 * thick), AIR)
    battlements(blocks, x, height + 1, x, wide, wide, wall)
    side, high = part(n, 0.22, 3), 1 + part(n, 0.46)
    at = (x, far - side + 1)
    corners = [(i, k) for i in at for k in at if towers == "four" or k == at[1]]
    for i, k in corners:
        _keep(blocks, i, k, side, high, wall, roof)
        box(blocks, i + side // 2, part(n, 0.3, 3), k + side - 1, (1, part(n, 0.1), 1), GLASS)
    door(blocks, far, wall, part(n, 0.2, 3))
    if middle == "a keep":
        kx, keep = span(n, 0.3)
        _keep(blocks, kx, kx, keep, 1 + part(n, 0.66), wall, roof)
        box(blocks, kx, part(n, 0.5), kx + keep - 1, (1, part(n, 0.1), 1), GLASS)
        box(blocks, kx + keep - 1, part(n, 0.5), kx + keep - 1, (1, part(n, 0.1), 1), GLASS)


def gate(blocks: np.ndarray, rng, *, material: str, opening: str, towers: str, top: str) -> None:
    """A stretch of wall with an open way through its middle."""
    n = blocks.shape[0]
    wall = BLOCK[material]
    z, deep = span(n, 0.2)
    high = part(n, 0.42)
    box(blocks, 0, 1, z, (n, high, deep), wall)
    if top == "battlements":
        for k in (z, z + deep - 1):
            battlements(blocks, 0, high + 1, k, n, 1, wall)
    else:  # a wooden walk under a roof
        box(blocks, 0, high + 1, z - 1, (n, 1, deep + 2), BLOCK["thatched"])
        box(blocks, 0, high + 2, z, (n, 1, deep), BLOCK["thatched"])
    x, wide = span(n, 0.3)
    if towers == "two towers":
        side = part(n, 0.25, 3)
        tz = z - max(1, (side - deep + 1) // 2)
        roof = None if top == "battlements" else BLOCK["thatched"]
        for i in (x - side, x + wide):
            _keep(blocks, i, tz, side, part(n, 0.62), wall, roof)
            box(blocks, i + side // 2, part(n, 0.38), tz + side - 1, (1, part(n, 0.12), 1), GLASS)
    tall = part(n, 0.3, 3)
    for i in range(wide):
        side = min(i, wide - 1 - i)
        drop = max(0, part(n, 0.1) - side) if opening == "an arched gate" else 0
        box(blocks, x + i, 1, 0, (1, tall - drop, n), AIR)


def ruin(blocks: np.ndarray, rng, *, material: str, cover: str, remains: str, decay: str) -> None:
    """Broken walls about a floor, overgrown, with what else still stands."""
    n = blocks.shape[0]
    wall, growth = BLOCK[material], BLOCK[cover]
    x, wide = span(n, 0.8)
    far = x + wide - 1
    box(blocks, x, 0, x, (wide, 1, wide), wall)
    high = part(n, 0.5 if decay == "half-fallen" else 0.34)
    for i, k, share in _broken_wall(wide, rng):
        height = round(high * share)
        if (i in (0, wide - 1) and k == wide // 2) or height < 1:
            continue
        box(blocks, x + i, 1, x + k, (1, height, 1), wall)
        if rng.random() < 0.3:
            box(blocks, x + i, height, x + k, (1, 1, 1), growth)
    dx, gap = span(n, 0.2)
    box(blocks, dx, 1, far, (gap, high, 1), AIR)
    if remains == "columns":
        for i in (0.3, 0.7):
            for k in (0.35, 0.65):
                height = part(n, rng.uniform(0.15, 0.5), 2)
                box(blocks, part(n, i), 1, part(n, k), (part(n, 0.1), height, part(n, 0.1)), wall)
    else:  # an arch
        legs = part(n, 0.42)
        for i in (part(n, 0.3), n - 1 - part(n, 0.3)):
            box(blocks, i, 1, n // 2, (1, legs, part(n, 0.1)), wall)
        box(blocks, part(n, 0.3), legs + 1, n // 2, (n - 2 * part(n, 0.3), part(n, 0.07), part(n, 0.1)), wall)
    for _ in range(n):  # rubble, and what grows through the floor
        i, k = (int(v) for v in rng.integers(0, n, 2))
        if blocks[i, 1, k] == AIR:
            box(blocks, i, int(rng.random() < 0.3), k, (1, 1, 1), wall if rng.random() < 0.4 else growth)


def _broken_wall(wide: int, rng):
    """(i, k, share of the full height) along a square's border: a ragged line, high at one corner, low at another."""
    border = [(i, 0) for i in range(wide - 1)] + [(wide - 1, k) for k in range(wide - 1)]
    border += [(i, wide - 1) for i in range(wide - 1, 0, -1)] + [(0, k) for k in range(wide - 1, 0, -1)]
    turn = rng.integers(len(border))
    for step, (i, k) in enumerate(border):
        round_trip = abs(2 * ((step + turn) % len(border)) / len(border) - 1)  # 1 at one corner, 0 across
        yield i, k, round_trip + rng.uniform(-0.25, 0.15)
