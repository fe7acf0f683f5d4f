"""First-person ray-caster: 3-D DDA (Amanatides & Woo 1987), one core, deterministic to the byte.

`Volume` pads the blocks with one layer of `OUTSIDE`, so that a step of the walk is one load and one compare.
The walk's picture (`render`) shades with textures, fog and sky; `render_flat` draws what the map viewer's
shader would: one colour a material and face, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, sqrt

import numpy as np

from terrarium.worlds.blocks import sky, texture
from terrarium.worlds.blocks.camera import FOVY_DEG, basis, pixel_angle, pixel_rays
from terrarium.worlds.blocks.coats import Coats, coat_colour
from terrarium.worlds.blocks.jit import jit
from terrarium.worlds.blocks.palette import SKY, patterns, sun_lut, walk_lut

OUTSIDE = 255
FAR = 38.0  # blocks; the fog is complete here
FOG_START = 14.0
WALK_LUT, SUN_LUT, PATTERNS = walk_lut(), sun_lut(), patterns()
SKY_KEY = -1


@dataclass(frozen=True)
class Volume:
    """Blocks uint8 [X, Y, Z], made read-only, and what a ray walks through.

    `coats` are the materials that block types wear, if any does. `flat` holds the same blocks without the empty layers
    at the top, within a layer of `OUTSIDE`, in one row; `shape` is its (nx, ny, nz) without that layer.
    """

    blocks: np.ndarray
    coats: Coats | None = None
    shape: tuple[int, int, int] = field(init=False)
    flat: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        layers = np.flatnonzero(self.blocks.any((0, 2)))
        blocks = self.blocks[:, : layers[-1] + 1 if layers.size else 1]
        flat = np.pad(blocks, 1, constant_values=OUTSIDE).reshape(-1)
        flat.flags.writeable = False
        self.blocks.flags.writeable = False
        object.__setattr__(self, "shape", blocks.shape)
        object.__setattr__(self, "flat", flat)


@jit
def _entry(nx, ny, nz, ox, oy, oz, dx, dy, dz):
    """Distance to where a ray that starts outside [0, n) comes in; negative if it never does."""
    near, far = 0.0, 1e30
    for o, d, n in ((ox, dx, nx), (oy, dy, ny), (oz, dz, nz)):
        if abs(d) < 1e-12:
            if o < 0 or o >= n:
                return -1.0
            continue
        t0, t1 = -o / d, (n - o) / d
        near, far = max(near, min(t0, t1)), min(far, max(t0, t1))
    return near if near < far else -1.0


@jit
def cast(cells, nx, ny, nz, ox, oy, oz, dx, dy, dz, far):
    """First solid block on a unit ray: (block, or 0 if none; distance; face; x; y; z).

    `cells` is `Volume.flat` and nx, ny, nz its `shape`. A ray that starts in a block hits that block.
    """
    t, axis = 0.0, 1
    ix, iy, iz = floor(ox), floor(oy), floor(oz)
    if ix < 0 or iy < 0 or iz < 0 or ix >= nx or iy >= ny or iz >= nz:
        t = _entry(nx, ny, nz, ox, oy, oz, dx, dy, dz)
        if t < 0.0 or t > far:
            return 0, far, 0, 0, 0, 0
        ix = min(max(floor(ox + dx * (t + 1e-9)), 0), nx - 1)
        iy = min(max(floor(oy + dy * (t + 1e-9)), 0), ny - 1)
        iz = min(max(floor(oz + dz * (t + 1e-9)), 0), nz - 1)
    gap_x, gap_y, gap_z = 1.0 / max(abs(dx), 1e-12), 1.0 / max(abs(dy), 1e-12), 1.0 / max(abs(dz), 1e-12)
    tx = (ix + 1 - ox if dx > 0 else ox - ix) * gap_x
    ty = (iy + 1 - oy if dy > 0 else oy - iy) * gap_y
    tz = (iz + 1 - oz if dz > 0 else oz - iz) * gap_z
    if t > 0.0:  # the plane that the ray came in through
        ex, ey, ez = tx - gap_x, ty - gap_y, tz - gap_z
        axis = 0 if ex >= ey and ex >= ez else (1 if ey >= ez else 2)
    stride_y, stride_x = nz + 2, (ny + 2) * (nz + 2)
    # unsigned, for numba would test a signed index for a wrap at every step
    at = np.uint64((ix + 1) * stride_x + (iy + 1) * stride_y + iz + 1)
    step_x = np.uint64(stride_x if dx > 0 else -stride_x)
    step_y = np.uint64(stride_y if dy > 0 else -stride_y)
    step_z = np.uint64(1 if dz > 0 else -1)
    block = cells[at]
    while block == 0:
        if tx < ty:
            if tx < tz:
                t, axis = tx, 0
                tx += gap_x
                at += step_x
            else:
                t, axis = tz, 2
                tz += gap_z
                at += step_z
        elif ty < tz:
            t, axis = ty, 1
            ty += gap_y
            at += step_y
        else:
            t, axis = tz, 2
            tz += gap_z
            at += step_z
        block = cells[at]
        if t > far:
            return 0, far, 0, 0, 0, 0
    if block == OUTSIDE:
        return 0, far, 0, 0, 0, 0
    face = 2 * axis + (1 if (dx if axis == 0 else dy if axis == 1 else dz) < 0 else 0)
    if t == 0.0:
        return block, t, face, ix, iy, iz
    # along its own axis the block is known from the face's plane; rounding must not move it
    x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
    side = face & 1
    if axis == 0:
        return block, t, face, floor(x + 0.5) - side, floor(y), floor(z)
    if axis == 1:
        return block, t, face, floor(x), floor(y + 0.5) - side, floor(z)
    return block, t, face, floor(x), floor(y), floor(z + 0.5) - side


@jit
def _surface(block, face, ix, iy, iz, px, py, pz, foot, coats):
    """Colour of the hit at (px, py, pz) before fog; `foot` is the size of a pixel there, in blocks. numba compiles
    a version for `coats` None, in which there is nothing of them."""
    if face < 2:
        u, v = pz - iz, py - iy
    elif face < 4:
        u, v = px - ix, pz - iz
    else:
        u, v = px - ix, py - iy
    if coats is not None:  # noqa: SIM102  (numba drops a branch by this test alone)
        if coats.row[block] >= 0:
            light = texture.tone(ix, iy, iz, foot)
            r, g, b = coat_colour(coats.lit, coats.row[block], face, u, v, foot)
            return r * light, g * light, b * light
    kind, sharp = PATTERNS[block, face], 1.0 / foot
    light = texture.seam(u, v, foot, sharp) * texture.tone(ix, iy, iz, foot)
    light *= texture.pattern(kind, u, v, foot, sharp)
    if face < 2 or face > 3:
        light *= 0.94 + 0.12 * v
    earth = texture.turf(kind, v)
    r, g, b = WALK_LUT[block, face, 0], WALK_LUT[block, face, 1], WALK_LUT[block, face, 2]
    if earth > 0.0:  # the bottom's colour under this face's light
        light *= 0.9
        r, g, b = r * 0.89, g * 0.55, b * 0.58
    return r * light, g * light, b * light


@jit
def _shade(cells, nx, ny, nz, coats, ox, oy, oz, dx, dy, dz, pixel):
    """Colour of one unit ray, and a key that two rays share if they hit one flat surface of one material."""
    block, t, face, ix, iy, iz = cast(cells, nx, ny, nz, ox, oy, oz, dx, dy, dz, FAR)
    if block == 0:
        r, g, b = sky.colour(dx, dy, dz)
        return r, g, b, SKY_KEY
    if face < 2:
        facing, plane = abs(dx), ix
    elif face < 4:
        facing, plane = abs(dy), iy
    else:
        facing, plane = abs(dz), iz
    foot = max(t * pixel / sqrt(max(facing, 0.02)), 1e-4)
    r, g, b = _surface(block, face, ix, iy, iz, ox + t * dx, oy + t * dy, oz + t * dz, foot, coats)
    if t > FOG_START:
        fog = (t - FOG_START) / (FAR - FOG_START)
        fog = fog * fog * (3.0 - 2.0 * fog)
        fr, fg, fb = sky.gradient(dy)
        r, g, b = r + (fr - r) * fog, g + (fg - g) * fog, b + (fb - b) * fog
    return r, g, b, (block * 6 + face) * 4096 + plane


@jit
def _rotate(axes, a, b, c):
    return (
        a * axes[0, 0] + b * axes[1, 0] + c * axes[2, 0],
        a * axes[0, 1] + b * axes[1, 1] + c * axes[2, 1],
        a * axes[0, 2] + b * axes[1, 2] + c * axes[2, 2],
    )


@jit
def _put(out, i, j, r, g, b):
    out[i, j, 0] = np.uint8(min(max(r, 0.0), 1.0) * 255.0 + 0.5)
    out[i, j, 1] = np.uint8(min(max(g, 0.0), 1.0) * 255.0 + 0.5)
    out[i, j, 2] = np.uint8(min(max(b, 0.0), 1.0) * 255.0 + 0.5)


@jit
def _smooth(cells, nx, ny, nz, coats, ox, oy, oz, axes, rays, pixel, keys, out):
    """Draw the outline pixels again, each as the mean of four rays."""
    height, width = keys.shape
    for i in range(height):
        for j in range(width):
            key = keys[i, j]
            if (
                keys[max(i - 1, 0), j] == key
                and keys[min(i + 1, height - 1), j] == key
                and keys[i, max(j - 1, 0)] == key
                and keys[i, min(j + 1, width - 1)] == key
            ):
                continue
            depth = rays[i, j, 2]
            r = g = b = 0.0
            for k in range(4):
                a = rays[i, j, 0] / depth + pixel * (0.25 if k & 1 else -0.25)
                c = rays[i, j, 1] / depth + pixel * (0.25 if k & 2 else -0.25)
                norm = 1.0 / sqrt(a * a + c * c + 1.0)
                dx, dy, dz = _rotate(axes, a * norm, c * norm, norm)
                r1, g1, b1, _ = _shade(cells, nx, ny, nz, coats, ox, oy, oz, dx, dy, dz, pixel)
                r, g, b = r + min(r1, 1.0), g + min(g1, 1.0), b + min(b1, 1.0)
            _put(out, i, j, 0.25 * r, 0.25 * g, 0.25 * b)


@jit
def _draw(cells, nx, ny, nz, coats, ox, oy, oz, axes, rays, pixel, smooth, out):
    height, width, _ = out.shape
    keys = np.empty((height, width), np.int64)
    for i in range(height):
        for j in range(width):
            dx, dy, dz = _rotate(axes, rays[i, j, 0], rays[i, j, 1], rays[i, j, 2])
            r, g, b, keys[i, j] = _shade(cells, nx, ny, nz, coats, ox, oy, oz, dx, dy, dz, pixel)
            _put(out, i, j, r, g, b)
    if smooth:
        _smooth(cells, nx, ny, nz, coats, ox, oy, oz, axes, rays, pixel, keys, out)


def render(
    volume: Volume,
    eye: tuple[float, float, float],
    yaw_deg: float,
    pitch_deg: float,
    width: int = 64,
    height: int = 64,
    *,
    smooth: bool = True,
) -> np.ndarray:
    """The walk's picture from `eye` (blocks), uint8 RGB [H, W, 3]. `smooth` antialiases outlines."""
    out = np.empty((height, width, 3), np.uint8)
    rays, pixel = pixel_rays(width, height), pixel_angle(height)
    axes = basis(yaw_deg, pitch_deg)
    nx, ny, nz = volume.shape
    ox, oy, oz = eye
    _draw(volume.flat, nx, ny, nz, volume.coats, ox, oy, oz, axes, rays, pixel, smooth, out)
    return out


