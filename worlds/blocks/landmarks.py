"""What stands on the ground: trees, rocks and coloured landmarks.

Each function writes into blocks uint8 [X, Y, Z] around (x, z), from `y` (the first free height) up, and
takes its choices from `rng`. Writes beyond the map are cut off.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from terrarium.worlds.blocks.palette import AIR, ID

# Drawn by index: another colour here would repaint the towers of every world. A new landmark brings its own tuple.
WOOLS = tuple(ID[f"{c}Wool"] for c in ("Red", "Orange", "Yellow", "Teal", "Blue", "Purple", "Pink"))
Landmark = Callable[[np.ndarray, int, int, int, np.random.Generator], None]


def box(blocks, x, y, z, size, block, hollow=False) -> None:
    """Fill the box of `size` (sx, sy, sz) whose lowest corner is (x, y, z); `hollow` empties its inside."""
    sx, sy, sz = size
    blocks[max(x, 0) : max(x + sx, 0), max(y, 0) : max(y + sy, 0), max(z, 0) : max(z + sz, 0)] = block
    if hollow:
        box(blocks, x + 1, y, z + 1, (sx - 2, sy - 1, sz - 2), AIR)


def _wools(rng, n) -> list[int]:
    return [WOOLS[i] for i in rng.permutation(len(WOOLS))[:n]]


def tree(blocks, x, y, z, rng) -> None:
    """A round tree."""
    trunk = int(rng.integers(2, 5))
    box(blocks, x - 1, y + trunk, z - 1, (3, 3, 3), ID["Leaves"])
    box(blocks, x - 2, y + trunk, z - 1, (5, 2, 3), ID["Leaves"])
    box(blocks, x - 1, y + trunk, z - 2, (3, 2, 5), ID["Leaves"])
    box(blocks, x, y, z, (1, trunk + 1, 1), ID["Log"])


def pine(blocks, x, y, z, rng) -> None:
    """A tall tree in tiers, sometimes under snow."""
    tiers = int(rng.integers(2, 4))
    snow = rng.random() < 0.3
    for k in range(tiers):
        box(blocks, x - 2, y + 1 + 2 * k, z - 1, (5, 1, 3), ID["Pine"])
        box(blocks, x - 1, y + 1 + 2 * k, z - 2, (3, 1, 5), ID["Pine"])
        box(blocks, x - 1, y + 2 + 2 * k, z, (3, 1, 1), ID["Pine"])
        box(blocks, x, y + 2 + 2 * k, z - 1, (1, 1, 3), ID["Pine"])
    box(blocks, x, y + 2 * tiers + 1, z, (1, 1, 1), ID["Snow"] if snow else ID["Pine"])
    box(blocks, x, y, z, (1, 2 * tiers, 1), ID["Log"])


def cactus(blocks, x, y, z, rng) -> None:
    tall = int(rng.integers(2, 5))
    box(blocks, x, y, z, (1, tall, 1), ID["Cactus"])
    if tall > 2:
        side = int(rng.choice([-1, 1]))
        box(blocks, x + side, y + 1, z, (1, 2, 1), ID["Cactus"])


def rock(blocks, x, y, z, rng) -> None:
    box(blocks, x - 1, y, z - 1, (3, 1, 2), ID["Stone"])
    box(blocks, x - 1, y, z - 1, (2, 2, 2), ID["Stone"])


def tower(blocks, x, y, z, rng) -> None:
    """A square tower in two colours, a band every other block, with a cap."""
    first, second = _wools(rng, 2)
    tall, wide = int(rng.integers(4, 9)), int(rng.integers(2, 4))
    for k in range(tall):
        box(blocks, x - 1, y + k, z - 1, (wide, 1, wide), first if k % 4 < 2 else second)
    box(blocks, x - 2, y + tall, z - 2, (wide + 2, 1, wide + 2), first)


def pillar(blocks, x, y, z, rng) -> None:
    """A slim pole with a coloured head."""
    tall = int(rng.integers(2, 5))
    box(blocks, x, y, z, (1, tall, 1), int(rng.choice([ID["Stone"], ID["Plank"], ID["Brick"]])))
    box(blocks, x, y + tall, z, (1, 1, 1), _wools(rng, 1)[0])


def arch(blocks, x, y, z, rng) -> None:
    """A gate to walk through."""
    block = _wools(rng, 1)[0]
    if rng.random() < 0.5:
        box(blocks, x - 2, y, z, (1, 4, 1), block)
        box(blocks, x + 2, y, z, (1, 4, 1), block)
        box(blocks, x - 2, y + 4, z, (5, 1, 1), ID["Brick"])
    else:
        box(blocks, x, y, z - 2, (1, 4, 1), block)
        box(blocks, x, y, z + 2, (1, 4, 1), block)
        box(blocks, x, y + 4, z - 2, (1, 1, 5), ID["Brick"])


def pyramid(blocks, x, y, z, rng) -> None:
    """Steps of one block, so a walker can climb it."""
    block = int(rng.choice([ID["Sand"], ID["Brick"], *_wools(rng, 2)]))
    for k in range(3):
        box(blocks, x - 3 + k, y + k, z - 3 + k, (7 - 2 * k, 1, 7 - 2 * k), block)
    box(blocks, x, y + 3, z, (1, 1, 1), _wools(rng, 1)[0])


def hut(blocks, x, y, z, rng) -> None:
    """A house with a door, windows and a coloured roof."""
    walls = ID["Plank"] if rng.random() < 0.6 else ID["Brick"]
    roof = _wools(rng, 1)[0]
    box(blocks, x - 2, y, z - 2, (5, 4, 5), walls, hollow=True)
    for corner_x in (x - 2, x + 2):
        for corner_z in (z - 2, z + 2):
            box(blocks, corner_x, y, corner_z, (1, 3, 1), ID["Log"])
    box(blocks, x - 3, y + 3, z - 3, (7, 1, 7), roof)
    box(blocks, x - 1, y + 4, z - 1, (3, 1, 3), roof)
    box(blocks, x, y, z - 2, (1, 2, 5), AIR)
    box(blocks, x - 2, y + 1, z, (5, 1, 1), AIR)


def wall(blocks, x, y, z, rng) -> None:
    """A low wall with a coloured coping."""
    block, coping = (ID["Brick"] if rng.random() < 0.5 else ID["Stone"]), _wools(rng, 1)[0]
    size = (5, 2, 1) if rng.random() < 0.5 else (1, 2, 5)
    box(blocks, x - size[0] // 2, y, z - size[2] // 2, size, block)
    box(blocks, x - size[0] // 2, y + 2, z - size[2] // 2, (size[0], 1, size[2]), coping)


def cube(blocks, x, y, z, rng) -> None:
    """One big coloured cube."""
    box(blocks, x - 1, y, z - 1, (2, 2, 2), _wools(rng, 1)[0])
