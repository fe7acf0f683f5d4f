"""Endless materials: families of procedural surfaces that repeat, each a function of a seed.

A family lays a height field, colours, roughness and metalness on a tile; normals and ambient occlusion follow from the
height. The same seed gives the same material at every size from 16 to 2,048 pixels, with the detail that fits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from terrarium.worlds.materials.maps import Material, normals_of
from terrarium.worlds.materials.noise import Tile, blurred, smoothstep, stretched

SIZES = (16, 2048)
CLASSES = ("masonry", "stone", "wood", "metal", "rust", "paint", "fabric", "leather", "ground", "ceramic", "polymer")
Colour = tuple[float, float, float]  # sRGB


@dataclass(eq=False)
class Layers:
    """What a family makes: `height` [N, N] in any unit, `albedo` [N, N, 3] in sRGB, `roughness` and `metallic` [N, N]
    or one number, `relief` in widths of the tile from the lowest to the highest, a class for all or each pixel."""

    height: np.ndarray
    albedo: np.ndarray
    roughness: np.ndarray | float
    relief: float
    kind: str
    metallic: np.ndarray | float = 0.0
    others: list[tuple[np.ndarray, str]] = field(default_factory=list)  # (where, class)


def material(family: str, seed: int, size: int) -> Material:
    """ValueError for a family or a size that there is not."""
    if family not in FAMILIES:
        raise ValueError(f"family {family!r}: expected one of {', '.join(FAMILIES)}")
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size {size}: expected {SIZES[0]} to {SIZES[1]} pixels")
    tile = Tile(size, seed * len(FAMILIES) + list(FAMILIES).index(family))
    made = FAMILIES[family](tile, tile.rng())
    height = stretched(made.height).astype(np.float32)
    flat = [np.broadcast_to(np.clip(x, 0, 1), height.shape) for x in (made.roughness, made.metallic)]
    maps = [np.clip(made.albedo, 0, 1).transpose(2, 0, 1), *(x[None] for x in flat), normals_of(height, made.relief)]
    classes = np.full(height.shape, CLASSES.index(made.kind), np.uint8)
    for where, name in made.others:
        classes[where] = CLASSES.index(name)
    return Material(
        f"{family}-{seed}",
        np.concatenate(maps).astype(np.float32),
        occlusion(height, made.relief),
        height,
        classes,
        made.relief,
    )


def occlusion(height: np.ndarray, relief: float) -> np.ndarray:
    """Ambient occlusion from how far a point lies below its surroundings, near and far; 1 on a plane."""
    found = np.ones_like(height)
    for radius in (0.01, 0.03, 0.08):
        found -= 0.35 * np.clip((blurred(height, radius) - height) * relief / radius, 0, 1)
    return np.clip(found, 0, 1).astype(np.float32)


def blend(a: np.ndarray | Colour, b: np.ndarray | Colour, share: np.ndarray) -> np.ndarray:
    """Colours, `share` [N, N] of the second."""
    return np.asarray(a, np.float32) * (1 - share[..., None]) + np.asarray(b, np.float32) * share[..., None]


def pick(rng: np.random.Generator, *colours: Colour, spread: float = 0.06) -> np.ndarray:
    """One of the colours, a little lighter or darker and of a little other hue."""
    chosen = np.array(colours[rng.integers(len(colours))])
    return np.clip(chosen * rng.uniform(1 - 2 * spread, 1 + 2 * spread) + rng.normal(0, spread / 5, 3), 0.02, 0.98)


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


Family = Callable[[Tile, np.random.Generator], Layers]
FAMILIES: dict[str, Family] = {  # the order is part of every seed: add at the end
    made.__name__: made
    for made in (
        *(brick, cobble, rock, planks, veneer, bark, brushed_metal, hammered_metal, tread_plate, rusted_metal),
        *(painted_metal, woven, knitted, leather, soil, gravel, sand, ceramic_tiles, roof_tiles, marble, concrete),
        *(terrazzo, carbon_fibre, asphalt),
    )
}
