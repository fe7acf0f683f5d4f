"""The march of worlds/voxels/render.py, compiled: ray after ray forward, and a backward without division.

With s_i = dL/drgb . c_i + dL/dopacity + dL/ddepth t_i + dL/dnormal . n_i, what voxel i alone would add to the loss, and
b_i = a_i s_i + (1 - a_i) b_{i+1}, what the ray adds from voxel i on:

    dL/da_i = T_i (s_i - b_{i+1})        dL/dc_i = T_i a_i dL/drgb

Voxels and faces are those of kernels/march/naive.py, by 3-D DDA (Amanatides & Woo 1987); planes are computed, not
summed up, so that both find the same crossings. Rays are shared out to threads by rows; each has its own
gradients, added at the end.
"""

from __future__ import annotations

from math import floor, inf
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, prange

from terrarium.kernels.march.naive import PARALLEL, SHORTEST
from terrarium.worlds.blocks.jit import forget_stale, jit

OPAQUE = 1e-7  # light below it is not followed any farther: at most as much of a colour is lost
parallel: Any = njit(cache=True, nogil=True, parallel=True)
forget_stale(Path(__file__).parent)


@jit
def _ray(axes, rays, row, column):
    """A pixel's unit ray in the grid's axes, and each component's inverse, 0 where it meets no planes."""
    a, b, c = rays[row, column, 0], rays[row, column, 1], rays[row, column, 2]
    dx = a * axes[0, 0] + b * axes[1, 0] + c * axes[2, 0]
    dy = a * axes[0, 1] + b * axes[1, 1] + c * axes[2, 1]
    dz = a * axes[0, 2] + b * axes[1, 2] + c * axes[2, 2]
    ix = 1.0 / dx if abs(dx) >= PARALLEL else 0.0
    iy = 1.0 / dy if abs(dy) >= PARALLEL else 0.0
    iz = 1.0 / dz if abs(dz) >= PARALLEL else 0.0
    return dx, dy, dz, ix, iy, iz


@jit
def _slab(o, inverse, n):
    """Where a ray enters and leaves [0, n) of one axis."""
    if inverse == 0.0:
        return (-inf, inf) if 0.0 <= o < n else (inf, -inf)
    first, second = (0 - o) * inverse, (n - o) * inverse
    return (first, second) if inverse > 0.0 else (second, first)


@jit
def _next(o, inverse, place):
    """Distance to the plane through which a ray leaves voxel `place` of one axis."""
    if inverse == 0.0:
        return inf
    return (place + (1 if inverse > 0.0 else 0) - o) * inverse


@jit
def _start(o, d, t, n):
    """The voxel of one axis at distance t."""
    return min(max(floor(o + d * t), 0), n - 1)


@jit
def _trace(alpha, ny, nz, eye, dx, dy, dz, ix, iy, iz, spare, voxels, faces, distances, lights):
    """Lists the voxels on a ray with their faces of entry, distances and the light T_i that reaches them; their number.

    alpha [X, Y * Z]. The list ends where less than OPAQUE gets through. With `spare`, where less than OPAQUE would
    get through if any one voxel were not there: the gradient of an opaque voxel is what stands behind it.
    """
    nx = alpha.shape[0]
    ox, oy, oz = eye
    enter_x, leave_x = _slab(ox, ix, nx)
    enter_y, leave_y = _slab(oy, iy, ny)
    enter_z, leave_z = _slab(oz, iz, nz)
    t, end = max(enter_x, enter_y, enter_z), min(leave_x, leave_y, leave_z)
    if end <= max(t, 0.0):
        return 0
    axis = 0 if enter_x == t else (1 if enter_y == t else 2)
    if t < 0.0:
        t, axis = 0.0, 1
    x, y, z = _start(ox, dx, t, nx), _start(oy, dy, t, ny), _start(oz, dz, t, nz)
    face_x, face_y, face_z = int(dx < 0.0), 2 + int(dy < 0.0), 4 + int(dz < 0.0)
    step_x, step_y, step_z = (1 if dx > 0.0 else -1), (1 if dy > 0.0 else -1), (1 if dz > 0.0 else -1)
    face = face_x if axis == 0 else (face_y if axis == 1 else face_z)
    tx, ty, tz = _next(ox, ix, x), _next(oy, iy, y), _next(oz, iz, z)
    light, count = 1.0, 0
    least, others = 1.0, 1.0  # what the most opaque voxel lets through, and all the others together
    while True:
        leave = min(tx, ty, tz)
        if leave - t > SHORTEST:
            rest = y * nz + z
            voxels[count], faces[count], distances[count], lights[count] = x * ny * nz + rest, face, t, light
            through = 1.0 - alpha[x, rest]
            light *= through
            others *= max(least, through)
            least = min(least, through)
            count += 1
            if (others if spare else light) < OPAQUE:
                return count
        t = leave
        if tx < ty and tx < tz:
            x, face = x + step_x, face_x
            if x < 0 or x >= nx:
                return count
            tx = _next(ox, ix, x)
        elif ty < tz and ty <= tx:
            y, face = y + step_y, face_y
            if y < 0 or y >= ny:
                return count
            ty = _next(oy, iy, y)
        else:
            z, face = z + step_z, face_z
            if z < 0 or z >= nz:
                return count
            tz = _next(oz, iz, z)


