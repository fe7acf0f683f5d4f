"""The march in Triton: a ray a lane, 3-D DDA (Amanatides & Woo 1987) in step, alpha and colours from L2.

Maths and names: naive.py. Planes are computed in float64, not summed up, so that the crossings are naive.py's. A lane
rests when less than OPAQUE of its light is left. The backward notes the voxels of its rays, then takes them
from the last to the first, so that nothing is divided (b_i is what a ray adds to the loss from voxel i on):

    dL/da_i = T_i (s_i - b_{i+1})    dL/dc_i = T_i a_i dL/drgb    b_i = a_i s_i + (1 - a_i) b_{i+1}
    s_i = dL/drgb . c_i + dL/dopacity + dL/ddepth t_i + dL/dnormal . n_i

Its sums over rays are atomic: the order, and so the last bits of the gradients, change from run to run.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from terrarium.kernels.block_sizes import block_sizes
from terrarium.kernels.march.naive import PARALLEL as PARALLEL_
from terrarium.kernels.march.naive import SHORTEST as SHORTEST_

PARALLEL: tl.constexpr = tl.constexpr(PARALLEL_)
SHORTEST: tl.constexpr = tl.constexpr(SHORTEST_)
OPAQUE: tl.constexpr = tl.constexpr(1e-7)
SIZES = {"BLOCK": 128, "num_warps": 4}
SCRATCH = 2**28  # bytes for the voxels that a backward notes: more rays than fit are taken one part after another


@triton.jit
def _component(eye_ptr, rays_ptr, rows, mask, axis: tl.constexpr):
    """Eye, ray and inverse of the ray along an axis; the inverse is 0 where it is parallel to the planes."""
    o = tl.load(eye_ptr + axis)
    d = tl.load(rays_ptr + rows * 3 + axis, mask=mask, other=1.0)
    parallel = tl.abs(d) < PARALLEL
    return o, d, tl.where(parallel, 0.0, 1.0 / tl.where(parallel, 1.0, d))


@triton.jit
def _slab(o, inverse, n):
    """Where rays enter and leave [0, n) of an axis."""
    first, second = (0.0 - o) * inverse, (n - o) * inverse
    never = tl.where((o >= 0) & (o < n), -float("inf"), float("inf"))
    enter = tl.where(inverse == 0, never, tl.minimum(first, second))
    leave = tl.where(inverse == 0, -never, tl.maximum(first, second))
    return enter, leave


@triton.jit
def _next(o, inverse, place):
    """Distance to the plane through which a ray leaves voxel `place` of an axis."""
    return tl.where(inverse == 0, float("inf"), (place + (inverse > 0).to(tl.int32) - o) * inverse)


@triton.jit
def _place(o, d, t, n):
    """The voxel of an axis at distance t."""
    return tl.minimum(tl.maximum(tl.floor(o + d * t), 0.0), n - 1.0).to(tl.int32)


@triton.jit
def _begin(ox, oy, oz, dx, dy, dz, ix, iy, iz, nx, ny, nz, mask):
    """First voxel, its face of entry and distance, and which lanes meet the grid at all."""
    enter_x, leave_x = _slab(ox, ix, nx)
    enter_y, leave_y = _slab(oy, iy, ny)
    enter_z, leave_z = _slab(oz, iz, nz)
    t = tl.maximum(tl.maximum(enter_x, enter_y), enter_z)
    active = mask & (tl.minimum(tl.minimum(leave_x, leave_y), leave_z) > tl.maximum(t, 0.0))
    face = tl.where(enter_x == t, (dx < 0).to(tl.int32), 4 + (dz < 0).to(tl.int32))
    face = tl.where(((enter_x != t) & (enter_y == t)) | (t < 0), 2 + (dy < 0).to(tl.int32), face)
    t = tl.where(active, tl.maximum(t, 0.0), 0.0)
    return _place(ox, dx, t, nx), _place(oy, dy, t, ny), _place(oz, dz, t, nz), face, t, active


@triton.jit
def _step(x, y, z, ox, oy, oz, ix, iy, iz, tx, ty, tz, nx, ny, nz):
    """The next voxel, its face of entry, the distances to its planes, and whether it is in the grid."""
    go_x = (tx < ty) & (tx < tz)
    go_y = (ty <= tx) & (ty < tz)
    go_z = (go_x | go_y) == 0
    x += tl.where(go_x, tl.where(ix > 0, 1, -1), 0)
    y += tl.where(go_y, tl.where(iy > 0, 1, -1), 0)
    z += tl.where(go_z, tl.where(iz > 0, 1, -1), 0)
    face = tl.where(go_x, (ix < 0).to(tl.int32), tl.where(go_y, 2 + (iy < 0).to(tl.int32), 4 + (iz < 0).to(tl.int32)))
    inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny) & (z >= 0) & (z < nz)
    tx = tl.where(go_x, _next(ox, ix, x), tx)
    ty = tl.where(go_y, _next(oy, iy, y), ty)
    tz = tl.where(go_z, _next(oz, iz, z), tz)
    return x, y, z, face, tx, ty, tz, inside


@triton.jit
def march_fwd(
    alpha_ptr, colour_ptr, eye_ptr, rays_ptr, out_ptr, n_rays, nx, ny, nz, BLOCK: tl.constexpr,
):  # fmt: skip
    """Grid (ray blocks,). alpha [X, Y, Z], colour [X, Y, Z, 6, 3], eye [3] and rays [R, 3] in float64 -> out [R, 8]."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = rows < n_rays
    ox, dx, ix = _component(eye_ptr, rays_ptr, rows, mask, 0)
    oy, dy, iy = _component(eye_ptr, rays_ptr, rows, mask, 1)
    oz, dz, iz = _component(eye_ptr, rays_ptr, rows, mask, 2)
    x, y, z, face, t, active = _begin(ox, oy, oz, dx, dy, dz, ix, iy, iz, nx, ny, nz, mask)
    tx, ty, tz = _next(ox, ix, x), _next(oy, iy, y), _next(oz, iz, z)
    WIDE: tl.constexpr = alpha_ptr.dtype.element_ty
    light = tl.full((BLOCK,), 1.0, WIDE)
    red, green, blue = tl.zeros((BLOCK,), WIDE), tl.zeros((BLOCK,), WIDE), tl.zeros((BLOCK,), WIDE)
    opacity, depth = tl.zeros((BLOCK,), WIDE), tl.zeros((BLOCK,), WIDE)
    normal_x, normal_y, normal_z = tl.zeros((BLOCK,), WIDE), tl.zeros((BLOCK,), WIDE), tl.zeros((BLOCK,), WIDE)
    while tl.max(active.to(tl.int32), axis=0) > 0:
        leave = tl.minimum(tl.minimum(tx, ty), tz)
        there = active & (leave - t > SHORTEST)
        voxel = (x.to(tl.int64) * ny + y) * nz + z
        a = tl.load(alpha_ptr + voxel, mask=there, other=0.0)
        c_ptrs = colour_ptr + (voxel * 6 + face) * 3
        weight = light * a
        red += weight * tl.load(c_ptrs, mask=there, other=0.0)
        green += weight * tl.load(c_ptrs + 1, mask=there, other=0.0)
        blue += weight * tl.load(c_ptrs + 2, mask=there, other=0.0)
        opacity += weight
        depth += weight * t.to(WIDE)
        toward = tl.where(face % 2 == 1, weight, -weight)
        normal_x += tl.where(face < 2, toward, 0.0)
        normal_y += tl.where((face >= 2) & (face < 4), toward, 0.0)
        normal_z += tl.where(face >= 4, toward, 0.0)
        light *= 1 - a
        t = leave
        x, y, z, face, tx, ty, tz, inside = _step(x, y, z, ox, oy, oz, ix, iy, iz, tx, ty, tz, nx, ny, nz)
        active = active & inside & (light >= OPAQUE)
    out_ptrs = out_ptr + rows * 8
    tl.store(out_ptrs, red, mask=mask)
    tl.store(out_ptrs + 1, green, mask=mask)
    tl.store(out_ptrs + 2, blue, mask=mask)
    tl.store(out_ptrs + 3, opacity, mask=mask)
    tl.store(out_ptrs + 4, depth, mask=mask)
    tl.store(out_ptrs + 5, normal_x, mask=mask)
    tl.store(out_ptrs + 6, normal_y, mask=mask)
    tl.store(out_ptrs + 7, normal_z, mask=mask)


