"""Blocks changed one by one until no single change brings their pictures nearer to known ones.

A picture of opaque blocks has one block a pixel, so what a change does to half the squared error is a sum over pixels:

    block at i gets material m      sum over pixels that show i         1/2 |c_m - t|^2 - 1/2 |C - t|^2
    air at i gets material m        sum over pixels that look through i, the same
    block at i goes                 sum over pixels that show i         1/2 |B - t|^2 - 1/2 |C - t|^2

with t the known colour, C the picture's, B that of what stands behind, and c_m by the face that a ray enters. The
renderer's backward pass makes these sums: the gradient of a face's colour is its share of every pixel times whatever
stands at the pixel, and empty voxels that are given a tiny opacity EMPTY have a share too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.blocks.palette import AIR, ID, sun_lut
from terrarium.worlds.voxels.grid import MATERIALS
from terrarium.worlds.voxels.guidance.base import View
from terrarium.worlds.voxels.render import of_blocks, render

EMPTY = 1e-5  # opacity of air, so that it takes part
THIN = 0.01  # share of the light that blocks let through where what stands behind them is sought
LEAST = 1e-3  # loss that a change has to save
IDS = torch.tensor([ID[name] for name in MATERIALS])
FACES = torch.from_numpy(sun_lut()[IDS]).float()  # [M, 6, 3]


def finished(blocks: np.ndarray, views: Sequence[View], pictures: Tensor, rounds: int) -> np.ndarray:
    """Blocks uint8 [X, Y, Z] after at most `rounds` rounds, pictures [N, H, W, 3] of the views; none that is worse."""
    error = loss(blocks, views, pictures)
    for _ in range(rounds):
        saved, becomes = offers(blocks, views, pictures)
        change = saved > LEAST
        while change.any():
            changed = np.where(change, becomes, blocks)
            found = loss(changed, views, pictures)
            if found < error:
                blocks, error = changed, found
                break
            # Changes on one ray are not independent: the better half of them, then.
            change &= saved > np.median(saved[change])
        else:
            break
    return blocks


@torch.no_grad()
def loss(blocks: np.ndarray, views: Sequence[View], pictures: Tensor) -> float:
    """Half the squared error over all pictures."""
    alpha, colour = of_blocks(blocks)
    drawn = (render(alpha, colour, view.camera).rgb for view in views)
    return sum(float(0.5 * (rgb - wanted).square().sum()) for rgb, wanted in zip(drawn, pictures, strict=True))


def offers(blocks: np.ndarray, views: Sequence[View], pictures: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What the best change of each voxel alone saves, [X, Y, Z], and the block (or air) that it makes, uint8."""
    pixels, wanted, now, gone = sums(blocks, views, pictures)
    cost = 0.5 * torch.einsum("xyzf,mf->xyzm", pixels, FACES.square().sum(-1))
    cost -= torch.einsum("xyzfc,mfc->xyzm", wanted, FACES)
    least, best = (cost + now.sum(-1, keepdim=True)).min(-1)
    solid = torch.from_numpy(blocks != AIR)
    saved = torch.where(solid, torch.maximum(-least, -gone), -least / EMPTY)
    becomes = torch.where(solid & (-gone > -least), AIR, IDS[best])
    return saved.numpy(), becomes.numpy().astype(np.uint8)


def sums(blocks: np.ndarray, views: Sequence[View], pictures: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Over pixels by voxel and face [X, Y, Z, 6]: their number; known colours [..., 3]; half their squares less the
    error as it is; and over faces too [X, Y, Z], the error without the block less that with it."""
    hard, colour = of_blocks(blocks)
    faint, thin = hard.clamp(min=EMPTY), hard * (1 - THIN)
    colour.requires_grad_()
    counted, wanted = torch.zeros_like(colour), torch.zeros_like(colour)
    for view, known in zip(views, pictures, strict=True):
        rgb = render(faint, colour, view.camera).rgb
        seen = rgb.detach()
        with torch.no_grad():
            behind = (render(thin, colour, view.camera).rgb - (1 - THIN) * seen) / THIN
        error, square = half(seen - known), half(known)
        values = torch.stack([torch.ones_like(error), square - error, half(behind - known) - error], -1)
        counted += torch.autograd.grad(rgb, colour, values, retain_graph=True)[0]
        wanted += torch.autograd.grad(rgb, colour, known)[0]
    pixels, now, gone = counted.unbind(-1)
    return pixels, wanted, now, gone.sum(-1)


def half(vector: Tensor) -> Tensor:
    """Half the square of vectors [..., 3]."""
    return 0.5 * vector.square().sum(-1)
