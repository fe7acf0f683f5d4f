"""The shapes that structures are built of, and the materials by the words that captions use for them.

A plot is blocks uint8 [n, height, n] with the ground at y = 0; a structure's front faces +z. Sizes are shares of n, so
one builder serves plots of 12 to 32 blocks. Only the seven materials of the map format occur: a voxel grid that learns
a structure knows no others.
"""

from __future__ import annotations

import numpy as np

from terrarium.worlds.blocks.landmarks import box
from terrarium.worlds.blocks.palette import ID

BLOCK = {
    "stone": ID["Stone"],
    "wooden": ID["Plank"],
    "sandstone": ID["Sand"],
    "mud": ID["Dirt"],
    "white": ID["Snow"],
    "thatched": ID["Dirt"],
    "turf": ID["Grass"],
    "snowy": ID["Snow"],
    "green": ID["Grass"],
    "autumn": ID["Sand"],
    "yellow": ID["Sand"],
    "brown": ID["Dirt"],
    "blue": ID["Water"],
    "grass": ID["Grass"],
    "sand": ID["Sand"],
    "snow": ID["Snow"],
    "water": ID["Water"],
}
GLASS, DOOR = ID["Water"], ID["Dirt"]
At = tuple[float, float]  # a column of the plot, (x, z)


def part(n: int, share: float, least: int = 1) -> int:
    """`share` of n in whole blocks, at least `least`."""
    return max(least, round(n * share))


def span(n: int, share: float) -> tuple[int, int]:
    """Start and width of a centred stretch of about `share` of n; its width is odd or even as n is."""
    width = part(n, share, 2)
    width -= (n - width) % 2
    return (n - width) // 2, width


def middle(blocks: np.ndarray) -> At:
    return (blocks.shape[0] - 1) / 2, (blocks.shape[2] - 1) / 2


def squared_distance(blocks: np.ndarray, at: At) -> np.ndarray:
    """Of each column's middle from that of `at`, float64 [n, n]; exact, for columns lie on halves."""
    x, z = np.arange(blocks.shape[0]) - at[0], np.arange(blocks.shape[2]) - at[1]
    return x[:, None] ** 2 + z[None, :] ** 2


def disc(blocks, y: int, height: int, radius: float, block: int, at: At | None = None, inner: float = 0.0) -> None:
    """A round slab from `y` up, `height` thick; with `inner` a ring."""
    square = squared_distance(blocks, at or middle(blocks))
    columns = (square < radius**2) & (square >= inner**2)
    layers = blocks[:, y : y + height]
    layers[np.broadcast_to(columns[:, None], layers.shape)] = block


def cone(blocks, y: int, radius: float, block: int, at: At | None = None, steep: int = 1) -> None:
    """A round pointed roof; each step inwards is `steep` blocks high."""
    while radius > 0.5:
        disc(blocks, y, steep, radius, block, at)
        y, radius = y + steep, radius - 1


def ball(blocks, centre: tuple[float, float, float], radii: tuple[float, float, float], block: int) -> None:
    """An ellipsoid."""
    axes = zip(np.ogrid[tuple(slice(side) for side in blocks.shape)], centre, radii, strict=True)
    blocks[sum(((grid - c) / r) ** 2 for grid, c, r in axes) < 1] = block


def hip(blocks, x: int, y: int, z: int, wide: int, deep: int, block: int, steep: int = 1) -> None:
    """A roof that slopes on all four sides; each step inwards is `steep` blocks high."""
    while wide > 0 and deep > 0:
        box(blocks, x, y, z, (wide, steep, deep), block)
        x, y, z, wide, deep = x + 1, y + steep, z + 1, wide - 2, deep - 2


def gable(
    blocks, x: int, y: int, z: int, wide: int, deep: int, roof: int, wall: int, along: str, tread: int = 1
) -> None:
    """A roof with its ridge along "x" or "z" that rises one block every `tread`.

    Its ends are of `wall`, set back under the eaves by one block.
    """
    turned = blocks if along == "z" else blocks.swapaxes(0, 2)
    if along == "x":
        x, z, wide, deep = z, x, deep, wide
    while wide > 0:
        box(turned, x, y, z, (min(tread, wide), 1, deep), roof)
        box(turned, x + wide - min(tread, wide), y, z, (min(tread, wide), 1, deep), roof)
        if wide > 2 * tread:
            box(turned, x + tread, y, z + 1, (wide - 2 * tread, 1, deep - 2), wall)
        x, y, wide = x + tread, y + 1, wide - 2 * tread


def battlements(blocks, x: int, y: int, z: int, wide: int, deep: int, block: int) -> None:
    """Merlons on every other block of a rectangle's border, the same from both corners of a side."""
    for i in range(wide):
        for k in range(deep):
            border = i in (0, wide - 1) or k in (0, deep - 1)
            if border and (min(i, wide - 1 - i) + min(k, deep - 1 - k)) % 2 == 0:
                box(blocks, x + i, y, z + k, (1, 1, 1), block)


def windows(blocks, x: int, y: int, z: int, wide: int, deep: int, every: int, tall: int = 1) -> None:
    """Panes in the four walls of a box, `every` so many blocks, mirrored about each wall's middle."""
    for i in range(every - 1, wide // 2, every):
        for column in (x + i, x + wide - 1 - i):
            box(blocks, column, y, z, (1, tall, 1), GLASS)
            box(blocks, column, y, z + deep - 1, (1, tall, 1), GLASS)
    for k in range(every - 1, deep // 2, every):
        for column in (z + k, z + deep - 1 - k):
            box(blocks, x, y, column, (1, tall, 1), GLASS)
            box(blocks, x + wide - 1, y, column, (1, tall, 1), GLASS)


def door(blocks, z: int, wall: int, tall: int, y: int = 1) -> None:
    """A door in the middle of the wall at `z`, of wood where the wall is as dark as a door."""
    x, wide = span(blocks.shape[0], 0.1)
    box(blocks, x, y, z, (wide, tall, 1), BLOCK["wooden"] if wall == DOOR else DOOR)