@triton.jit
def march_bwd(
    alpha_ptr, colour_ptr, eye_ptr, rays_ptr, grad_ptr, d_alpha_ptr, d_colour_ptr, code_ptr, light_ptr, t_ptr,
    n_rays, nx, ny, nz, NEED_ALPHA: tl.constexpr, NEED_COLOUR: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Grid (ray blocks,). Adds to d_alpha [X, Y, Z] and d_colour [X, Y, Z, 6, 3], where needed, for grad [R, 8].

    code int32, light and t, each [steps, R], are scratch: voxel * 6 + face of a step, or -1.
    """
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = rows < n_rays
    ox, dx, ix = _component(eye_ptr, rays_ptr, rows, mask, 0)
    oy, dy, iy = _component(eye_ptr, rays_ptr, rows, mask, 1)
    oz, dz, iz = _component(eye_ptr, rays_ptr, rows, mask, 2)
    x, y, z, face, t, active = _begin(ox, oy, oz, dx, dy, dz, ix, iy, iz, nx, ny, nz, mask)
    tx, ty, tz = _next(ox, ix, x), _next(oy, iy, y), _next(oz, iz, z)
    WIDE: tl.constexpr = alpha_ptr.dtype.element_ty
    light = tl.full((BLOCK,), 1.0, WIDE)
    # what the most opaque voxel lets through, and all the others: an opaque one's gradient is what stands behind it
    least, others = tl.full((BLOCK,), 1.0, WIDE), tl.full((BLOCK,), 1.0, WIDE)
    step = tl.zeros((), tl.int64)
    while tl.max(active.to(tl.int32), axis=0) > 0:
        leave = tl.minimum(tl.minimum(tx, ty), tz)
        there = active & (leave - t > SHORTEST)
        voxel = (x * ny + y) * nz + z
        at = step * n_rays + rows
        tl.store(code_ptr + at, tl.where(there, voxel * 6 + face, -1), mask=mask)
        tl.store(light_ptr + at, light, mask=mask)
        tl.store(t_ptr + at, t.to(WIDE), mask=mask)
        through = 1 - tl.load(alpha_ptr + voxel, mask=there, other=0.0)
        light *= through
        others *= tl.maximum(least, through)
        least = tl.minimum(least, through)
        t = leave
        x, y, z, face, tx, ty, tz, inside = _step(x, y, z, ox, oy, oz, ix, iy, iz, tx, ty, tz, nx, ny, nz)
        active = active & inside & (others >= OPAQUE)
        step += 1
    tl.debug_barrier()
    g_ptrs = grad_ptr + rows * 8
    red, green = tl.load(g_ptrs, mask=mask, other=0.0), tl.load(g_ptrs + 1, mask=mask, other=0.0)
    blue, opacity = tl.load(g_ptrs + 2, mask=mask, other=0.0), tl.load(g_ptrs + 3, mask=mask, other=0.0)
    depth = tl.load(g_ptrs + 4, mask=mask, other=0.0)
    behind = tl.zeros((BLOCK,), WIDE)
    while step > 0:
        step -= 1
        at = step * n_rays + rows
        code = tl.load(code_ptr + at, mask=mask, other=-1)
        there = code >= 0
        light = tl.load(light_ptr + at, mask=there, other=0.0)
        face, voxel = code % 6, code // 6
        a = tl.load(alpha_ptr + voxel, mask=there, other=0.0)
        c = code.to(tl.int64) * 3
        alone = red * tl.load(colour_ptr + c, mask=there, other=0.0)
        alone += green * tl.load(colour_ptr + c + 1, mask=there, other=0.0)
        alone += blue * tl.load(colour_ptr + c + 2, mask=there, other=0.0)
        alone += opacity + depth * tl.load(t_ptr + at, mask=there, other=0.0)
        toward = tl.load(g_ptrs + 5 + face // 2, mask=there, other=0.0)
        alone += tl.where(face % 2 == 1, toward, -toward)
        if NEED_ALPHA:
            tl.atomic_add(d_alpha_ptr + voxel, light * (alone - behind), mask=there)
        if NEED_COLOUR:
            weight = light * a
            tl.atomic_add(d_colour_ptr + c, weight * red, mask=there)
            tl.atomic_add(d_colour_ptr + c + 1, weight * green, mask=there)
            tl.atomic_add(d_colour_ptr + c + 2, weight * blue, mask=there)
        behind = tl.where(there, a * alone + (1 - a) * behind, behind)


def forward(alpha: torch.Tensor, colour: torch.Tensor, eye: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
    """Contiguous alpha [X, Y, Z], colour [X, Y, Z, 6, 3], eye float64 [3], rays float64 [R, 3] -> [R, 8]."""
    out = alpha.new_empty(len(rays), 8)
    sizes = block_sizes("march", SIZES, alpha.device)
    grid = (triton.cdiv(len(rays), sizes["BLOCK"]),)
    march_fwd[grid](alpha, colour, eye, rays, out, len(rays), *alpha.shape, **sizes)
    return out


def backward(
    alpha: torch.Tensor,
    colour: torch.Tensor,
    eye: torch.Tensor,
    rays: torch.Tensor,
    grad: torch.Tensor,
    need_alpha: bool,
    need_colour: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of alpha and colour for a contiguous grad [R, 8]; one that is not needed is empty."""
    sizes = block_sizes("march", SIZES, alpha.device)
    d_alpha = torch.zeros_like(alpha) if need_alpha else alpha.new_empty(0)
    d_colour = torch.zeros_like(colour) if need_colour else alpha.new_empty(0)
    steps = sum(alpha.shape) + 3
    most = max(sizes["BLOCK"], SCRATCH // (steps * (4 + 2 * alpha.element_size())))
    for some, its_grad in zip(rays.split(most), grad.split(most), strict=True):
        code = torch.empty(steps, len(some), dtype=torch.int32, device=alpha.device)
        light, t = (alpha.new_empty(steps, len(some)) for _ in range(2))
        grid = (triton.cdiv(len(some), sizes["BLOCK"]),)
        march_bwd[grid](
            alpha, colour, eye, some, its_grad, d_alpha, d_colour, code, light, t,
            len(some), *alpha.shape, NEED_ALPHA=need_alpha, NEED_COLOUR=need_colour, **sizes,
        )  # fmt: skip
    return d_alpha, d_colour
