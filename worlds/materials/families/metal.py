"""Procedural surfaces. Of metal: bare, rusted, painted."""

from __future__ import annotations

import numpy as np

from terrarium.worlds.materials.families.layers import Colour, Layers, blend, pick
from terrarium.worlds.materials.noise import Tile, smoothstep

METALS: tuple[Colour, ...] = ((0.77, 0.78, 0.78), (0.91, 0.92, 0.92), (0.95, 0.79, 0.6), (0.98, 0.86, 0.6))


def brushed_metal(tile: Tile, rng: np.random.Generator) -> Layers:
    lines, wear = tile.noise(50, 0.2, 8.0), tile.noise(2, 1.6)
    tone = pick(rng, *METALS, spread=0.02)
    return Layers(
        height=lines,
        albedo=tone * (0.94 + 0.025 * lines + 0.02 * wear)[..., None],
        roughness=rng.uniform(0.25, 0.45) + 0.03 * lines + 0.04 * wear,
        metallic=1.0,
        relief=rng.uniform(0.002, 0.004),
        kind="metal",
    )


def hammered_metal(tile: Tile, rng: np.random.Generator) -> Layers:
    dents = tile.cells(int(rng.integers(8, 14)), 0.85)
    wear = tile.noise(3, 1.5)
    tone = pick(rng, *METALS, (0.72, 0.45, 0.3), spread=0.02)
    return Layers(
        height=np.minimum(dents.nearest, 0.8) ** 2,
        albedo=tone * (0.93 + 0.03 * wear - 0.1 * smoothstep(0.4, 0.8, dents.nearest))[..., None],
        roughness=rng.uniform(0.18, 0.35) + 0.04 * wear,
        metallic=1.0,
        relief=rng.uniform(0.012, 0.022),
        kind="metal",
    )


def tread_plate(tile: Tile, rng: np.random.Generator) -> Layers:
    """Steel with raised lozenges, in two directions by turns."""
    count = 2 * int(rng.integers(3, 5))
    x, y = tile.u * count, tile.v * count
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    x, y = x - column - 0.5, y - row - 0.5
    sign = np.where((row + column) % 2 == 0, 1.0, -1.0)
    along, across = (x + sign * y) / 2**0.5, (x - sign * y) / 2**0.5
    lug = smoothstep(1.0, 0.65, np.hypot(along / 0.5, across / 0.17))
    wear, scratch = tile.noise(3, 1.5), tile.noise(30, 0.6, 2.0)
    dirt = smoothstep(0.2, 1.6, tile.noise(3, 1.4)) * (1 - lug)
    tone = pick(rng, (0.6, 0.6, 0.6), (0.72, 0.73, 0.74), spread=0.03)
    return Layers(
        height=lug + 0.01 * scratch,
        albedo=blend(tone * (0.95 + 0.03 * wear + 0.06 * lug)[..., None], (0.3, 0.26, 0.21), 0.7 * dirt),
        roughness=0.42 + 0.05 * wear - 0.12 * lug + 0.3 * dirt,
        metallic=1 - 0.7 * dirt,
        relief=rng.uniform(0.012, 0.02),
        kind="metal",
    )


def rusted_metal(tile: Tile, rng: np.random.Generator) -> Layers:
    spread, grain = tile.noise(2.2, 1.5), tile.noise(18, 0.8)
    amount = rng.uniform(-0.6, 0.6)
    rust = smoothstep(-0.25, 0.25, spread + 0.25 * grain + amount)
    patches = tile.noise(5, 1.2)
    iron = pick(rng, (0.55, 0.54, 0.53), (0.45, 0.45, 0.46), spread=0.04) * (1 + 0.04 * grain)[..., None]
    brown = blend((0.28, 0.13, 0.07), (0.6, 0.3, 0.12), smoothstep(-1.2, 1.4, patches + 0.5 * grain))
    return Layers(
        height=0.5 * rust + 0.12 * rust * grain + 0.1 * rust * patches,
        albedo=blend(iron, brown, rust),
        roughness=0.4 + 0.48 * rust + 0.03 * grain,
        metallic=1 - rust,
        relief=rng.uniform(0.01, 0.02),
        kind="metal",
        others=[(rust > 0.5, "rust")],
    )


def painted_metal(tile: Tile, rng: np.random.Generator) -> Layers:
    """Paint that has come off in flakes; bare steel below."""
    spread, fine = tile.noise(3, 1.6), tile.noise(25, 0.8)
    bare = smoothstep(0.0, 0.12, spread + 0.15 * fine - rng.uniform(0.7, 1.6))
    tone = pick(rng, (0.15, 0.35, 0.55), (0.65, 0.14, 0.1), (0.8, 0.65, 0.15), (0.2, 0.42, 0.25), (0.85, 0.85, 0.82))
    steel = pick(rng, (0.56, 0.55, 0.54), spread=0.05) * (1 + 0.05 * fine)[..., None]
    fade = tile.noise(2, 1.5)
    return Layers(
        height=1 - bare + 0.03 * tile.noise(12, 1.5),
        albedo=blend(tone * (1 + 0.05 * fade)[..., None], steel, bare),
        roughness=rng.uniform(0.25, 0.55) * (1 - bare) + 0.45 * bare + 0.03 * fade,
        metallic=bare,
        relief=rng.uniform(0.004, 0.008),
        kind="paint",
        others=[(bare > 0.5, "metal")],
    )
