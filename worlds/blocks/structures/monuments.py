"""Temple, pyramid, arena, bridge and well."""

from __future__ import annotations

import numpy as np

from terrarium.worlds.blocks.landmarks import box
from terrarium.worlds.blocks.palette import AIR, ID
from terrarium.worlds.blocks.structures.shapes import (
    BLOCK,
    disc,
    gable,
    part,
    span,
)

COLUMNS = {"four": 4, "six": 6}
ARCHES = {"one arch": 1, "two arches": 2, "three arches": 3}


def temple(blocks: np.ndarray, rng, *, material: str, roof: str, columns: str, steps: str) -> None:
    """Columns on steps, a shrine between them, a gabled roof above; `columns` is how many its front has."""
    n = blocks.shape[0]
    stone = BLOCK[material]
    rise = part(n, 0.06) * (2 if steps == "two steps" else 1)
    for k in range(rise):
        (x, wide), (z, deep) = span(n, 0.9 - 2 * k / n), span(n, 0.94 - 2 * k / n)
        box(blocks, x, 1 + k, z, (wide, 1, deep), stone)
    (x, wide), (z, deep) = span(n, 0.74), span(n, 0.78)
    floor, tall, thick = 1 + rise, part(n, 0.32, 3), 2 if n > 24 else 1
    (cx, cw), (cz, cd) = span(n, 0.38), span(n, 0.42)
    box(blocks, cx, floor, cz, (cw, tall, cd), stone)
    dx, dw = span(n, 0.1)
    box(blocks, dx, floor, cz + cd - 1, (dw, part(n, 0.17, 2), 1), ID["Dirt"])
    for i in _spread(wide - thick, COLUMNS[columns]):
        for k in (z, z + deep - thick):
            box(blocks, x + i, floor, k, (thick, tall, thick), stone)
    for k in _spread(deep - thick, COLUMNS[columns]):
        for i in (x, x + wide - thick):
            box(blocks, i, floor, z + k, (thick, tall, thick), stone)
    top = floor + tall
    box(blocks, x - 1, top, z - 1, (wide + 2, 1, deep + 2), stone)
    gable(blocks, x - 1, top + 1, z - 1, wide + 2, deep + 2, BLOCK[roof], stone, "z", tread=2)


