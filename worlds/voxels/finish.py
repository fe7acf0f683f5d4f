"""Blocks changed one by one until no single change lowers a loss: half the squared error of their pictures against
known ones, plus `uneven` for each pair of blocks of different types that touch.

A picture of opaque blocks has one block a pixel, so what a change does to half the squared error is a sum over pixels:

    block at i gets material m      sum over pixels that show i         1/2 |c_m - t|^2 - 1/2 |C - t|^2
    air at i gets material m        sum over pixels that look through i, the same
    block at i goes                 sum over pixels that show i         1/2 |B - t|^2 - 1/2 |C - t|^2

with t the known colour, C the picture's, B that of what stands behind, and c_m by the face that a ray enters. The
renderer's backward pass makes these sums: the gradient of a face's colour is its share of every pixel times whatever
stands at the pixel, and empty voxels that are given a tiny opacity EMPTY have a share too. The pairs are a Potts model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
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


@dataclass(frozen=True, eq=False)
class Wanted:
    """What blocks should look like: `pictures` [N, H, W, 3] of the views, and how even."""

    views: Sequence[View]
    pictures: Tensor
    uneven: float = 0.0

    @torch.no_grad()
    def loss(self, blocks: np.ndarray) -> float:
        alpha, colour = of_blocks(blocks)
        drawn = (render(alpha, colour, view.camera).rgb for view in self.views)
        off = sum(float(half(rgb - known).sum()) for rgb, known in zip(drawn, self.pictures, strict=True))
        return off + (self.uneven * _pairs(blocks) if self.uneven else 0.0)


def finished(
    blocks: np.ndarray,
    wanted: Wanted,
    rounds: int,
    *,
    materials_only: bool = False,
    alive: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Blocks uint8 [X, Y, Z] after at most `rounds` rounds; none that is worse. With `materials_only` no block comes or
    goes. `alive` is called before each round."""
    error = wanted.loss(blocks)
    for _ in range(rounds):
        alive()
        saved, becomes = offers(blocks, wanted)
        change = saved > LEAST
        if materials_only:
            change &= (blocks != AIR) & (becomes != AIR)
        while change.any():
            changed = np.where(change, becomes, blocks)
            found = wanted.loss(changed)
            if found < error:
                blocks, error = changed, found
                break
            # Changes on one ray are not independent: the better half of them, then.
            change &= saved > np.median(saved[change])
        else:
            break
    return blocks


def offers(blocks: np.ndarray, wanted: Wanted) -> tuple[np.ndarray, np.ndarray]:
    """What the best change of each voxel alone saves, [X, Y, Z], and the block (or air) that it makes, uint8."""
    pixels, known, now, gone = sums(blocks, wanted.views, wanted.pictures)
    solid = torch.from_numpy(blocks != AIR)
    cost = 0.5 * torch.einsum("xyzf,mf->xyzm", pixels, FACES.square().sum(-1))
    cost += now.sum(-1, keepdim=True) - torch.einsum("xyzfc,mfc->xyzm", known, FACES)
    cost = torch.where(solid.unsqueeze(-1), cost, cost / EMPTY)
    if wanted.uneven:
        others, own = _others(blocks)
        cost, gone = cost + wanted.uneven * (others - own.unsqueeze(-1)), gone - wanted.uneven * own
    least, best = cost.min(-1)
    saved = torch.where(solid, torch.maximum(-least, -gone), -least)
    becomes = torch.where(solid & (-gone > -least), AIR, IDS[best])
    return saved.numpy(), becomes.numpy().astype(np.uint8)


def _others(blocks: np.ndarray) -> tuple[Tensor, Tensor]:
    """How many of its six neighbours would differ from each material at a voxel, [X, Y, Z, M], and do from what is
    there, [X, Y, Z]; air differs from nothing."""
    one = (torch.tensor(blocks).unsqueeze(-1) == IDS).float()
    wide = F.pad(one, (0, 0, 1, 1, 1, 1, 1, 1))
    middle = slice(1, -1)
    alike = (
        wide[2:, middle, middle]
        + wide[:-2, middle, middle]
        + wide[middle, 2:, middle]
        + wide[middle, :-2, middle]
        + wide[middle, middle, 2:]
        + wide[middle, middle, :-2]
    )
    others = alike.sum(-1, keepdim=True) - alike
    return others, (others * one).sum(-1)


def _pairs(blocks: np.ndarray) -> float:
    return float(_others(blocks)[1].sum()) / 2


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
