"""Cameras around a voxel grid. Axes, pixels and rays are those of worlds/blocks/camera.py; lengths are in blocks.

A grid's corner is the origin, its size (X, Y, Z) the opposite corner; its front faces +z.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np

from terrarium.worlds.blocks.camera import pixel_rays

FOVY_DEG = 60.0  # of capture sets and of every picture that guidance sees
GOLDEN_DEG = 137.50776  # of azimuth between two views: any number of them is spread evenly
Point = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole at `eye`; `axes` float64 [3, 3] holds unit right, up and forward as rows."""

    eye: Point
    axes: np.ndarray
    width: int
    height: int
    fovy_deg: float = FOVY_DEG

    def __post_init__(self) -> None:
        if not np.allclose(self.axes @ self.axes.T, np.eye(3), atol=1e-6):
            raise ValueError(f"axes are {np.asarray(self.axes).tolist()}: expected unit rows at right angles")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a picture of {self.width} x {self.height} pixels: expected at least 1 x 1")
        if not 0 < self.fovy_deg < 180:
            raise ValueError(f"fovy_deg is {self.fovy_deg}: expected an angle between 0 and 180")

    @property
    def pixel_rays(self) -> np.ndarray:
        """Unit ray of every pixel in camera axes, float64 [H, W, 3]; shared, read-only."""
        return pixel_rays(self.width, self.height, self.fovy_deg)

    def rays(self) -> np.ndarray:
        """Unit ray of every pixel in the grid's axes, float64 [H, W, 3].

        Summed in the order in which the compiled marches do: the same bits, so the same voxels.
        """
        right, up, forward = self.axes
        a, b, c = np.split(self.pixel_rays, 3, axis=-1)
        return a * right + b * up + c * forward


def look_at(eye: Point, target: Point, width: int, height: int, fovy_deg: float = FOVY_DEG) -> Camera:
    """A camera at `eye` that sees `target` in its middle, upright; one that looks straight down has -z at its top.

    Raises ValueError where the two are one point.
    """
    forward = np.subtract(target, eye)
    distance = float(np.linalg.norm(forward))
    if distance == 0:
        raise ValueError(f"eye and target are both {tuple(eye)}: expected two points")
    forward = forward / distance
    right = np.cross(forward, [0.0, 1.0, 0.0])
    length = float(np.linalg.norm(right))
    right = right / length if length > 1e-9 else np.array([1.0, 0.0, 0.0])
    up = np.cross(right, forward)
    return Camera(
        (float(eye[0]), float(eye[1]), float(eye[2])), np.stack([right, up, forward]), width, height, fovy_deg
    )


def orbit(
    shape: tuple[int, int, int],
    azimuth_deg: float,
    elevation_deg: float,
    width: int,
    height: int,
    *,
    distance: float | None = None,
    fovy_deg: float = FOVY_DEG,
) -> Camera:
    """A camera that looks at the middle of a grid of `shape`, `distance` blocks from it.

    Azimuth 0 sees the front (+z), 90 the side +x; elevation 90 looks straight down. If `distance` is omitted, the
    grid's bounding sphere fits the picture's height.
    """
    middle = np.array(shape) / 2
    if distance is None:
        distance = float(np.linalg.norm(middle)) / sin(radians(fovy_deg) / 2)
    around, above = radians(azimuth_deg), radians(elevation_deg)
    away = np.array([sin(around) * cos(above), sin(above), cos(around) * cos(above)])
    x, y, z = (float(v) for v in middle + distance * away)
    return look_at((x, y, z), (float(middle[0]), float(middle[1]), float(middle[2])), width, height, fovy_deg)
