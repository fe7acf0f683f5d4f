"""The renderer by a rasteriser: nvdiffrast's depth peeling finds what the marches find by walking along rays.

A ray enters each voxel that it crosses through one of the faces turned to the eye, so these faces, peeled layer by
layer, are the ray's crossings in their order. All of them are drawn, those between two voxels too: where voxels are
half-transparent, nothing hides what is behind it. Opacity and colour are gathered by the number of the face, so
gradients are those of kernels/march/naive.py; the rasteriser passes none on, since voxels do not move.

A rasteriser rounds: nvdiffrast moves corners to a 16th of a pixel and tells layers apart by a float32 of 1 / depth.
Crossings next to a voxel's edge may go to its neighbour, and of two in the same place one is lost.

nvdiffrast (https://nvlabs.github.io/nvdiffrast, 0.3 or newer) is not for commercial use; it is used where it is
installed, and comes with nothing of ours.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.util import find_spec
from math import prod, radians, tan
from typing import Any

import torch
from torch import Tensor

from terrarium.kernels.march.naive import Crossed, over
from terrarium.worlds.voxels.camera import Camera

DEVICES = ("cuda",)  # where the rasteriser runs
NEAREST = 0.02  # blocks from the eye: nearer faces are cut off. Smaller values tell fewer layers apart far away
MOST_TRIANGLES = 2**24  # that float32 numbers can name
AHEAD = 1e-6  # blocks: the voxel that the eye is in is the one so far along the ray
Shape = tuple[int, int, int]


def installed() -> bool:
    return "nvdiffrast" in sys.modules or find_spec("nvdiffrast") is not None


def march(alpha: Tensor, face_colour: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As reference.march. ValueError for more faces than the rasteriser can number."""
    shape = (alpha.shape[0], alpha.shape[1], alpha.shape[2])
    eye = torch.tensor(camera.eye, dtype=torch.float64, device=alpha.device)
    rays = torch.from_numpy(camera.rays()).to(alpha.device).reshape(-1, 3)
    out = over(alpha, face_colour, crossed(shape, eye, rays, camera)).reshape(camera.height, camera.width, 8)
    return out[..., :3], out[..., 3], out[..., 4], out[..., 5:]


def crossed(shape: Shape, eye: Tensor, rays: Tensor, camera: Camera) -> Crossed:
    """The voxels on a camera's rays [H * W, 3] as kernels.march.naive.crossed lists them, up to rounding."""
    first = own(shape, eye, rays)
    voxel, face, quads = facing(shape, eye)
    if not len(voxel):
        return first
    layers = peeled(clip(shape, camera, eye.device), triangles(quads), camera)
    number = torch.stack([layer.flatten() for layer in layers], 1)
    there, number = number > 0, (number - 1).clamp(min=0) // 2  # two triangles a face, numbered from 1
    voxel, face = voxel[number], face[number]
    axis = face // 2
    plane = torch.stack(coordinates(voxel, shape), -1).gather(-1, axis[..., None])[..., 0] + face % 2
    t = torch.where(there, (plane - eye[axis]) / rays.gather(1, axis), 0)
    return Crossed(*(torch.cat(pair, 1) for pair in zip(first, (voxel, face, t, there), strict=True)))


def own(shape: Shape, eye: Tensor, rays: Tensor) -> Crossed:
    """The voxel that the eye is in, one for each ray, which no face of its own shows."""
    place = (eye + AHEAD * rays).floor().long()
    size = torch.tensor(shape, device=rays.device)
    there = ((place >= 0) & (place < size)).all(-1, keepdim=True) & ((eye > 0) & (eye < size)).all()
    place = place.clamp(min=0).minimum(size - 1)
    voxel = (place[:, :1] * shape[1] + place[:, 1:2]) * shape[2] + place[:, 2:]
    return Crossed(voxel, 2 + (rays[:, 1:2] < 0).long(), torch.zeros_like(rays[:, :1]), there)


def facing(shape: Shape, eye: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Faces turned to the eye: voxels [F], faces [F], and the numbers of their four corners [F, 4] among the grid's
    (X + 1) (Y + 1) (Z + 1)."""
    nx, ny, nz = shape
    voxels = torch.arange(prod(shape), device=eye.device)
    places = coordinates(voxels, shape)
    steps = ((ny + 1) * (nz + 1), nz + 1, 1)  # between corners, along x, y and z
    corner = sum((place * step for place, step in zip(places, steps, strict=True)), torch.zeros_like(voxels))
    found = []
    for axis, place in enumerate(places):
        along, across = (step for k, step in enumerate(steps) if k != axis)
        for high, turned in enumerate((eye[axis] < place, eye[axis] > place + 1)):
            a = corner[turned] + high * steps[axis]
            quads = torch.stack([a, a + along, a + along + across, a + across], 1)
            found.append((voxels[turned], torch.full_like(a, 2 * axis + high), quads))
    voxel, face, quads = (torch.cat(parts) for parts in zip(*found, strict=True))
    if 2 * len(voxel) > MOST_TRIANGLES:
        raise ValueError(
            f"{nx} x {ny} x {nz} voxels turn {len(voxel)} faces to the eye: the backend nvdiffrast draws at most "
            f"{MOST_TRIANGLES // 2}"
        )
    return voxel, face, quads


def coordinates(voxel: Tensor, shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
    """x, y and z of flat indices."""
    return voxel // (shape[1] * shape[2]), voxel // shape[2] % shape[1], voxel % shape[2]


def triangles(quads: Tensor) -> Tensor:
    """Two of each quad, one after the other: int32 [2 F, 3]."""
    return quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3).int()


def clip(shape: Shape, camera: Camera, device: torch.device) -> Tensor:
    """The grid's corners in clip space, float32 [V, 4], z from -1 at the nearest to 1 at the farthest that matters.

    y points down, so that the rasteriser's first row, its lowest, is the picture's first.
    """
    sides = [torch.arange(n + 1, dtype=torch.float64) for n in shape]
    corners = torch.cartesian_prod(*sides) - torch.tensor(camera.eye, dtype=torch.float64)
    x, y, depth = (corners @ torch.from_numpy(camera.axes).T.double()).unbind(1)
    near, far = max(NEAREST, 0.99 * float(depth.min())), max(2 * NEAREST, 1.01 * float(depth.max()))
    f = 1 / tan(radians(camera.fovy_deg) / 2)
    z = ((far + near) * depth - 2 * far * near) / (far - near)
    return torch.stack([x * f * camera.height / camera.width, -y * f, z, depth], 1).float().contiguous().to(device)


def peeled(corners: Tensor, faces: Tensor, camera: Camera) -> list[Tensor]:
    """Numbers of the triangles that each pixel shows, from 1, 0 for none: int64 [H, W], nearest layer first."""
    import nvdiffrast.torch as rasteriser

    layers: list[Tensor] = []
    size = (camera.height, camera.width)
    with rasteriser.DepthPeeler(_context(corners.device), corners[None], faces, size, grad_db=False) as peeler:
        while not layers or layers[-1].any():
            layers.append(peeler.rasterize_next_layer()[0][0, ..., 3].long())
    return layers


@lru_cache(maxsize=8)
def _context(device: torch.device) -> Any:
    """Of the rasteriser on a device; making one takes a while."""
    import nvdiffrast.torch as rasteriser

    return rasteriser.RasterizeCudaContext(device=device)
