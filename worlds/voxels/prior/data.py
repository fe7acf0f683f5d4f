"""What the prior learns from: pictures of captioned structures, without end.

A picture is a function of its seed: structure, size, view, and which words of the caption are said. Structures are of
the split `train`: the held-out combinations of worlds/blocks/structures/source.py are never shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import radians, sin

import numpy as np

from terrarium.worlds.blocks.raycast import Volume, render_flat
from terrarium.worlds.blocks.structures.source import CLASSES, GROUND, Structure, structure
from terrarium.worlds.voxels.camera import FOVY_DEG, Camera, orbit
from terrarium.worlds.voxels.grid import Shape
from terrarium.worlds.voxels.prior.model import PICTURE
from terrarium.worlds.voxels.prior.words import words

SIZES = (16,)
ELEVATIONS_DEG = (10.0, 45.0)
NEAR = 0.85  # of the distance at which the whole grid is in the picture: structures fill it, two corners are cut
NO_CAPTION = 0.1  # share of the pictures shown without, for classifier-free guidance
WHOLE_CAPTION = 0.5  # share of the others whose caption is said in full


@dataclass(frozen=True, eq=False)
class Shown:
    """`picture` uint8 [64, 64, 3], what is said of it, and the angles from which it is seen."""

    picture: np.ndarray
    said: str
    azimuth_deg: float
    elevation_deg: float
    structure: Structure


def vocabulary() -> tuple[str, ...]:
    """Every word of every caption, sorted."""
    found = set(words(" ".join(GROUND)) + ["small", "large", "on", "water"])
    for name, row in CLASSES.items():
        found |= {name, *words(row.caption.format_map(_Blank()))}
        found |= {word for values in row.choices.values() for value in values for word in words(value)}
    return tuple(sorted(found))


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


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
    said = made.caption if whole else _said(made, rng)
    return Shown(picture(made.blocks, azimuth_deg, elevation_deg), said, azimuth_deg, elevation_deg, made)


def picture(blocks: np.ndarray, azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Blocks uint8 [X, Y, Z] as the prior sees them, uint8 [64, 64, 3]."""
    x, y, z = blocks.shape
    camera = camera_at((x, y, z), azimuth_deg, elevation_deg)
    seen = render_flat(Volume(blocks), camera.eye, camera.axes, PICTURE, PICTURE, camera.fovy_deg)
    return np.rint(255 * seen).astype(np.uint8)


def _said(made: Structure, rng: np.random.Generator) -> str:
    """The caption, none, or its class among some of its other words: people say less than a caption does."""
    if rng.random() < NO_CAPTION:
        return ""
    if rng.random() < WHOLE_CAPTION:
        return made.caption
    share = rng.random()
    return " ".join(word for word in words(made.caption) if word == made.name or rng.random() < share)
