"""Surfaces: large, calm shapes with a known fade, so that a far wall is one colour and never flickers.

Every function takes the place on the face (u, v in [0, 1), v up on sides), `foot`, the size of a pixel on
that face in blocks, and `sharp`, 1 / foot. A detail of size d is drawn in full while foot is under half of d
and is gone above d.
"""

from __future__ import annotations

from terrarium.worlds.blocks.block_types import BOARDS, BRICKS, CHECKER, INSET, PLAIN, RING, STRIPES, TURF, WAVES
from terrarium.worlds.blocks.jit import jit

SEAM = 0.05  # half a seam's width, in blocks: two blocks share one line of .1
SEAM_DARK = 0.42  # how much a seam takes away


@jit
def fade(foot, detail):
    """1 while a pixel is under half of `detail` blocks, 0 above `detail`."""
    return min(1.0, max(0.0, 2.0 - foot * (2.0 / detail)))


@jit
def line(distance, half_width, sharp):
    """Coverage in [0, 1] of a pixel by a line whose middle is `distance` away."""
    return min(1.0, max(0.0, 0.5 + (half_width - distance) * sharp))


@jit
def seam(u, v, foot, sharp):
    """Brightness factor of the dark border of a block."""
    edge = min(min(u, 1.0 - u), min(v, 1.0 - v))
    return 1.0 - SEAM_DARK * line(edge, SEAM, sharp) * fade(foot, 0.5)


@jit
def pattern(kind, u, v, foot, sharp):
    """Brightness factor of a material's own pattern, near 1."""
    strength = fade(foot, 0.6)
    if kind == PLAIN or strength == 0.0:
        return 1.0
    value = 0.0
    if kind == CHECKER:
        value = 0.07 if (u < 0.5) == (v < 0.5) else -0.07
    elif kind == BOARDS:
        value = -0.3 * line(abs(v - 0.5), 0.04, sharp) + (0.05 if v < 0.5 else -0.05)
    elif kind == BRICKS:
        row = 0.25 if v < 0.5 else 0.75
        mortar = max(line(abs(v - 0.5), 0.05, sharp), line(abs(u - row), 0.05, sharp))
        value = 0.45 * mortar
    elif kind == STRIPES:
        value = 0.14 if 0.33 < u < 0.67 else -0.10
    elif kind == INSET:
        value = 0.10 if max(abs(u - 0.5), abs(v - 0.5)) < 0.26 else -0.08
    elif kind == RING:
        ring = max(abs(u - 0.5), abs(v - 0.5))
        value = -0.22 if 0.2 < ring < 0.34 else 0.05
    elif kind == WAVES:
        across = u + v if u + v < 1.0 else u + v - 1.0
        value = 0.16 if across < 0.4 else -0.05
    return 1.0 + strength * value


@jit
def turf(kind, v):
    """How much of a turf side is the earth below it: grass hangs over the top third."""
    return 1.0 if kind == TURF and v < 0.66 else 0.0


@jit
def tone(x, y, z, foot):
    """Brightness factor of a block: four levels by place, and two by patches of 4, seen farther."""
    small = _hash(x, y, z) & 3
    large = _hash(x >> 2, y >> 2, z >> 2) & 1
    return 1.0 + (small - 1.5) * 0.055 * fade(foot, 1.5) + (large - 0.5) * 0.10 * fade(foot, 5.0)


@jit
def _hash(x, y, z):
    """A small non-negative integer hash of a block's place."""
    h = (x * 73856093 + y * 19349663 + z * 83492791) & 0x7FFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0x7FFFFFFF
    return h >> 16
