"""Procedural surfaces. Of stone, brick and tile."""

from __future__ import annotations

import numpy as np

from terrarium.worlds.materials.families.layers import Colour, Layers, blend, pick
from terrarium.worlds.materials.noise import Tile, smoothstep


def brick(tile: Tile, rng: np.random.Generator) -> Layers:
    across = int(rng.integers(3, 6))
    bond = tile.bricks(across, 2 * across + int(rng.integers(0, 2)) * 2, gap=rng.uniform(0.1, 0.2), ragged=0.012)
    body = smoothstep(0.0, 0.1, bond.nearest)
    rough, speckle = tile.noise(4, 1.2), tile.noise(30, 0.8)
    tone = pick(rng, (0.55, 0.25, 0.18), (0.48, 0.22, 0.16), (0.62, 0.4, 0.28), (0.6, 0.52, 0.42))
    light = 0.8 + 0.4 * bond.value + 0.06 * rough + 0.05 * speckle
    mortar = pick(rng, (0.62, 0.6, 0.56), (0.5, 0.48, 0.45), (0.72, 0.7, 0.66)) * (1 + 0.06 * speckle)[..., None]
    return Layers(
        height=body * (0.8 + 0.12 * bond.value + 0.03 * rough) + 0.02 * speckle,
        albedo=blend(mortar, tone * light[..., None], body),
        roughness=0.92 - 0.14 * body + 0.03 * rough,
        relief=rng.uniform(0.015, 0.03),
        kind="masonry",
    )


def cobble(tile: Tile, rng: np.random.Generator) -> Layers:
    bend = 0.007 * tile.noise(4, 2.5)
    cells = tile.cells(int(rng.integers(5, 9)), 0.75, bend, 0.007 * tile.noise(4, 2.5))
    edge = cells.second - cells.nearest
    stone = smoothstep(0.04, 0.22, edge)
    grain, speckle = tile.noise(6, 1.3), tile.noise(40, 0.7)
    tone = pick(rng, (0.45, 0.44, 0.42), (0.5, 0.46, 0.4), (0.36, 0.38, 0.4))
    worn = rng.uniform(0.45, 0.7)
    light = 0.75 + 0.5 * cells.value + 0.07 * grain + 0.05 * speckle
    joint = pick(rng, (0.25, 0.22, 0.17), (0.32, 0.3, 0.26), (0.2, 0.24, 0.12)) * (1 + 0.1 * speckle)[..., None]
    return Layers(
        height=np.sqrt(np.clip(edge, 0, 0.7)) * stone + 0.1 * cells.value * stone + 0.02 * grain,
        albedo=blend(joint, tone * light[..., None], stone),
        roughness=0.95 - (0.95 - worn) * stone + 0.05 * grain,
        relief=rng.uniform(0.03, 0.05),
        kind="stone",
        others=[(stone < 0.5, "ground")],
    )


def rock(tile: Tile, rng: np.random.Generator) -> Layers:
    base, crag = tile.noise(2.5, 1.9), tile.noise(5, 1.6)
    facets = tile.cells(int(rng.integers(4, 8)), 0.95, 0.03 * crag, 0.03 * base)
    height = 0.5 * base + 0.25 * np.abs(crag) + 1.2 * facets.nearest + 0.4 * facets.value
    cracks = smoothstep(0.07, 0.0, facets.second - facets.nearest)
    speckle = tile.noise(30, 0.6)
    tone = pick(rng, (0.46, 0.44, 0.42), (0.52, 0.45, 0.38), (0.36, 0.36, 0.38), (0.56, 0.53, 0.47))
    light = 0.95 + 0.1 * base + 0.08 * speckle + 0.15 * (facets.value - 0.5) - 0.35 * cracks
    return Layers(
        height=height - 0.6 * cracks + 0.03 * speckle,
        albedo=tone * light[..., None],
        roughness=0.82 + 0.05 * speckle + 0.08 * cracks,
        relief=rng.uniform(0.05, 0.09),
        kind="stone",
    )


def ceramic_tiles(tile: Tile, rng: np.random.Generator) -> Layers:
    count = int(rng.integers(3, 7))
    square = tile.bricks(count, count, gap=0.05, offset=0.0)
    body = smoothstep(0.0, 0.05, square.nearest)
    even = np.floor(tile.u * count) + np.floor(tile.v * count)
    first = pick(rng, (0.88, 0.87, 0.83), (0.2, 0.38, 0.45), (0.75, 0.72, 0.6), (0.36, 0.5, 0.42))
    second = first if rng.random() < 0.5 or count % 2 else pick(rng, (0.12, 0.13, 0.15), (0.55, 0.3, 0.22))
    glaze = blend(first, second, (even % 2).astype(np.float32)) * (0.93 + 0.1 * square.value)[..., None]
    grout = pick(rng, (0.55, 0.53, 0.5), (0.3, 0.29, 0.28)) * (1 + 0.06 * tile.noise(40, 0.6))[..., None]
    wave = tile.noise(5, 2.0)
    return Layers(
        height=smoothstep(0.0, 0.12, square.nearest) + 0.03 * square.value * body + 0.012 * wave,
        albedo=blend(grout, glaze, body),
        roughness=0.85 - body * (0.85 - rng.uniform(0.08, 0.3)),
        relief=rng.uniform(0.006, 0.012),
        kind="ceramic",
        others=[(body < 0.5, "masonry")],
    )


