"""Block types that wear a material, as the walk draws them: texels lit by the normal map, for every face.

A flat texel of a face has the walk's light there (`palette.WALK_LIGHT`); one that leans has more or less of it, by how
much more or less it faces the sun of the map viewer (Lambert). What roughness and metalness do depends on the
eye, and is left to the browser. Levels of half the side each are means of lit texels, so that a far wall is calm.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log2
from typing import NamedTuple

import numpy as np

from terrarium.worlds.blocks.jit import jit
from terrarium.worlds.blocks.map_entries import COAT_SIDE, Coat
from terrarium.worlds.blocks.palette import NORMALS, SUN_DIR, WALK_LIGHT

LEVELS = COAT_SIDE.bit_length()  # 32, 16, ... 1 texels along a side
TEXELS = (4 * COAT_SIDE * COAT_SIDE - 1) // 3  # of all levels
TYPES = 256
# Right and up of a face's picture seen from outside, as three.js lays it on a box; faces as in palette.py.
RIGHT = np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0], [1, 0, 0], [-1, 0, 0], [1, 0, 0]], np.float64)
UP = np.array([[0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1], [0, 1, 0], [0, 1, 0]], np.float64)


class Coats(NamedTuple):
    """`row` int64 [TYPES]: of a block type in `lit`, -1 where it is plain. `lit` float32 [N, 6, TEXELS, 3], by face:
    the levels one after another, the largest first, each by v and then u of the ray-caster."""

    row: np.ndarray
    lit: np.ndarray


def coats_for(worn: Mapping[int, Coat]) -> Coats | None:
    """Of block types by id; None where none wears anything."""
    if not worn:
        return None
    row = np.full(TYPES, -1, np.int64)
    row[list(worn)] = range(len(worn))
    lit = [[_levels(_as_cast(_lit(coat, face), face)) for face in range(6)] for coat in worn.values()]
    return Coats(row, np.array(lit, np.float32))


def _lit(coat: Coat, face: int) -> np.ndarray:
    """[COAT_SIDE, COAT_SIDE, 3], rows from the top, in the screen's own colours as the palette's."""
    colour, raw, orm = (_picture(data) for data in (coat.basecolor, coat.normal, coat.orm))
    tangent = 2 * raw - 1
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-6)
    normal = tangent @ np.stack([RIGHT[face], UP[face], NORMALS[face]])
    lean = (normal - NORMALS[face]) @ -SUN_DIR
    return colour * orm[..., :1] * (WALK_LIGHT[face] * np.maximum(0, 1 + lean))[..., None]


def _picture(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8).reshape(COAT_SIDE, COAT_SIDE, 3) / 255


def _as_cast(picture: np.ndarray, face: int) -> np.ndarray:
    """By the u and v in which the ray-caster counts: both grow with the coordinate that they are."""
    down = UP[face].sum() > 0  # v counts up, rows count down
    left = RIGHT[face].sum() < 0
    return picture[:: -1 if down else 1, :: -1 if left else 1]


def _levels(picture: np.ndarray) -> np.ndarray:
    found = [picture]
    while len(found[-1]) > 1:
        half = len(found[-1]) // 2
        found.append(found[-1].reshape(half, 2, half, 2, 3).mean((1, 3)))
    return np.concatenate([level.reshape(-1, 3) for level in found])


@jit
def coat_colour(lit, row, face, u, v, foot):
    """Colour at u, v in [0, 1) of a face, between the two levels nearest to `foot`, a pixel's size in blocks."""
    level = min(max(log2(foot * COAT_SIDE), 0.0), LEVELS - 1.0)
    near = int(level)
    r, g, b = _texel(lit, row, face, u, v, near)
    share = level - near
    if share > 0.0:
        r1, g1, b1 = _texel(lit, row, face, u, v, near + 1)
        r, g, b = r + (r1 - r) * share, g + (g1 - g) * share, b + (b1 - b) * share
    return r, g, b


@jit
def _texel(lit, row, face, u, v, level):
    side = COAT_SIDE >> level
    first = 4 * (COAT_SIDE * COAT_SIDE - side * side) // 3
    x, y = min(max(int(u * side), 0), side - 1), min(max(int(v * side), 0), side - 1)
    at = first + y * side + x
    return lit[row, face, at, 0], lit[row, face, at, 1], lit[row, face, at, 2]
