"""Block types as arrays: their colours under the light of the map viewer, and that of walks.

Faces are numbered by their outward normal: 0 -x, 1 +x, 2 -y (bottom), 3 +y (top), 4 -z, 5 +z.

    python -m terrarium.worlds.blocks.palette > web/src/worlds/palette.json

is the palette of the browser's viewer; a test compares the two.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from terrarium.worlds.blocks.block_types import AIR as AIR
from terrarium.worlds.blocks.block_types import BLOCKS as BLOCKS
from terrarium.worlds.blocks.block_types import ID as ID
from terrarium.worlds.blocks.block_types import NAMES as NAMES

SUN_DIR = np.array([-0.4, -0.85, -0.5]) / np.linalg.norm([-0.4, -0.85, -0.5])
SUN_COLOUR = np.array([1.0, 0.97, 0.9])
SKY = np.array([0.53, 0.81, 0.92])
HORIZON = np.array([0.18, 0.16, 0.12])
NORMALS = np.array([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]], np.float64)
# The walk's own light: calmer than the sun's, and no two neighbouring faces alike, so that every edge shows.
WALK_LIGHT = np.array([0.66, 0.80, 0.45, 1.0, 0.58, 0.88])


def face_colours() -> np.ndarray:
    """Unlit linear colours, float64 [M, 6, 3] by block id and face."""
    return np.array([[b.side, b.side, b.bottom, b.top, b.side, b.side] for b in BLOCKS], np.float64)


def sun_factors() -> np.ndarray:
    """The map viewer's shader: one RGB factor a face, float64 [6, 3] (sun and a half-sky, no gamma)."""
    up = 0.5 * NORMALS[:, 1:2] + 0.5
    ambient = ((1 - up) * HORIZON + up * SKY) * 0.55
    return ambient + np.maximum(NORMALS @ -SUN_DIR, 0)[:, None] * SUN_COLOUR


def sun_lut() -> np.ndarray:
    """Colours lit by the map viewer's shader, clamped a material, float64 [M, 6, 3]."""
    return np.minimum(1.0, face_colours() * sun_factors())


def walk_lut() -> np.ndarray:
    """Colours lit for walking, float64 [M, 6, 3]."""
    return face_colours() * WALK_LIGHT[None, :, None]


def patterns() -> np.ndarray:
    """Pattern of each face, int64 [M, 6]."""
    side_top = [[b.side_pattern] * 2 + [b.top_pattern] * 2 + [b.side_pattern] * 2 for b in BLOCKS]
    return np.array(side_top, np.int64)


def for_browser() -> dict[str, Any]:
    """Names, lit colours [M, 6, 3], the sky's, and the way to the sun, as the viewer draws them."""
    return {"names": NAMES, "lut": sun_lut().tolist(), "sky": SKY.tolist(), "sun": (-SUN_DIR).tolist()}


if __name__ == "__main__":
    print(json.dumps(for_browser()))
