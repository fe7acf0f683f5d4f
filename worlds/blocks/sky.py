"""The sky: a gradient, a sun and a few blocky clouds at fixed directions, so that turning shows there too."""

from __future__ import annotations

import numpy as np

from terrarium.worlds.blocks.jit import jit

HORIZON = (0.80, 0.90, 0.95)
ZENITH = (0.25, 0.52, 0.90)
SUN = (0.47, 0.53, 0.705)  # where the sun stands; near unit length
SUN_COLOUR = (1.0, 0.93, 0.55)


def _clouds() -> np.ndarray:
    """Clouds as float64 [N, 7]: unit direction, unit horizontal tangent (x, z), half width, half height."""
    # azimuth and elevation in degrees, half width, half height: a wide slab with a narrower one on top
    sizes = (
        (12, 30, 0.26, 0.05), (58, 44, 0.20, 0.06), (100, 24, 0.30, 0.05), (150, 38, 0.22, 0.07),
        (196, 27, 0.24, 0.05), (242, 46, 0.30, 0.06), (281, 25, 0.20, 0.05), (328, 40, 0.28, 0.06),
        (30, 66, 0.22, 0.09), (210, 68, 0.22, 0.09),
    )  # fmt: skip
    rows = []
    for azimuth, elevation, wide, high in sizes:
        az, el = np.radians(azimuth), np.radians(elevation)
        towards = np.sin(az) * np.cos(el), np.sin(el), -np.cos(az) * np.cos(el)
        rows.append([*towards, np.cos(az), np.sin(az), wide, high])
    return np.array(rows)


CLOUDS = _clouds()


@jit
def gradient(dy):
    """Sky colour without sun and clouds for a ray that rises by `dy`; also the colour of fog."""
    k = min(1.0, max(0.0, dy) * 1.25)
    k = k * (2.0 - k)
    return (
        HORIZON[0] + (ZENITH[0] - HORIZON[0]) * k,
        HORIZON[1] + (ZENITH[1] - HORIZON[1]) * k,
        HORIZON[2] + (ZENITH[2] - HORIZON[2]) * k,
    )


@jit
def colour(dx, dy, dz):
    """Sky colour of a unit ray."""
    r, g, b = gradient(dy)
    towards = dx * SUN[0] + dy * SUN[1] + dz * SUN[2]
    if towards > 0.9:
        disc = min(1.0, max(0.0, (towards - 0.974) * 130.0))
        glow = max(disc, (towards - 0.9) * 4.0)
        r += (SUN_COLOUR[0] - r) * glow
        g += (SUN_COLOUR[1] - g) * glow
        b += (SUN_COLOUR[2] - b) * glow
    if dy < 0.1:
        return r, g, b
    cover = 0.0
    for i in range(CLOUDS.shape[0]):
        if dx * CLOUDS[i, 0] + dy * CLOUDS[i, 1] + dz * CLOUDS[i, 2] < 0.85:
            continue
        across = (dx - CLOUDS[i, 0]) * CLOUDS[i, 3] + (dz - CLOUDS[i, 2]) * CLOUDS[i, 4]
        above = dy - CLOUDS[i, 1]
        wide, high = CLOUDS[i, 5], CLOUDS[i, 6]
        slab = min(wide - abs(across), high - abs(above))
        hump = min(0.55 * wide - abs(across - 0.25 * wide), high - abs(above - 1.4 * high))
        cover = max(cover, min(1.0, max(0.0, 0.5 + max(slab, hump) * 40.0)))
    cover *= 0.9
    return r + (1.0 - r) * cover, g + (1.0 - g) * cover, b + (1.0 - b) * cover
