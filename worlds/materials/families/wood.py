"""Procedural surfaces. Of wood."""

from __future__ import annotations

import numpy as np

from terrarium.worlds.materials.families.layers import Colour, Layers, blend, pick
from terrarium.worlds.materials.noise import Tile, smoothstep


def _grain(tile: Tile, rings: int, *, along_u: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Wood's rings in [0, 1], dark at 1, and fine fibres, along v unless said otherwise."""
    stretch = 6.0 if along_u else 1 / 6.0
    across = tile.v if along_u else tile.u
    wave = across * rings + 0.45 * tile.noise(2, 2.0, stretch**0.5)
    saw = wave % 1
    return np.where(saw < 0.8, saw / 0.8, (1 - saw) / 0.2) ** 2, tile.noise(24, 0.5, stretch)


def planks(tile: Tile, rng: np.random.Generator) -> Layers:
    count = int(rng.integers(4, 8))
    boards = tile.bricks(1 + int(rng.integers(0, 2)), count, gap=0.03, offset=0.5)
    rings, fibre = _grain(tile, count * int(rng.integers(3, 6)), along_u=True)
    body = smoothstep(0.0, 0.04, boards.nearest)
    tone = pick(rng, (0.55, 0.37, 0.22), (0.42, 0.27, 0.16), (0.66, 0.5, 0.33), (0.5, 0.45, 0.4))
    light = 0.78 + 0.4 * boards.value - 0.16 * rings + 0.05 * fibre
    varnish = rng.uniform(0.3, 0.75)
    return Layers(
        height=body * (1 + 0.2 * boards.value) - 0.06 * rings + 0.02 * fibre,
        albedo=blend((0.1, 0.07, 0.05), tone * light[..., None], 0.1 + 0.9 * body),
        roughness=varnish + 0.1 * rings + 0.03 * fibre + 0.2 * (1 - body),
        relief=rng.uniform(0.008, 0.016),
        kind="wood",
    )


def veneer(tile: Tile, rng: np.random.Generator) -> Layers:
    rings, fibre = _grain(tile, int(rng.integers(6, 14)))
    tone = pick(rng, (0.48, 0.29, 0.16), (0.62, 0.43, 0.25), (0.3, 0.18, 0.12), (0.72, 0.56, 0.38))
    pores = smoothstep(1.3, 2.2, tile.noise(40, 0.3, 1 / 4))
    return Layers(
        height=-0.4 * rings - 0.6 * pores + 0.1 * fibre,
        albedo=tone * (1.05 - 0.3 * rings + 0.05 * fibre - 0.25 * pores)[..., None],
        roughness=rng.uniform(0.25, 0.6) + 0.08 * rings + 0.15 * pores,
        relief=rng.uniform(0.002, 0.005),
        kind="wood",
    )


def bark(tile: Tile, rng: np.random.Generator) -> Layers:
    bend = 0.014 * tile.noise(3, 2.4, 1 / 1.5)
    plates = tile.cells(int(rng.integers(5, 8)), 0.95, bend, 0.06 * tile.noise(2, 2.4))
    furrow = smoothstep(0.28, 0.02, plates.second - plates.nearest)
    ridges, fibre = tile.noise(6, 1.4, 1 / 3), tile.noise(20, 0.9, 1 / 3)
    tone = pick(rng, (0.36, 0.27, 0.2), (0.42, 0.37, 0.31), (0.3, 0.24, 0.19))
    light = 1.0 + 0.12 * ridges + 0.1 * fibre + 0.3 * (plates.value - 0.5) - 0.6 * furrow
    return Layers(
        height=1.2 - furrow + 0.18 * ridges + 0.07 * fibre,
        albedo=tone * np.clip(light, 0.25, 2)[..., None],
        roughness=0.9 + 0.05 * furrow,
        relief=rng.uniform(0.05, 0.08),
        kind="wood",
    )


METALS: tuple[Colour, ...] = ((0.77, 0.78, 0.78), (0.91, 0.92, 0.92), (0.95, 0.79, 0.6), (0.98, 0.86, 0.6))