@dataclass(frozen=True)
class Labels:
    """What the pixels of a picture show, by the rays through their centres. Each [H, W]."""

    block: np.ndarray  # uint8, palette id; 0 is the sky
    face: np.ndarray  # uint8, whose outward normal is palette.NORMALS[face]; 0 in the sky
    depth: np.ndarray  # float32, blocks along the camera's axis; infinite in the sky


@jit
def _label(cells, nx, ny, nz, ox, oy, oz, axes, rays, block, face, depth):
    height, width = block.shape
    for i in range(height):
        for j in range(width):
            dx, dy, dz = _rotate(axes, rays[i, j, 0], rays[i, j, 1], rays[i, j, 2])
            hit, t, side, _x, _y, _z = cast(cells, nx, ny, nz, ox, oy, oz, dx, dy, dz, FAR)
            block[i, j], face[i, j] = hit, side
            depth[i, j] = t * rays[i, j, 2] if hit else np.inf


def label(
    volume: Volume, eye: tuple[float, float, float], yaw_deg: float, pitch_deg: float, width: int, height: int
) -> Labels:
    """What each pixel of `render` shows, as far as the walk sees (`FAR`)."""
    block, face = np.empty((2, height, width), np.uint8)
    depth = np.empty((height, width), np.float32)
    nx, ny, nz = volume.shape
    ox, oy, oz = eye
    axes, rays = basis(yaw_deg, pitch_deg), pixel_rays(width, height)
    _label(volume.flat, nx, ny, nz, ox, oy, oz, axes, rays, block, face, depth)
    return Labels(block, face, depth)


