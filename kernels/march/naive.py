"""Light along rays through a grid of half-transparent voxels: every crossing with the grid's planes, sorted.

    w_i = a_i prod_{j<i} (1 - a_j)
    rgb = sum w_i c_i        opacity = sum w_i        depth = sum w_i t_i        normal = sum w_i n_i

(Porter & Duff 1984's `over`, front to back.) a_i is the voxel's, whatever length of the ray lies in it; c_i and n_i are
those of the face through which the ray enters. Faces by outward normal: 0 -x, 1 +x, 2 -y, 3 +y, 4 -z, 5 +z. The voxel
that the eye is in counts at t = 0, with its top face if the ray points down, else its bottom. Crossings are found in
float64 whatever the dtype of the light.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

PARALLEL = 1e-12  # a ray's component below it never crosses that axis's planes
SHORTEST = 1e-9  # a ray that grazes a voxel along less than this does not cross it


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
    entered = torch.where(t[:, :-1] < 0, 1, torch.cat(crosses)[order[:, :-1]])  # the eye's own: from above or below
    face = 2 * entered + (rays.gather(1, entered) < 0).long()
    return Crossed(voxel, face, torch.where(there, start, 0), there)


def march(alpha: Tensor, face_colour: Tensor, eye: Tensor, rays: Tensor) -> Tensor:
    """alpha [X, Y, Z] in [0, 1], face_colour [X, Y, Z, 6, 3], eye float64 [3], unit rays float64 [R, 3]
    -> [R, 8]: rgb, opacity, depth, normal, in alpha's dtype."""
    return over(alpha, face_colour, crossed((alpha.shape[0], alpha.shape[1], alpha.shape[2]), eye, rays))


def over(alpha: Tensor, face_colour: Tensor, along: Crossed) -> Tensor:
    """The light of rays that cross these voxels, as `march`."""
    voxel, face, t, there = along
    a = alpha.reshape(-1)[voxel] * there
    passed = torch.cumprod(1 - a, dim=1)
    weight = a * torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], 1)
    normals = torch.eye(3).repeat_interleave(2, 0) * torch.tensor([-1.0, 1.0]).repeat(3)[:, None]
    seen = torch.cat(
        [
            face_colour.reshape(-1, 3)[voxel * 6 + face],
            torch.ones_like(weight)[..., None],
            t.to(weight)[..., None],
            normals.to(weight)[face],
        ],
        -1,
    )
    return (weight[..., None] * seen).sum(1)
