"""What people live and work in: house, hut, church, windmill. Every builder's attributes are words of its captions."""

from __future__ import annotations

import numpy as np

from terrarium.worlds.blocks.landmarks import box
from terrarium.worlds.blocks.palette import ID
from terrarium.worlds.blocks.structures.shapes import (
    BLOCK,
    GLASS,
    cone,
    disc,
    door,
    gable,
    hip,
    middle,
    part,
    span,
    windows,
)


def house(blocks: np.ndarray, rng, *, material: str, roof: str, shape: str, storeys: str, detail: str) -> None:
    n = blocks.shape[0]
    wall, cover = BLOCK[material], BLOCK[roof]
    (x, wide), (z, deep) = span(n, 0.66), span(n, 0.52)
    storey = part(n, 0.23, 3)
    top = 1 + storey * (2 if storeys == "two" else 1) - (1 if storeys == "two" else 0)
    box(blocks, x, 1, z, (wide, top - 1, deep), wall)
    for floor in range(1 if storeys == "one" else 2):
        windows(blocks, x, 2 + floor * (storey - 1), z, wide, deep, part(n, 0.13, 2), part(n, 0.07))
    front = z + deep - 1
    door(blocks, front, wall, part(n, 0.14, 2))
    if shape == "gabled":
        gable(blocks, x - 1, top, z - 1, wide + 2, deep + 2, cover, wall, "x")
    elif shape == "hipped":
        hip(blocks, x - 1, top, z - 1, wide + 2, deep + 2, cover)
    else:
        box(blocks, x - 1, top, z - 1, (wide + 2, part(n, 0.07), deep + 2), cover)
    thick = part(n, 0.08)
    if detail == "a chimney":
        high = top + part(n, 0.36 if shape != "flat" else 0.2)
        stack = ID["Stone"] if wall != ID["Stone"] else ID["Dirt"]
        box(blocks, x + wide - 1 - thick, top, z + thick, (thick, high - top, thick), stack)
    else:  # a porch: a small roof on two posts before the door
        px, pw = span(n, 0.34)
        eaves = min(1 + part(n, 0.17, 3), top)
        reach = part(n, 0.14, 2)
        for post in (px, px + pw - thick):
            box(blocks, post, 1, front + reach - thick + 1, (thick, eaves - 1, thick), ID["Plank"])
        box(blocks, px, eaves, front + 1, (pw, 1, reach), cover)


def hut(blocks: np.ndarray, rng, *, material: str, roof: str, doors: str, height: str) -> None:
    """Round, under a pointed roof."""
    n = blocks.shape[0]
    radius = n * 0.32
    top = 1 + part(n, 0.22 if height == "low" else 0.34, 2)
    disc(blocks, 1, top - 1, radius, BLOCK[material])
    edge = int(middle(blocks)[0] + radius - 0.01)
    x, wide = span(n, 0.12)
    tall = min(part(n, 0.16, 2), top - 1)
    box(blocks, x, 1, edge, (wide, tall, 1), ID["Dirt"])
    if doors == "two doors":
        box(blocks, x, 1, n - 1 - edge, (wide, tall, 1), ID["Dirt"])
    for side in (edge, n - 1 - edge):
        box(blocks, side, 2, x, (1, part(n, 0.07), wide), GLASS)
    cone(blocks, top, radius + part(n, 0.1), BLOCK[roof])


def church(blocks: np.ndarray, rng, *, material: str, roof: str, spire: str, detail: str) -> None:
    """A nave with a tower at its front."""
    n = blocks.shape[0]
    wall, cover = BLOCK[material], BLOCK[roof]
    x, wide = span(n, 0.46)
    tx, tower = span(n, 0.32)
    front = n - 1 - part(n, 0.1)
    start, back = front - tower + 1, part(n, 0.06)
    top = 1 + part(n, 0.28, 3)
    box(blocks, x, 1, back, (wide, top - 1, start - back), wall)
    tall = part(n, 0.12)
    for z in range(back + 1, start - 1, part(n, 0.13, 2)):
        for side in (x, x + wide - 1):
            box(blocks, side, 2, z, (1, tall, 1), GLASS)
    gable(blocks, x - 1, top, back - 1, wide + 2, start - back + 1, cover, wall, "z")
    high = 1 + part(n, 0.5)
    box(blocks, tx, 1, start, (tower, high - 1, tower), wall)
    door(blocks, front, wall, part(n, 0.17, 2))
    belfry, pane = span(n, 0.1)
    steep = 2 if spire == "tall" else 1
    hip(blocks, tx, high, start, tower, tower, cover, steep)
    tip = high + steep * ((tower + 1) // 2)
    if detail == "a cross":
        z, bar = start + (tower - 1) // 2, part(n, 0.04)
        box(blocks, belfry, high - 1 - tall, front, (pane, tall, 1), GLASS)
        box(blocks, belfry, tip, z, (pane, part(n, 0.19, 3), bar), ID["Sand"])
        box(blocks, belfry - bar, tip + part(n, 0.08), z, (pane + 2 * bar, bar, bar), ID["Sand"])
    else:  # a rose window
        rose = span(n, 0.16)
        box(blocks, rose[0], part(n, 0.26, 4), front, (rose[1], rose[1], 1), GLASS)


def windmill(blocks: np.ndarray, rng, *, material: str, roof: str, sails: str, blades: str) -> None:
    """A tapered tower with four sails; `blades` is how they stand, "upright" (+) or "slanted" (x)."""
    n = blocks.shape[0]
    low, high = n * 0.27, n * 0.19
    top = 1 + part(n, 0.58)
    at = (n - 1) / 2, (n - 1) / 2 - part(n, 0.08)
    for y in range(1, top):
        disc(blocks, y, 1, low + (high - low) * (y - 1) / (top - 2), BLOCK[material], at)
    cone(blocks, top, high + 1, BLOCK[roof], at)
    x, wide = span(n, 0.1)
    edge = int(np.flatnonzero(blocks[x, 1])[-1])
    box(blocks, x, 1, edge, (wide, part(n, 0.17, 2), 1), ID["Dirt"])
    box(blocks, x, part(n, 0.28, 3), edge - 1, (wide, part(n, 0.07), 1), GLASS)
    plane, hub = edge + 1, part(n, 0.55)
    box(blocks, x, hub, plane - 2, (wide, wide, 3), ID["Dirt"])
    _sails(blocks, plane, hub + (wide - 1) / 2, part(n, 0.42), BLOCK[sails], slanted=blades == "slanted")


def _sails(blocks: np.ndarray, z: int, y: float, reach: int, cloth: int, *, slanted: bool) -> None:
    """Four arms of dark wood in the plane `z` about height `y`, each with a strip of cloth on the same side."""
    n = blocks.shape[0]
    u = (np.arange(n) - (n - 1) / 2)[:, None]
    v = (np.arange(blocks.shape[1]) - y)[None, :]
    if slanted:
        u, v = (u + v) * 0.7, (v - u) * 0.7
    arm, strip, bare = max(0.6, n * 0.04), max(1.7, n * 0.17), n * 0.1
    for a, b in ((u, v), (v, -u), (-u, -v), (-v, u)):  # a across the arm, b along it
        plane = blocks[:, :, z]
        plane[(b > bare) & (b <= reach) & (a >= arm) & (a <= strip)] = cloth
        plane[(b >= 0) & (b <= reach) & (np.abs(a) < arm)] = ID["Dirt"]