@jit
def _draw_flat(cells, nx, ny, nz, lut, background, ox, oy, oz, axes, rays, out):
    height, width, _ = out.shape
    for i in range(height):
        for j in range(width):
            dx, dy, dz = _rotate(axes, rays[i, j, 0], rays[i, j, 1], rays[i, j, 2])
            block, _t, face, _x, _y, _z = cast(cells, nx, ny, nz, ox, oy, oz, dx, dy, dz, 1e9)
            for k in range(3):
                out[i, j, k] = lut[block, face, k] if block != 0 else background[k]


def render_flat(
    volume: Volume,
    eye: tuple[float, float, float],
    axes: np.ndarray,
    width: int,
    height: int,
    fovy_deg: float = FOVY_DEG,
) -> np.ndarray:
    """The map viewer's picture in [0, 1], float64 [H, W, 3]: flat lit colours, clear sky, no fog, no limit.

    `axes` holds unit right, up, forward as rows; `eye`, in blocks, may lie outside the map.
    """
    out = np.empty((height, width, 3))
    rays = pixel_rays(width, height, fovy_deg)
    nx, ny, nz = volume.shape
    ox, oy, oz = eye
    _draw_flat(volume.flat, nx, ny, nz, SUN_LUT, SKY, ox, oy, oz, axes, rays, out)
    return out
