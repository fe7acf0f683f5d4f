"""Tree, lighthouse and ship."""

from __future__ import annotations

import numpy as np

from terrarium.worlds.blocks.landmarks import box
from terrarium.worlds.blocks.palette import AIR, ID
from terrarium.worlds.blocks.structures.shapes import BLOCK, ball, cone, disc, part, span


def tree(blocks: np.ndarray, rng, *, leaves: str, crown: str, trunk: str) -> None:
    n = blocks.shape[0]
    c, thick = (n - 1) / 2, max(span(n, 0.1)[1], 2 - n % 2)
    x = (n - thick) // 2
    foot = part(n, 0.2 if trunk == "a short trunk" else 0.34)
    high = blocks.shape[1] - 1
    box(blocks, x, 1, x, (thick, foot + 1, thick), ID["Dirt"])
    leaf = BLOCK[leaves]
    if crown == "round":
        radius = min(n * 0.38, (high - foot) / 2)
        ball(blocks, (c, foot + radius, c), (radius, radius, radius), leaf)
    elif crown == "pointed":
        radius = n * 0.4
        y, least = foot, 0.8
        while radius > least and y < high:
            disc(blocks, y, 1, radius, leaf)
            disc(blocks, y + 1, 1, max(1.0, radius - n * 0.08), leaf)
            y, radius = y + 2, radius - n * 0.1
        disc(blocks, y, 1, 1, leaf)
    else:  # spreading, like an umbrella
        y = foot + part(n, 0.22)
        ball(blocks, (c, y, c), (n * 0.48, n * 0.14, n * 0.48), leaf)
        ball(blocks, (c, y + n * 0.1, c), (n * 0.3, n * 0.12, n * 0.3), leaf)
        blocks[:, 1:y][blocks[:, 1:y] == leaf] = AIR
        box(blocks, x, 1, x, (thick, y, thick), ID["Dirt"])
        disc(blocks, y, 1, n * 0.47, leaf)


def lighthouse(blocks: np.ndarray, rng, *, stripes: str, base: str, roof: str, height: str) -> None:
    """White, with stripes and a lantern, on an island."""
    n = blocks.shape[0]
    shore = BLOCK[base]
    box(blocks, 0, 0, 0, (n, 1, n), ID["Water"])
    disc(blocks, 0, 1, n * 0.46, shore)
    disc(blocks, 1, part(n, 0.06), n * 0.36, shore)
    foot = 1 + part(n, 0.06)
    top = foot + part(n, 0.6 if height == "tall" else 0.44)
    low, high = n * 0.23, n * 0.14
    band = part(n, 0.12, 2)
    for y in range(foot, top):
        painted = (y - foot) // band % 2 == 1
        radius = low + (high - low) * (y - foot) / (top - foot)
        disc(blocks, y, 1, radius, BLOCK[stripes] if painted else ID["Snow"])
    disc(blocks, top, 1, high + 1.2, ID["Stone"])
    light = part(n, 0.12)
    disc(blocks, top + 1, light, high, ID["Sand"])
    cone(blocks, top + 1 + light, high + 0.8, BLOCK[roof])
    x, wide = span(n, 0.1)
    edge = int(np.flatnonzero(blocks[x, foot] == ID["Snow"])[-1])
    box(blocks, x, foot, edge, (wide, part(n, 0.13, 2), 1), ID["Dirt"])


def ship(blocks: np.ndarray, rng, *, material: str, sails: str, masts: str, cabin: str) -> None:
    """A sailing ship along x, its bow at +x."""
    n = blocks.shape[0]
    hull = BLOCK[material]
    box(blocks, 0, 0, 0, (n, 1, n), ID["Water"])
    _, beam = span(n, 0.36)
    tall = part(n, 0.2, 3)
    x, z = np.arange(n)[:, None], np.abs(np.arange(n)[None, :] - (n - 1) / 2)
    for k in range(tall):
        grown = (k + 1) / tall
        stern, bow = n * 0.1 - grown, n * (0.76 + 0.2 * grown)
        half = beam / 2 * (0.6 + 0.4 * grown) * np.minimum(1, np.maximum(0, bow - x) / (n * 0.3)) ** 0.6
        blocks[:, 1 + k][(x >= stern) & (z < half)] = hull
        if k == tall - 1:
            blocks[:, 1 + k][(x >= stern + 1) & (z < half - 1)] = AIR
            blocks[:, k][(x >= stern + 1) & (z < half - 1)] = ID["Sand"] if hull == ID["Plank"] else ID["Plank"]
    c, post = span(n, 0.08)
    deck = tall
    back = part(n, 0.08)
    if cabin == "a cabin":
        cz, cw = span(n, 0.3)
        box(blocks, back, deck, cz, (part(n, 0.2), part(n, 0.18, 2), cw), hull)
        box(blocks, back, deck + part(n, 0.18, 2), cz, (part(n, 0.2), 1, cw), ID["Dirt"])
    top = part(n, 0.9)
    for at in (0.48,) if masts == "one mast" else (0.36, 0.64):
        mast = part(n, at)
        box(blocks, mast, deck, c, (post, top - deck, post), ID["Dirt"])
        reach = part(n, 0.4 if masts == "one mast" else 0.22)
        _sail(blocks, mast + post, deck + part(n, 0.12, 2), top - 1, c, reach, BLOCK[sails], post)
        if masts == "one mast":
            _sail(blocks, mast - part(n, 0.26), deck + part(n, 0.2), top - 1, c, 0, BLOCK[sails], post, part(n, 0.26))
        top -= part(n, 0.12)


def _sail(blocks, x: int, low: int, high: int, z: int, reach: int, cloth: int, thick: int, behind: int = 0) -> None:
    """A triangle of cloth: `reach` blocks long at its foot before the mast, or `behind` blocks behind it."""
    for y in range(low, high):
        share = (high - y) / (high - low)
        long = max(1, round((reach or behind) * share))
        start = x if reach else x + behind - long
        box(blocks, start, y, z, (long, 1, thick), cloth)
