"""Block types: names, colours and patterns. Without NumPy, so that a gateway can check a map.

The first eight types are the map format's own palette; the rest are what a walk needs to find its way by:
wood, leaves, brick and coloured wool. Ids are stable: they stand in recorded states and in checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

# How a face is drawn (worlds/blocks/texture.py): large calm shapes, never noise.
PLAIN, CHECKER, BOARDS, BRICKS, STRIPES, INSET, TURF, RING, WAVES = range(9)

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class BlockType:
    """Linear RGB in [0, 1] of the top, bottom and side faces, and the pattern of the top and of the sides."""

    name: str
    top: Colour
    bottom: Colour
    side: Colour
    top_pattern: int = PLAIN
    side_pattern: int = PLAIN


def _wool(name: str, colour: Colour) -> BlockType:
    side: Colour = (colour[0] * 0.96, colour[1] * 0.96, colour[2] * 0.96)
    return BlockType(name, colour, side, side, INSET, INSET)


AIR = 0
BLOCKS: tuple[BlockType, ...] = (
    BlockType("Air", (0, 0, 0), (0, 0, 0), (0, 0, 0)),
    BlockType("Grass", (0.34, 0.68, 0.36), (0.40, 0.30, 0.16), (0.45, 0.58, 0.30), PLAIN, TURF),
    BlockType("Dirt", (0.42, 0.32, 0.20), (0.38, 0.26, 0.16), (0.40, 0.30, 0.18), CHECKER, CHECKER),
    BlockType("Stone", (0.58, 0.60, 0.64), (0.55, 0.57, 0.60), (0.56, 0.58, 0.62), CHECKER, CHECKER),
    BlockType("Plank", (0.78, 0.68, 0.50), (0.72, 0.60, 0.42), (0.74, 0.63, 0.45), BOARDS, BOARDS),
    BlockType("Snow", (0.92, 0.94, 0.96), (0.90, 0.92, 0.94), (0.88, 0.90, 0.93)),
    BlockType("Sand", (0.88, 0.82, 0.60), (0.86, 0.78, 0.56), (0.87, 0.80, 0.58), PLAIN, BOARDS),
    BlockType("Water", (0.22, 0.40, 0.66), (0.20, 0.34, 0.60), (0.20, 0.38, 0.64), WAVES, WAVES),
    BlockType("Log", (0.66, 0.50, 0.30), (0.66, 0.50, 0.30), (0.40, 0.27, 0.15), RING, STRIPES),
    BlockType("Leaves", (0.20, 0.52, 0.18), (0.12, 0.34, 0.12), (0.16, 0.44, 0.16), CHECKER, CHECKER),
    BlockType("Pine", (0.14, 0.40, 0.34), (0.08, 0.26, 0.22), (0.11, 0.34, 0.29), CHECKER, CHECKER),
    BlockType("Brick", (0.70, 0.36, 0.28), (0.60, 0.30, 0.24), (0.68, 0.34, 0.27), BRICKS, BRICKS),
    BlockType("Cactus", (0.40, 0.66, 0.26), (0.30, 0.46, 0.20), (0.30, 0.56, 0.22), RING, STRIPES),
    _wool("RedWool", (0.86, 0.20, 0.18)),
    _wool("OrangeWool", (0.96, 0.55, 0.14)),
    _wool("YellowWool", (0.97, 0.84, 0.22)),
    _wool("TealWool", (0.12, 0.66, 0.66)),
    _wool("BlueWool", (0.20, 0.30, 0.84)),
    _wool("PurpleWool", (0.56, 0.26, 0.74)),
    _wool("PinkWool", (0.94, 0.52, 0.70)),
)
NAMES = tuple(block.name for block in BLOCKS)
ID = {name: i for i, name in enumerate(NAMES)}
