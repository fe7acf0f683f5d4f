"""Procedural surfaces. Of threads, skins and fibres."""

from __future__ import annotations

import numpy as np

from terrarium.worlds.materials.families.layers import Layers, pick
from terrarium.worlds.materials.noise import Tile, smoothstep


def woven(tile: Tile, rng: np.random.Generator) -> Layers:
    """Plain or twill weave of warp and weft."""
    count, twill = 2 * int(rng.integers(8, 14)), bool(rng.random() < 0.4)
    count = 4 * (count // 4)
    x = tile.u * count + 0.08 * tile.noise(4, 1.5)
    y = tile.v * count + 0.08 * tile.noise(4, 1.5)
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    x, y = x - column - 0.5, y - row - 0.5
    above = ((column - row) % 4 < 2) if twill else ((column + row) % 2 == 0)
    round_x, round_y = np.sqrt(np.clip(1 - (1.9 * x) ** 2, 0, 1)), np.sqrt(np.clip(1 - (1.9 * y) ** 2, 0, 1))
    lift = np.where(above, round_x * (0.55 + 0.45 * np.cos(np.pi * y)), round_y * (0.55 + 0.45 * np.cos(np.pi * x)))
    fuzz, fade = tile.noise(60, 0.4), tile.noise(2, 1.5)
    first = pick(rng, (0.2, 0.27, 0.42), (0.62, 0.55, 0.44), (0.5, 0.16, 0.16), (0.3, 0.34, 0.28), (0.75, 0.73, 0.7))
    second = first * rng.uniform(0.6, 1.3) if rng.random() < 0.6 else np.array([0.8, 0.78, 0.74])
    yarn = np.where(above[..., None], first, second)
    return Layers(
        height=lift + 0.05 * fuzz,
        albedo=yarn * (0.55 + 0.45 * lift + 0.06 * fuzz + 0.03 * fade)[..., None],
        roughness=0.88 + 0.04 * fuzz,
        relief=0.35 / count,
        kind="fabric",
    )


def knitted(tile: Tile, rng: np.random.Generator) -> Layers:
    """Stocking stitch: columns of V."""
    across, down = int(rng.integers(7, 12)), int(rng.integers(10, 16))
    x = tile.u * across + 0.04 * tile.noise(4, 1.5)
    x = x - np.floor(x)
    side = np.abs(x - 0.5) * 2
    y = tile.v * down + 0.85 * side + 0.05 * tile.noise(4, 1.5)
    y = y - np.floor(y) - 0.5
    yarn = np.sqrt(np.clip(1 - (2.1 * y) ** 2, 0, 1)) * np.sqrt(np.clip(1 - (1.7 * (side - 0.5)) ** 2, 0, 1))
    fuzz, twist = tile.noise(50, 0.5), np.cos(2 * np.pi * (4 * y + 3 * side))
    tone = pick(rng, (0.72, 0.68, 0.6), (0.45, 0.12, 0.14), (0.16, 0.25, 0.36), (0.4, 0.45, 0.35), (0.55, 0.5, 0.52))
    return Layers(
        height=yarn + 0.05 * twist * yarn + 0.05 * fuzz,
        albedo=tone * (0.5 + 0.5 * yarn + 0.04 * twist + 0.07 * fuzz)[..., None],
        roughness=0.93 + 0.03 * fuzz,
        relief=0.35 / across,
        kind="fabric",
    )


def leather(tile: Tile, rng: np.random.Generator) -> Layers:
    grain = tile.cells(int(rng.integers(18, 30)), 0.95, 0.006 * tile.noise(8, 1.5), 0.006 * tile.noise(8, 1.5))
    pebble = smoothstep(0.0, 0.35, grain.second - grain.nearest)
    crease = smoothstep(1.1, 2.2, np.abs(tile.noise(3, 1.8, 1.4)))
    fade = tile.noise(2, 1.6)
    tone = pick(rng, (0.33, 0.18, 0.1), (0.12, 0.1, 0.09), (0.48, 0.3, 0.18), (0.4, 0.12, 0.1), (0.62, 0.52, 0.42))
    return Layers(
        height=0.7 * pebble + 0.2 * grain.value - 0.5 * crease + 0.1 * fade,
        albedo=tone * (0.72 + 0.3 * pebble + 0.06 * fade - 0.12 * crease)[..., None],
        roughness=rng.uniform(0.38, 0.55) + 0.18 * (1 - pebble) + 0.04 * fade,
        relief=rng.uniform(0.006, 0.011),
        kind="leather",
    )


def carbon_fibre(tile: Tile, rng: np.random.Generator) -> Layers:
    """Twill of dark fibre tows under a clear resin."""
    count = 4 * int(rng.integers(3, 6))
    x, y = tile.u * count, tile.v * count
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    x, y = x - column - 0.5, y - row - 0.5
    above = (column - row) % 4 < 2
    fibre = np.where(above, tile.noise(60, 0.2, 1 / 8), tile.noise(60, 0.2, 8.0))
    lift = np.where(above, np.cos(np.pi * x), np.cos(np.pi * y))
    tone = pick(rng, (0.1, 0.1, 0.11), (0.16, 0.15, 0.15), spread=0.03)
    return Layers(
        height=lift + 0.04 * fibre,
        albedo=tone * (np.where(above, 1.25, 0.75) * (0.8 + 0.2 * lift) + 0.06 * fibre)[..., None],
        roughness=rng.uniform(0.12, 0.25) + 0.08 * (1 - lift),
        relief=0.1 / count,
        kind="polymer",
    )
