"""Captioned structures on a terrain: houses, castles, bridges to walk up to and into.

Deterministic, and apart from the terrain's own choices: a world with structures is that without them, but for the
plots that they stand on.
"""

from __future__ import annotations

import numpy as np

from terrarium.worlds.blocks.palette import AIR, ID
from terrarium.worlds.blocks.structures.shapes import BLOCK
from terrarium.worlds.blocks.structures.source import AFLOAT, FIRST, MIN_SIZE, Structure, structure

SALT = 7013  # keeps these choices apart from those of terrains and structures
ASHORE = tuple(name for name in FIRST if name not in AFLOAT)
SIDE = MIN_SIZE  # of a plot, in blocks
FLATTEST = 0.1  # share of the free places from which a plot is drawn


def settle(
    blocks: np.ndarray, height: np.ndarray, seed: tuple[int, ...], count: int, margin: int, lowest: int
) -> list[Structure]:
    """Builds `count` structures into blocks uint8 [X, Y, Z], fewer where no room is left; returns them.

    `height` int [X, Z] is that of the ground's highest block. Plots are level, at `lowest` or above, and at least
    `margin` blocks from the border.
    """
    rng = np.random.default_rng([SALT, *seed])
    windows = np.lib.stride_tricks.sliding_window_view(height, (SIDE, SIDE))
    rough = np.ptp(windows, axis=(2, 3))
    free = np.zeros(rough.shape, bool)
    free[margin : len(rough) - margin, margin : rough.shape[1] - margin] = True
    built: list[Structure] = []
    while len(built) < count and free.any():
        flat = free & (rough <= np.quantile(rough[free], FLATTEST))
        places = np.argwhere(flat)
        x, z = (int(v) for v in places[rng.integers(len(places))])
        thing = structure(int(rng.integers(2**31)), name=ASHORE[int(rng.integers(len(ASHORE)))])
        _put(blocks[x : x + SIDE, :, z : z + SIDE], max(lowest, int(np.median(windows[x, z]))), thing)
        free[max(0, x - SIDE) : x + SIDE + 1, max(0, z - SIDE) : z + SIDE + 1] = False
        built.append(thing)
    return built


def _put(plot: np.ndarray, level: int, thing: Structure) -> None:
    """The structure on a plot whose ground is at `level`: what stands there is cleared, hollows are filled. Its own
    ground becomes what the plot's is made of."""
    ground = np.bincount(plot[:, level][plot[:, level] != AIR], minlength=1).argmax() or ID["Grass"]
    plot[:, :level][np.isin(plot[:, :level], (AIR, ID["Water"]))] = ID["Dirt"]
    tall = min(SIDE, plot.shape[1] - level)
    plot[:, level:] = AIR
    plot[:, level : level + tall] = thing.blocks[:, :tall]
    floor = plot[:, level]
    floor[thing.blocks[:, 0] == BLOCK[thing.attributes["ground"]]] = ground