def roof_tiles(tile: Tile, rng: np.random.Generator) -> Layers:
    """Round-ended clay tiles, each row over the one below."""
    across, down = int(rng.integers(4, 7)), 2 * int(rng.integers(3, 5))
    best = np.full_like(tile.u, -1.0)
    value, shade = np.zeros_like(best), np.ones_like(best)
    values = rng.random((down, across), dtype=np.float32)
    rows = np.floor(tile.v * down).astype(int)
    for back in (0, 1):
        row = rows - back
        x = tile.u * across + 0.5 * (row % 2)
        column = np.floor(x).astype(int)
        x, y = x - column - 0.5, tile.v * down - row  # y from the upper edge, in rows; a tile is up to 1.6 of them long
        end = 1.05 + 0.5 * np.sqrt(np.clip(1 - (2 * x) ** 2, 0, 1))
        there = (y < end) & (np.abs(x) < 0.485)
        height = 0.25 + 0.5 * y + 0.12 * np.cos(np.pi * x)
        over = there & (height > best)
        best = np.where(over, height, best)
        value = np.where(over, values[row % down, column % across], value)
        shade = np.where(over, smoothstep(0.0, 0.06, end - y), shade)
    best = np.maximum(best, 0.0)
    weather, speckle = tile.noise(3, 1.4), tile.noise(40, 0.6)
    tone = pick(rng, (0.62, 0.3, 0.2), (0.55, 0.27, 0.2), (0.4, 0.28, 0.25), (0.32, 0.34, 0.37))
    light = (0.72 + 0.45 * value + 0.06 * weather + 0.05 * speckle) * (0.8 + 0.2 * shade) * np.clip(best * 4, 0.25, 1)
    return Layers(
        height=best + 0.008 * speckle,
        albedo=tone * light[..., None],
        roughness=0.8 + 0.05 * weather,
        relief=rng.uniform(0.04, 0.06),
        kind="ceramic",
    )


def marble(tile: Tile, rng: np.random.Generator) -> Layers:
    swirl, cloud = tile.noise(2, 1.7), tile.noise(3, 1.5)
    veins = smoothstep(0.22, 0.0, np.abs(swirl + 0.2 * cloud)) + 0.5 * smoothstep(0.1, 0.0, np.abs(tile.noise(4, 1.7)))
    pale = pick(rng, (0.9, 0.89, 0.86), (0.85, 0.8, 0.72), (0.13, 0.15, 0.15), (0.2, 0.3, 0.25))
    vein = pick(rng, (0.5, 0.5, 0.52), (0.55, 0.45, 0.33)) if pale.mean() > 0.5 else np.array([0.75, 0.74, 0.7])
    return Layers(
        height=-0.3 * np.clip(veins, 0, 1) + 0.1 * cloud,
        albedo=blend(pale * (1 + 0.04 * cloud)[..., None], vein, np.clip(0.75 * veins, 0, 1)),
        roughness=rng.uniform(0.08, 0.35) + 0.06 * np.clip(veins, 0, 1),
        relief=0.0015,
        kind="stone",
    )


def concrete(tile: Tile, rng: np.random.Generator) -> Layers:
    cloud, grain = tile.noise(2, 1.4), tile.noise(30, 0.7)
    pits = tile.cells(int(rng.integers(14, 22)), 0.95)
    hole = smoothstep(0.2, 0.1, pits.nearest) * (pits.value < 0.16)
    bend = tile.noise(4, 1.6)
    crack = smoothstep(0.02, 0.0, np.abs(tile.noise(1.6, 2.0) + 0.12 * bend)) * (rng.random() < 0.5)
    tone = pick(rng, (0.56, 0.55, 0.53), (0.48, 0.48, 0.48), (0.63, 0.61, 0.56))
    return Layers(
        height=0.15 * cloud + 0.07 * grain - 0.9 * hole - 0.8 * crack,
        albedo=tone * (1 + 0.07 * cloud + 0.04 * grain - 0.35 * hole - 0.4 * crack)[..., None],
        roughness=0.86 + 0.04 * cloud + 0.03 * grain,
        relief=rng.uniform(0.01, 0.016),
        kind="masonry",
    )


def terrazzo(tile: Tile, rng: np.random.Generator) -> Layers:
    count = int(rng.integers(10, 16))
    albedo = np.broadcast_to(pick(rng, (0.85, 0.83, 0.79), (0.72, 0.7, 0.67), (0.22, 0.22, 0.24)), (*tile.u.shape, 3))
    chips = np.zeros_like(tile.u)
    stones: tuple[Colour, ...] = ((0.55, 0.3, 0.22), (0.2, 0.2, 0.22), (0.66, 0.55, 0.35), (0.4, 0.45, 0.42))
    for finer in (1, 2):
        cells = tile.cells(count * finer, 0.9, 0.003 * tile.noise(12, 2), 0.003 * tile.noise(12, 2))
        chip = smoothstep(0.1, 0.16, cells.second - cells.nearest) * (cells.value < 0.45) * (cells.nearest < 0.5)
        kind = np.floor(cells.value * 97) % len(stones)
        albedo = blend(albedo, np.array(stones)[kind.astype(int)] * (0.85 + 0.6 * cells.value)[..., None], chip)
        chips = np.maximum(chips, chip)
    polish = rng.uniform(0.12, 0.35)
    return Layers(
        height=chips + 0.1 * tile.noise(8, 1.2),
        albedo=albedo,
        roughness=polish + 0.12 * (1 - chips),
        relief=0.0015,
        kind="stone",
    )
