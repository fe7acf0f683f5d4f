"""What views say of a surface before anything is learned: photometric stereo (Woodham 1980, doi:10.1117/12.7972479).

A lamp beside the camera lights each texel from about where the camera is. A matt texel of slope s = n_xy / n_z sends
back a n.l = a n_z l_z (1 + s.p), with p = l_xy / l_z. Over what a flat one sends back, the logarithms of the views
differ by s.(p - mean p) to first order, which least squares solve for s, with a ridge, for any number of views. Gloss
makes the slopes too large, and what rectification blurred noisy: how far to trust them is for the network to say.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from terrarium.worlds.materials.cameras import eyes, plane_points
from terrarium.worlds.materials.colour import linear_to_srgb, srgb_to_linear
from terrarium.worlds.materials.photograph import LAMP, SKY

LAMP_MEAN = sum(LAMP) / 2 / math.pi
DARKEST = 0.003  # of apparent albedos, whose logarithms are taken
RIDGE = 0.1
STEEPEST = 2.0  # slope, 63 degrees


class Clues(NamedTuple):
    """All texel for texel, in fp32.

    towards  [B, V, 3, H, W]  unit vectors to each camera; zero where poses are unknown
    change   [B, V, 1, H, W]  logarithm of a view over a flat white surface's, less its mean over views; its mean over
                              texels, the exposure, is taken away before
    slope    [B, 2, H, W]     n_xy / n_z; zero where poses are unknown or there is one view
    albedo   [B, 3, H, W]     of the view in which it seems darkest, so the one with the least gloss, in sRGB
    """

    towards: Tensor
    change: Tensor
    slope: Tensor
    albedo: Tensor


def clues(views: Tensor, poses: Tensor | None) -> Clues:
    """Of rectified views [B, V, 3, H, W] in sRGB and their poses [B, V, 3], or None where they are unknown."""
    views = views.float()
    seen = srgb_to_linear(views)
    if poses is None:
        towards, shading = torch.zeros_like(views), torch.ones_like(views[:, :, :1])
    else:
        towards, shading = _lit_from(poses, views)
    apparent = seen / (LAMP_MEAN * shading + SKY)
    exposed = (apparent.mean(2, keepdim=True) + DARKEST).log()
    exposed = exposed - exposed.mean((-2, -1), keepdim=True)
    change = exposed - exposed.mean(1, keepdim=True)
    return Clues(towards, change, slopes(change, towards), linear_to_srgb(apparent.amin(1)))


def slopes(change: Tensor, towards: Tensor) -> Tensor:
    """[B, 2, H, W], by the normal equations of two unknowns."""
    p = towards[:, :, :2] / towards[:, :, 2:].clamp(min=0.2)
    x, y = (p - p.mean(1, keepdim=True)).unbind(2)
    change = change[:, :, 0]
    xx, xy, yy = (x * x).sum(1) + RIDGE, (x * y).sum(1), (y * y).sum(1) + RIDGE
    cx, cy = (x * change).sum(1), (y * change).sum(1)
    found = torch.stack([yy * cx - xy * cy, xx * cy - xy * cx], dim=1)
    return (found / (xx * yy - xy * xy).unsqueeze(1)).clamp(-STEEPEST, STEEPEST)


def _lit_from(poses: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors from each texel to each camera [B, V, 3, H, W], and what a flat white surface sends back of a lamp
    there, as a share of the lamp's brightness on the plane's middle [B, V, 1, H, W]."""
    away = (eyes(poses)[:, :, None, None] - plane_points(views.shape[-1]).to(views)).movedim(-1, 2)
    squared = away.square().sum(2, keepdim=True)
    towards = away / squared.sqrt()
    at_middle = (poses[..., 2] ** 2)[..., None, None, None]
    return towards, towards[:, :, 2:] * at_middle / squared
