"""Endless materials: families of procedural surfaces that repeat, each a function of a seed.

A family lays a height field, colours, roughness and metalness on a tile; normals and ambient occlusion follow from the
height. The same seed gives the same material at every size from 16 to 2,048 pixels, with the detail that fits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from terrarium.worlds.materials.families.cloth import carbon_fibre, knitted, leather, woven
from terrarium.worlds.materials.families.ground import asphalt, gravel, sand, soil
from terrarium.worlds.materials.families.layers import CLASSES, Layers
from terrarium.worlds.materials.families.masonry import (
    brick,
    ceramic_tiles,
    cobble,
    concrete,
    marble,
    rock,
    roof_tiles,
    terrazzo,
)
from terrarium.worlds.materials.families.metal import (
    brushed_metal,
    hammered_metal,
    painted_metal,
    rusted_metal,
    tread_plate,
)
from terrarium.worlds.materials.families.wood import bark, planks, veneer
from terrarium.worlds.materials.maps import Material, normals_of
from terrarium.worlds.materials.noise import Tile, blurred, stretched

SIZES = (16, 2048)

Family = Callable[[Tile, np.random.Generator], Layers]
FAMILIES: dict[str, Family] = {  # the order is part of every seed: add at the end
    made.__name__: made
    for made in (
        *(brick, cobble, rock, planks, veneer, bark, brushed_metal, hammered_metal, tread_plate, rusted_metal),
        *(painted_metal, woven, knitted, leather, soil, gravel, sand, ceramic_tiles, roof_tiles, marble, concrete),
        *(terrazzo, carbon_fibre, asphalt),
    )
}


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
