"""Block worlds from a seed: rolling ground, a rim of cliffs that closes the horizon, something to see nearby.

`generate(kind, seed)` is deterministic. A world is 64 x 24 x 64; most cells of a jittered 8 x 8 lattice hold
a tree or a landmark, so that objects stand 4 to 15 blocks from nearly anywhere.

A world that exists is frozen: seeds stand in datasets, recordings and published figures. `SALTS`, `MIXED` and the
`things` of a biome are drawn from by index, so what stands there never changes: a new terrain is a new row in
`BIOMES` and in `SALTS`, a new mixture a tuple of its own. tests/worlds/blocks/test_frozen.py holds hashes of worlds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from terrarium.worlds.blocks import landmarks as lm
from terrarium.worlds.blocks.palette import ID
from terrarium.worlds.blocks.settlement import settle

SIZE = (64, 24, 64)
SALTS = {"mixed": 0, "plains": 1, "desert": 2, "forest": 3, "lake": 4, "hills": 5}  # seed a kind's worlds; never reused
KINDS = tuple(SALTS)
MIXED = ("plains", "desert", "forest", "lake", "hills")  # what `mixed` chooses four of, by index
CELL = 8  # lattice of objects, in blocks
RIM = 3  # width of the cliffs at the border
WATER_LEVEL = 5  # the height of the ground's highest block, where it is water


@dataclass(frozen=True)
class Biome:
    """Ground height is `base` plus up to `amplitude` either way; `things` are weighted by repetition."""

    base: float
    amplitude: float
    ground: str
    below: str
    cliff: str
    density: float
    things: tuple[lm.Landmark, ...]


BIOMES: dict[str, Biome] = {
    "plains": Biome(
        6.0, 1.2, "Grass", "Dirt", "Stone", 0.85,
        (lm.tree, lm.tree, lm.tower, lm.pillar, lm.hut, lm.arch, lm.wall, lm.cube, lm.rock),
    ),
    "desert": Biome(
        6.0, 1.6, "Sand", "Sand", "Brick", 0.85,
        (lm.cactus, lm.cactus, lm.pyramid, lm.tower, lm.pillar, lm.rock, lm.cube, lm.arch, lm.wall),
    ),
    "forest": Biome(
        6.5, 1.6, "Grass", "Dirt", "Stone", 1.0,
        (lm.tree, lm.tree, lm.tree, lm.pine, lm.pine, lm.pine, lm.tower, lm.pillar, lm.hut, lm.cube),
    ),
    "lake": Biome(
        5.3, 1.8, "Grass", "Dirt", "Stone", 0.8,
        (lm.tree, lm.tree, lm.pine, lm.tower, lm.arch, lm.pillar, lm.hut, lm.cube),
    ),
    "hills": Biome(
        8.0, 4.2, "Grass", "Dirt", "Stone", 0.85,
        (lm.pine, lm.pine, lm.tree, lm.tower, lm.pillar, lm.rock, lm.cube, lm.arch, lm.wall),
    ),
}  # fmt: skip
SNOW_LINE = 10  # ground above it is snow


def _noise(rng: np.random.Generator, period: int) -> np.ndarray:
    """Smooth value noise in [-1, 1], float64 [X, Z], from a random lattice `period` blocks apart."""
    nx, nz = SIZE[0], SIZE[2]
    lattice = rng.uniform(-1, 1, (nx // period + 2, nz // period + 2))
    x, z = np.arange(nx) / period, np.arange(nz) / period
    i, j = x.astype(int), z.astype(int)
    u, v = x - i, z - j
    u, v = (u * u * (3 - 2 * u))[:, None], (v * v * (3 - 2 * v))[None, :]
    low = lattice[i][:, j] * (1 - u) + lattice[i + 1][:, j] * u
    high = lattice[i][:, j + 1] * (1 - u) + lattice[i + 1][:, j + 1] * u
    return low * (1 - v) + high * v


def _biome_weights(kind: str, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Biome names and their share of every column, float64 [N, X, Z], summing to 1."""
    if kind != "mixed":
        return [kind], np.ones((1, SIZE[0], SIZE[2]))
    names = [str(name) for name in rng.choice(MIXED, 4, replace=False)]
    # one middle a quarter of the map, jittered: every mixed world has borders near its centre
    middles = np.array([[16, 16], [48, 16], [16, 48], [48, 48]]) + rng.integers(-10, 11, (4, 2))
    x, z = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[2]), indexing="ij")
    distance = np.stack([np.hypot(x - mx, z - mz) for mx, mz in middles])
    weights = np.exp(-distance / 2.5 + distance.min(0) / 2.5)
    return names, weights / weights.sum(0)