def _spread(last: int, count: int) -> list[int]:
    """`count` places from 0 to `last`, even and symmetric."""
    half = [round(i * last / (count - 1)) for i in range((count + 1) // 2)]
    return sorted({*half, *(last - i for i in half)})


def pyramid(blocks: np.ndarray, rng, *, material: str, shape: str, top: str, entrance: str) -> None:
    n = blocks.shape[0]
    stone = BLOCK[material]
    x, wide = span(n, 0.96)
    y, step = 1, 1 if shape == "smooth" else part(n, 0.12, 2)
    while wide > (0 if shape == "smooth" else part(n, 0.2)):
        box(blocks, x, y, x, (wide, step, wide), stone)
        y, x, wide = y + step, x + step, wide - 2 * step
    tip = ID["Snow"] if stone != ID["Snow"] else ID["Sand"]
    if top == "a bright tip":
        level = y - max(part(n, 0.12, 2), step)
        blocks[:, level:][blocks[:, level:] != AIR] = tip
    else:  # a shrine
        sx, sw = span(n, 0.26)
        box(blocks, sx, y - step, sx, (sw, step + part(n, 0.16, 2), sw), stone)
        dx, dw = span(n, 0.1)
        box(blocks, dx, y, sx + sw - 1, (dw, part(n, 0.1), 1), ID["Dirt"])
    dx, dw = span(n, 0.14)
    if entrance == "a doorway":
        face = n - 1 - (n - span(n, 0.96)[1]) // 2
        box(blocks, dx - 1, 1, face - part(n, 0.17, 2), (dw + 2, part(n, 0.17, 3), part(n, 0.17, 3)), stone)
        box(blocks, dx, 1, face - 1, (dw, part(n, 0.12, 2), 2), ID["Dirt"])
    else:  # a stair cut into the front
        tread = ID["Plank"] if stone != ID["Plank"] else ID["Stone"]
        x, wide = span(n, 0.96)
        for k in range(y - part(n, 0.17, 2)):
            box(blocks, dx, 1, x + wide - 1 - k, (dw, k + 1, 1), tread)
            box(blocks, dx, k + 2, x + wide - 1 - k, (dw, n, 1), AIR)


def arena(blocks: np.ndarray, rng, *, material: str, entrances: str, floor: str, height: str) -> None:
    """Rings of seats that rise outwards around a sunken floor."""
    n = blocks.shape[0]
    stone = BLOCK[material]
    outer, inner = n * 0.49, n * 0.22
    disc(blocks, 0, 1, inner + 0.5, BLOCK[floor])
    tall = part(n, 0.42 if height == "high" else 0.28, 3)
    tiers = max(3, round(outer - inner))
    for k in range(tiers):
        radius = inner + (outer - inner) * k / tiers
        rise = max(1, round(tall * (k + 1) / tiers))
        disc(blocks, 1, rise, outer, stone, inner=radius)
    rim = outer - 1.1
    disc(blocks, tall, part(n, 0.08), outer, stone, inner=rim)
    x, wide = span(n, 0.16)
    cut = part(n, 0.24, 3)
    box(blocks, x, 1, n // 2, (wide, cut, n), AIR)
    box(blocks, x, 1, 0, (wide, cut, n // 2), AIR)
    if entrances == "four":
        box(blocks, 0, 1, x, (n, cut, wide), AIR)


def bridge(blocks: np.ndarray, rng, *, material: str, arches: str, sides: str, deck: str) -> None:
    """Across a river that runs towards the viewer."""
    n = blocks.shape[0]
    stone = BLOCK[material]
    rx, river = span(n, 0.8)
    box(blocks, rx, 0, 0, (river, 1, n), ID["Water"])
    z, deep = span(n, 0.34)
    high = part(n, 0.4)
    count = ARCHES[arches]
    x = np.arange(n)
    if deck == "humped":
        level = np.round(2 + (high - 1) * (1 - ((x - (n - 1) / 2) / (n / 2)) ** 2)).astype(int)
    else:
        level = np.minimum(2 + 2 * np.minimum(x, n - 1 - x), part(n, 0.32))
    for i in range(n):
        box(blocks, i, 1, z, (1, int(level[i]), deep), stone)
    wide = river / count
    for i in range(rx, rx + river):
        place = (i - rx + 0.5) % wide - wide / 2  # from the middle of its arch
        radius = wide / 2 - (0.5 if count > 1 else 0.1)
        clear = radius**2 - place**2
        if clear > 0:
            tall = round(float(np.sqrt(clear)) / radius * (int(level[i]) - 1))
            box(blocks, i, 1, z, (1, tall, deep), AIR)
    for side in (z, z + deep - 1):
        for i in range(n):
            post = sides == "railings" or i % part(n, 0.25, 3) == part(n, 0.12)
            if sides == "railings":
                box(blocks, i, int(level[i]) + 1, side, (1, 1, 1), stone)
            elif post:  # lamps
                box(blocks, i, int(level[i]) + 1, side, (1, part(n, 0.12, 2), 1), ID["Dirt"])
                box(blocks, i, int(level[i]) + 1 + part(n, 0.12, 2), side, (1, 1, 1), ID["Snow"])


def well(blocks: np.ndarray, rng, *, material: str, roof: str, shape: str, paving: str) -> None:
    """A wall about water, under a roof on two posts, with a bucket on its rope."""
    n = blocks.shape[0]
    stone = BLOCK[material]
    x, wide = span(n, 0.5)
    high, thick = part(n, 0.2, 2), part(n, 0.08)
    if paving == "paving":
        disc(blocks, 0, 1, n * 0.45, ID["Stone"] if stone != ID["Stone"] else ID["Dirt"])
    if shape == "round":
        disc(blocks, 1, high, wide / 2 + 0.3, stone)
        disc(blocks, high - 1, 1, wide / 2 - 0.7 * thick, ID["Water"])
        disc(blocks, high, 1, wide / 2 - 0.7 * thick, AIR)
    else:
        box(blocks, x, 1, x, (wide, high, wide), stone)
        inside = (wide - 2 * thick, 1, wide - 2 * thick)
        box(blocks, x + thick, high - 1, x + thick, inside, ID["Water"])
        box(blocks, x + thick, high, x + thick, inside, AIR)
    top = 1 + part(n, 0.55)
    z, post = span(n, 0.1)
    for i in (x, x + wide - thick):
        box(blocks, i, 1, z, (thick, top - 1, post), ID["Dirt"])
    gable(blocks, x - 1, top, x, wide + 2, wide, BLOCK[roof], ID["Plank"], "x")
    mid = (n - 1) // 2
    box(blocks, mid, high + part(n, 0.12), mid, (1, top - high - part(n, 0.12), 1), ID["Dirt"])
    box(blocks, z, high + 1, z, (post, part(n, 0.1), post), ID["Plank"])
