"""What the prior learns from: pictures of captioned structures, without end.

A picture is a function of its seed: structure, size, view, and which words of the caption are said. Structures are of
the split `train`: the held-out combinations of worlds/blocks/structures/source.py are never shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import radians, sin

import numpy as np

from terrarium.worlds.blocks.raycast import Volume, render_flat
from terrarium.worlds.blocks.structures.captions import said_of
from terrarium.worlds.blocks.structures.source import Structure, structure
from terrarium.worlds.voxels.camera import FOVY_DEG, Camera, orbit
from terrarium.worlds.voxels.grid import Shape
from terrarium.worlds.voxels.prior.model import PICTURE

SIZES = (16,)
ELEVATIONS_DEG = (10.0, 45.0)
NEAR = 0.85  # of the distance at which the whole grid is in the picture: structures fill it, two corners are cut


@dataclass(frozen=True, eq=False)
class Shown:
    """`picture` uint8 [64, 64, 3], what is said of it, and the angles from which it is seen."""

    picture: np.ndarray
    said: str
    azimuth_deg: float
    elevation_deg: float
    structure: Structure


def camera_at(shape: Shape, azimuth_deg: float, elevation_deg: float, side: int = PICTURE) -> Camera:
    """The cameras of training, for whatever is to be shown to the prior."""
    distance = NEAR * float(np.linalg.norm(shape)) / 2 / sin(radians(FOVY_DEG / 2))
    return orbit(shape, azimuth_deg, elevation_deg, side, side, distance=distance)


def random_view(rng: np.random.Generator) -> tuple[float, float]:
    """Azimuth and elevation in degrees, as the prior is shown them."""
    return float(rng.uniform(0, 360)), float(rng.uniform(*ELEVATIONS_DEG))


def shown(rng: np.random.Generator, split: str = "train", *, whole: bool = False) -> Shown:
    """A picture; with `whole` its caption is said in full."""
    made = structure(int(rng.integers(2**31)), SIZES[int(rng.integers(len(SIZES)))], split=split)
    azimuth_deg, elevation_deg = random_view(rng)
    said = made.caption if whole else said_of(made, rng)
    return Shown(picture(made.blocks, azimuth_deg, elevation_deg), said, azimuth_deg, elevation_deg, made)


def picture(blocks: np.ndarray, azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Blocks uint8 [X, Y, Z] as the prior sees them, uint8 [64, 64, 3]."""
    x, y, z = blocks.shape
    camera = camera_at((x, y, z), azimuth_deg, elevation_deg)
    seen = render_flat(Volume(blocks), camera.eye, camera.axes, PICTURE, PICTURE, camera.fovy_deg)
    return np.rint(255 * seen).astype(np.uint8)
