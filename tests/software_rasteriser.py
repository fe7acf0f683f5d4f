"""A small rasteriser on the CPU with the calls of nvdiffrast.torch that worlds/voxels/peel.py makes.

Pixels as nvdiffrast defines them: the first row is the lowest; (u, v, z/w, number of the triangle from 1); of what a
pixel shows, the next layer holds what is strictly farther, by a float32 of z/w. Coverage is exact, by homogeneous edge
functions (Olano & Greer 1997), with nothing rounded to parts of pixels; edges go to one of two triangles.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
import torch
from numba import njit

from terrarium.worlds.voxels import checks, peel


class RasterizeCudaContext:
    def __init__(self, device: torch.device | None = None) -> None:
        self.active_depth_peeler: DepthPeeler | None = None


class DepthPeeler:
    """pos float32 [1, V, 4] in clip space, tri int32 [F, 3], resolution (height, width)."""

    def __init__(self, glctx, pos, tri, resolution, ranges=None, grad_db=True) -> None:
        assert isinstance(glctx, RasterizeCudaContext)
        assert pos.dtype == torch.float32 and pos.ndim == 3 and pos.shape[2] == 4 and pos.is_contiguous()
        assert tri.dtype == torch.int32 and tri.ndim == 2 and tri.shape[1] == 3 and tri.is_contiguous()
        self.context, self.pos, self.tri, self.resolution = glctx, pos, tri, tuple(resolution)

    def __enter__(self) -> DepthPeeler:
        assert self.context.active_depth_peeler is None, "one peeler a context at a time"
        self.context.active_depth_peeler = self
        self.seen = np.full(self.resolution, -np.inf, np.float32)
        return self

    def __exit__(self, *_: object) -> None:
        self.context.active_depth_peeler = None

    def rasterize_next_layer(self) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.context.active_depth_peeler is self
        out = np.zeros((*self.resolution, 4), np.float32)
        nearest = np.full(self.resolution, np.inf, np.float32)
        draw(self.pos[0].double().numpy(), self.tri.numpy(), self.seen, nearest, out)
        self.seen = nearest
        return torch.from_numpy(out)[None], torch.zeros(1, *self.resolution, 0)


@njit(cache=True)
def edge(ax, ay, bx, by):
    """Twice the area from the pixel to an edge; exactly the negative with its ends exchanged."""
    return ax * by - ay * bx


@njit(cache=True)
def inside(value, sign, dx, dy):
    """On the side of an edge that is the triangle's; the edge itself is that of the triangle on one side of it."""
    return value * sign > 0 or (value == 0 and (sign * dy > 0 or (dy == 0 and sign * dx > 0)))


@njit(cache=True)
def draw(pos, tri, seen, nearest, out):
    height, width = seen.shape
    for number in range(len(tri)):
        p, q, r = pos[tri[number, 0]], pos[tri[number, 1]], pos[tri[number, 2]]
        if p[3] <= 0 and q[3] <= 0 and r[3] <= 0:
            continue
        first_row, last_row, first_column, last_column = 0, height - 1, 0, width - 1
        if p[3] > 0 and q[3] > 0 and r[3] > 0:
            xs, ys = (p[0] / p[3], q[0] / q[3], r[0] / r[3]), (p[1] / p[3], q[1] / q[3], r[1] / r[3])
            first_column = max(0, int((min(xs) + 1) * width / 2) - 1)
            last_column = min(width - 1, int((max(xs) + 1) * width / 2) + 1)
            first_row = max(0, int((min(ys) + 1) * height / 2) - 1)
            last_row = min(height - 1, int((max(ys) + 1) * height / 2) + 1)
        for row in range(first_row, last_row + 1):
            y = (2 * row + 1) / height - 1
            for column in range(first_column, last_column + 1):
                x = (2 * column + 1) / width - 1
                px, py, qx, qy = p[0] - x * p[3], p[1] - y * p[3], q[0] - x * q[3], q[1] - y * q[3]
                rx, ry = r[0] - x * r[3], r[1] - y * r[3]
                a, b, c = edge(qx, qy, rx, ry), edge(rx, ry, px, py), edge(px, py, qx, qy)
                total = a + b + c
                if total == 0:
                    continue
                sign = 1.0 if total > 0 else -1.0
                if not (
                    inside(a, sign, rx - qx, ry - qy)
                    and inside(b, sign, px - rx, py - ry)
                    and inside(c, sign, qx - px, qy - py)
                ):
                    continue
                w = (p[3] * a + q[3] * b + r[3] * c) / total
                z = (p[2] * a + q[2] * b + r[2] * c) / total
                depth = np.float32(z / w) if w > 0 else np.float32(np.inf)
                if abs(depth) <= 1 and depth > seen[row, column] and depth < nearest[row, column]:
                    nearest[row, column] = depth
                    out[row, column, 0], out[row, column, 1] = a / total, b / total
                    out[row, column, 2], out[row, column, 3] = depth, number + 1


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """This file in the place of nvdiffrast, for tensors on the CPU, and for the checks."""
    package = ModuleType("nvdiffrast")
    package.__spec__ = ModuleSpec("nvdiffrast", None, is_package=True)
    package.torch = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "nvdiffrast", package)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", sys.modules[__name__])
    monkeypatch.setattr(peel, "DEVICES", ("cuda", "cpu"))
    monkeypatch.setattr(checks, "HERE", ("nvdiffrast",))
    monkeypatch.setattr(checks, "FAST", ("nvdiffrast",))
    peel._context.cache_clear()
    monkeypatch.setattr(peel, "_context", peel._context.__wrapped__)