def _heights(biomes: list[Biome], weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Height of the highest ground block, int [X, Z]."""
    shape = 0.7 * _noise(rng, 16) + 0.3 * _noise(rng, 8)
    base = np.einsum("n,nxz->xz", [b.base for b in biomes], weights)
    amplitude = np.einsum("n,nxz->xz", [b.amplitude for b in biomes], weights)
    height = base + amplitude * 1.5 * shape
    x, z = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[2]), indexing="ij")
    inward = np.minimum(np.minimum(x, SIZE[0] - 1 - x), np.minimum(z, SIZE[2] - 1 - z))
    wobble = _noise(rng, 8)
    rim = inward < RIM + 1.2 * wobble
    height = np.where(rim, np.maximum(height, 6) + 5 + np.round(2.2 * _noise(rng, 8)), height)
    return np.clip(np.round(height), 3, SIZE[1] - 8).astype(int)


def _ground(biomes: list[Biome], dominant: np.ndarray, height: np.ndarray, wet: bool) -> np.ndarray:
    """Blocks of the ground alone, uint8 [X, Y, Z]."""
    top = np.array([ID[b.ground] for b in biomes])[dominant]
    below = np.array([ID[b.below] for b in biomes])[dominant]
    cliff = np.array([ID[b.cliff] for b in biomes])[dominant]
    top = np.where((height > SNOW_LINE) & (top == ID["Grass"]), ID["Snow"], top)
    below = np.where(height > SNOW_LINE, cliff, below)
    if wet:
        top = np.where(height <= WATER_LEVEL + 1, ID["Sand"], top)
    y = np.arange(SIZE[1])[None, :, None]
    h = height[:, None, :]
    blocks = np.where(y < h - 2, cliff[:, None, :], np.where(y < h, below[:, None, :], top[:, None, :]))
    blocks = np.where(y > h, 0, blocks)
    if wet:
        blocks = np.where((y > h) & (y <= WATER_LEVEL), ID["Water"], blocks)
    return np.ascontiguousarray(blocks.astype(np.uint8))


def _furnish(blocks, biomes, dominant, height, rng) -> None:
    """Put one thing in most cells of the lattice, on the highest ground under its middle."""
    for cx in range(RIM + 2, SIZE[0] - RIM - CELL + 2, CELL):
        for cz in range(RIM + 2, SIZE[2] - RIM - CELL + 2, CELL):
            x, z = cx + int(rng.integers(1, CELL - 2)), cz + int(rng.integers(1, CELL - 2))
            biome = biomes[dominant[x, z]]
            if rng.random() > biome.density:
                continue
            thing = biome.things[int(rng.integers(len(biome.things)))]
            if blocks[x, WATER_LEVEL, z] == ID["Water"]:
                thing = (lm.pillar, lm.tower, lm.arch, lm.cube)[int(rng.integers(4))]
                thing(blocks, x, WATER_LEVEL + 1, z, rng)
                continue
            thing(blocks, x, int(height[x - 1 : x + 2, z - 1 : z + 2].min()) + 1, z, rng)


@lru_cache(maxsize=8)
def generate(kind: str, seed: int, structures: int = 0) -> np.ndarray:
    """The world of a seed, uint8 [X, Y, Z]; shared and read-only. `structures`: so many houses, castles and the like
    (worlds/blocks/settlement.py) in the place of what stood there, fewer where no room is left."""
    if kind not in SALTS:
        raise ValueError(f"unknown terrain {kind!r}: expected one of {', '.join(SALTS)}")
    rng = np.random.default_rng([SALTS[kind], seed])
    names, weights = _biome_weights(kind, rng)
    biomes = [BIOMES[name] for name in names]
    dominant = weights.argmax(0)
    height = _heights(biomes, weights, rng)
    blocks = _ground(biomes, dominant, height, wet="lake" in names)
    _furnish(blocks, biomes, dominant, height, rng)
    if structures:
        settle(blocks, height, (SALTS[kind], seed), structures, RIM + 2, WATER_LEVEL)
    blocks.flags.writeable = False
    return blocks
