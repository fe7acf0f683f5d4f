"""The renderer's definition in torch: every crossing of a ray with the grid's planes, sorted. Float64 where asked.

Slow and large, [rays, X + Y + Z + 2] of everything; autograd differentiates it. Gradients are those of the equations in
render.py, at a_i = 1 too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from terrarium.worlds.blocks.palette import NORMALS
from terrarium.worlds.voxels.camera import Camera

PARALLEL = 1e-12  # a ray's component below it never crosses that axis's planes
SHORTEST = 1e-9  # blocks; a ray that grazes a voxel along less than this does not cross it
CHUNK = 2**22  # crossings at once: what bounds the memory of the sort


class Crossed(NamedTuple):
    """Voxels along rays: flat indices, faces of entry, distances float64, and whether there is one; all [R, K]."""

    voxel: Tensor
    face: Tensor
    t: Tensor
    there: Tensor


def crossed(shape: tuple[int, int, int], eye: Tensor, rays: Tensor) -> Crossed:
    """Every voxel of a grid of `shape` on unit rays float64 [R, 3] from `eye` float64 [3], nearest first."""
    times, crosses = [], []
    for axis in (2, 1, 0):  # of planes crossed at once, the last in this order is the face of entry
        planes = torch.arange(shape[axis] + 1, dtype=torch.float64, device=rays.device)
        d = rays[:, axis : axis + 1]
        along = (planes - eye[axis]) * (1 / d)
        times.append(torch.where(d.abs() < PARALLEL, torch.inf, along))
        crosses.append(torch.full_like(planes, axis, dtype=torch.int64))
    t, order = torch.cat(times, 1).sort(dim=1, stable=True)
    start, end = t[:, :-1].clamp(min=0), t[:, 1:].clamp(min=0)
    middle = (start + end) / 2
    there = (end - start > SHORTEST) & middle.isfinite()
    point = eye + torch.where(there, middle, 0)[..., None] * rays[:, None]
    place = point.floor().long()
    size = torch.tensor(shape, device=rays.device)
    there &= ((place >= 0) & (place < size)).all(-1)
    place = place.clamp(min=0).minimum(size - 1)
    voxel = (place[..., 0] * shape[1] + place[..., 1]) * shape[2] + place[..., 2]
    entered = torch.where(
        t[:, :-1] < 0, 1, torch.cat(crosses)[order[:, :-1]]
    )  # the eye's own voxel is entered from above or below
    face = 2 * entered + (rays.gather(1, entered) < 0).long()
    return Crossed(voxel, face, torch.where(there, start, 0), there)


def march(alpha: Tensor, face_colour: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """rgb [H, W, 3] before a background, opacity [H, W], depth [H, W], normal [H, W, 3], in alpha's dtype."""
    eye = torch.tensor(camera.eye, dtype=torch.float64, device=alpha.device)
    rays = torch.from_numpy(camera.rays()).to(alpha.device).reshape(-1, 3)
    parts = [_shade(alpha, face_colour, eye, some) for some in rays.split(max(1, CHUNK // (sum(alpha.shape) + 3)))]
    out = torch.cat(parts).reshape(camera.height, camera.width, 8)
    return out[..., :3], out[..., 3], out[..., 4], out[..., 5:]


def _shade(alpha: Tensor, face_colour: Tensor, eye: Tensor, rays: Tensor) -> Tensor:
    """rgb, opacity, depth, normal of rays [R, 3], [R, 8]."""
    voxel, face, t, there = crossed((alpha.shape[0], alpha.shape[1], alpha.shape[2]), eye, rays)
    a = alpha.reshape(-1)[voxel] * there
    passed = torch.cumprod(1 - a, dim=1)
    weight = a * torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], 1)
    colour = face_colour.reshape(-1, 3)[voxel * 6 + face]
    normal = torch.as_tensor(NORMALS).to(alpha)[face]
    rgb = (weight[..., None] * colour).sum(1)
    depth = (weight * t.to(alpha.dtype)).sum(1, keepdim=True)
    return torch.cat([rgb, weight.sum(1, keepdim=True), depth, (weight[..., None] * normal).sum(1)], 1)
