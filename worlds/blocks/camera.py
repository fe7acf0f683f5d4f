"""The camera convention, in one place.

Right-handed, Y up, one unit a block. Yaw 0 looks along -Z; yaw > 0 turns right (yaw 90 looks along +X);
pitch > 0 looks up. Pixel (0, 0) is the picture's top left; rays go through pixel centres.
"""

from __future__ import annotations

from functools import lru_cache
from math import cos, radians, sin, tan

import numpy as np

FOVY_DEG = 75.0  # square frames are 75 degrees wide too


def basis(yaw_deg: float, pitch_deg: float) -> np.ndarray:
    """Unit right, up and forward as the rows of float64 [3, 3]."""
    sy, cy = sin(radians(yaw_deg)), cos(radians(yaw_deg))
    sp, cp = sin(radians(pitch_deg)), cos(radians(pitch_deg))
    return np.array([[cy, 0.0, sy], [-sy * sp, cp, cy * sp], [sy * cp, sp, -cy * cp]])


@lru_cache(maxsize=16)
def pixel_rays(width: int, height: int, fovy_deg: float = FOVY_DEG) -> np.ndarray:
    """Unit ray of every pixel in camera axes (right, up, forward), float64 [H, W, 3]; shared, read-only."""
    tan_y = tan(radians(fovy_deg) / 2)
    x = (np.arange(width) + 0.5 - width / 2) * (2 * tan_y / height)
    y = (height / 2 - 0.5 - np.arange(height)) * (2 * tan_y / height)
    rays = np.stack(np.broadcast_arrays(x[None, :], y[:, None], 1.0), -1)
    rays = np.ascontiguousarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))
    rays.flags.writeable = False
    return rays


def pixel_angle(height: int, fovy_deg: float = FOVY_DEG) -> float:
    """Size of a pixel at distance 1, at the picture's centre, in blocks."""
    return 2 * tan(radians(fovy_deg) / 2) / height
