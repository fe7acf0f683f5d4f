"""Procedural surfaces. Of what one walks on."""

from __future__ import annotations

import numpy as np

from terrarium.worlds.materials.families.layers import Layers, blend, pick
from terrarium.worlds.materials.noise import Tile, smoothstep


def soil(tile: Tile, rng: np.random.Generator) -> Layers:
    base, lumps, crumbs = tile.noise(2.5, 1.6), tile.noise(9, 1.2), tile.noise(30, 0.6)
    stones = tile.cells(int(rng.integers(9, 14)), 0.9)
    pebble = smoothstep(0.34, 0.22, stones.nearest) * (stones.value < rng.uniform(0.15, 0.4))
    damp = smoothstep(0.1, 1.0, -base - rng.uniform(0.2, 1.0))
    tone = pick(rng, (0.34, 0.25, 0.17), (0.42, 0.33, 0.23), (0.27, 0.21, 0.16), (0.5, 0.36, 0.24))
    earth = tone * (1 + 0.12 * lumps + 0.14 * crumbs - 0.4 * damp)[..., None]
    grey = pick(rng, (0.5, 0.48, 0.44), (0.42, 0.38, 0.34)) * (0.75 + 0.8 * stones.value)[..., None]
    return Layers(
        height=0.3 * base + 0.22 * lumps + 0.13 * crumbs * (1 - pebble) + 1.0 * pebble * (1 - 2 * stones.nearest),
        albedo=blend(earth, grey, pebble),
        roughness=0.95 - 0.35 * damp - 0.15 * pebble,
        relief=rng.uniform(0.035, 0.06),
        kind="ground",
        others=[(pebble > 0.5, "stone")],
    )


def gravel(tile: Tile, rng: np.random.Generator) -> Layers:
    count = int(rng.integers(11, 18))
    small, large = tile.cells(2 * count, 0.95), tile.cells(count, 0.95)
    dome = np.sqrt(np.clip(1 - (large.nearest / 0.62) ** 2, 0, 1)) * (large.value > 0.25)
    bed = 0.55 * np.sqrt(np.clip(1 - (small.nearest / 0.7) ** 2, 0, 1))
    top = dome > bed
    value = np.where(top, large.value, small.value)
    speckle = tile.noise(50, 0.5)
    cool = pick(rng, (0.5, 0.49, 0.47), (0.45, 0.42, 0.38), (0.58, 0.55, 0.5))
    warm = pick(rng, (0.55, 0.45, 0.35), (0.38, 0.36, 0.36))
    depth = np.maximum(dome, bed)
    return Layers(
        height=depth + 0.02 * speckle,
        albedo=blend(cool, warm, (value * 7.3) % 1) * ((0.5 + 0.7 * value) * (0.45 + 0.6 * depth))[..., None]
        + 0.02 * speckle[..., None],
        roughness=0.8 - 0.12 * depth + 0.03 * speckle,
        relief=rng.uniform(0.03, 0.05),
        kind="stone",
    )


def sand(tile: Tile, rng: np.random.Generator) -> Layers:
    count = int(rng.integers(5, 10))
    phase = tile.v * count + 0.35 * tile.noise(1.5, 2.2)
    saw = phase - np.floor(phase)
    ripple = np.where(saw < 0.7, saw / 0.7, (1 - saw) / 0.3)
    ripple = ripple * ripple * (3 - 2 * ripple)
    grains, drift = tile.noise(60, 0.2), tile.noise(2, 1.8)
    tone = pick(rng, (0.76, 0.64, 0.46), (0.82, 0.73, 0.57), (0.66, 0.5, 0.34))
    return Layers(
        height=ripple + 0.25 * drift + 0.03 * grains,
        albedo=tone * (0.94 + 0.07 * ripple + 0.05 * grains)[..., None],
        roughness=0.93 + 0.03 * grains,
        relief=0.12 / count,
        kind="ground",
    )


def asphalt(tile: Tile, rng: np.random.Generator) -> Layers:
    stones = tile.cells(int(rng.integers(26, 36)), 0.95)
    chip = smoothstep(0.5, 0.3, stones.nearest) * (stones.value < 0.75)
    binder, wear = tile.noise(30, 0.6), tile.noise(2, 1.5)
    grey = 0.2 + 0.35 * stones.value + 0.04 * wear
    tar = pick(rng, (0.13, 0.13, 0.14), (0.2, 0.2, 0.2), spread=0.03) * (1 + 0.1 * binder)[..., None]
    return Layers(
        height=chip * (0.6 + 0.3 * stones.value) + 0.1 * binder + 0.1 * wear,
        albedo=blend(tar, np.stack([grey, grey * 0.99, grey * 0.96], axis=-1), 0.8 * chip),
        roughness=0.86 - 0.1 * chip + 0.04 * binder,
        relief=rng.uniform(0.008, 0.014),
        kind="ground",
    )