@parallel
def forward(alpha, colour, ny, nz, eye, axes, rays, parts, rgb, opacity, depth, normal):
    """Fills rgb (without background) and normal [H, W, 3], opacity and depth [H, W].

    alpha [X, Y * Z], colour [X * Y * Z, 6, 3].
    """
    height, width = opacity.shape
    most = alpha.shape[0] + ny + nz + 3
    for part in prange(parts):
        voxels, faces = np.empty(most, np.int64), np.empty(most, np.int64)
        distances, lights = np.empty(most), np.empty(most)
        opacities = alpha.reshape(-1)
        for row in range(part, height, parts):
            for column in range(width):
                dx, dy, dz, ix, iy, iz = _ray(axes, rays, row, column)
                count = _trace(alpha, ny, nz, eye, dx, dy, dz, ix, iy, iz, False, voxels, faces, distances, lights)
                r = g = b = there = away = normal_x = normal_y = normal_z = 0.0
                for i in range(count):
                    weight = lights[i] * opacities[voxels[i]]
                    face = faces[i]
                    c = colour[voxels[i], face]
                    r, g, b = r + weight * c[0], g + weight * c[1], b + weight * c[2]
                    there += weight
                    away += weight * distances[i]
                    toward = weight if face & 1 else -weight
                    if face < 2:
                        normal_x += toward
                    elif face < 4:
                        normal_y += toward
                    else:
                        normal_z += toward
                rgb[row, column, 0], rgb[row, column, 1], rgb[row, column, 2] = r, g, b
                opacity[row, column], depth[row, column] = there, away
                normal[row, column, 0], normal[row, column, 1], normal[row, column, 2] = normal_x, normal_y, normal_z


@parallel
def backward(alpha, colour, ny, nz, eye, axes, rays, g_rgb, g_opacity, g_depth, g_normal, d_alpha, d_colour):
    """Fills d_alpha[0] and d_colour[0] with the gradients for those of forward's four pictures, g_rgb [H, W, 3] and on.

    d_alpha [parts, X * Y * Z] and d_colour [parts, X * Y * Z, 6, 3] need not be set: each thread clears its part and
    adds to it; then all threads together add the others to the first.
    """
    height, width = g_opacity.shape
    parts, cells = d_alpha.shape
    most = alpha.shape[0] + ny + nz + 3
    for part in prange(parts):
        d_alpha[part] = 0.0
        d_colour[part] = 0.0
        voxels, faces = np.empty(most, np.int64), np.empty(most, np.int64)
        distances, lights = np.empty(most), np.empty(most)
        opacities = alpha.reshape(-1)
        for row in range(part, height, parts):
            for column in range(width):
                dx, dy, dz, ix, iy, iz = _ray(axes, rays, row, column)
                count = _trace(alpha, ny, nz, eye, dx, dy, dz, ix, iy, iz, True, voxels, faces, distances, lights)
                red, green, blue = g_rgb[row, column, 0], g_rgb[row, column, 1], g_rgb[row, column, 2]
                g_there, g_away, behind = g_opacity[row, column], g_depth[row, column], 0.0
                for i in range(count - 1, -1, -1):
                    voxel, face, light = voxels[i], faces[i], lights[i]
                    a = opacities[voxel]
                    c = colour[voxel, face]
                    alone = red * c[0] + green * c[1] + blue * c[2] + g_there + g_away * distances[i]
                    alone += g_normal[row, column, face // 2] * (1.0 if face & 1 else -1.0)
                    d_alpha[part, voxel] += light * (alone - behind)
                    weight = light * a
                    d = d_colour[part, voxel, face]
                    d[0] += weight * red
                    d[1] += weight * green
                    d[2] += weight * blue
                    behind = a * alone + (1.0 - a) * behind
    for share in prange(parts):
        first, last = cells * share // parts, cells * (share + 1) // parts
        for part in range(1, parts):
            d_alpha[0, first:last] += d_alpha[part, first:last]
            d_colour[0, first:last] += d_colour[part, first:last]
