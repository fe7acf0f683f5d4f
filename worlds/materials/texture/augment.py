"""What training does to samples: crops that grow, jitter, and what games do to photographs of their textures."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.materials.texture.sample import DIFFUSE

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
BLUR = 23  # pixels: the window of the blur that occlusion is guessed by
SIGMA = 0.3 * ((BLUR - 1) * 0.5 - 1) + 0.8  # what OpenCV takes for that window
EACH = 0.5  # probability of each of the three


def crop_side(epoch: int, epochs: int, first: int, last: int, cell: int) -> int:
    """first + (e - 1) / (E - 1) (last - first), down to a multiple of `cell`; epochs count from 1."""
    share = (epoch - 1) / max(1, epochs - 1)
    return max(cell, int(first + share * (last - first)) // cell * cell)


def photometric(diffuse: Tensor, rng: np.random.Generator, strength: float = 1.0) -> Tensor:
    """A diffuse [3, H, W] in sRGB: occlusion in its colours, a cold white balance, a vignette, each half of the time.
    `strength` .5 moves every factor half as far from 1."""
    tinted, cold, dark = rng.random(3) < EACH
    s, (red, blue), edge = rng.uniform(0.10, 0.25), rng.uniform((0.90, 1.02), (0.98, 1.10)), rng.uniform(0.85, 0.95)
    if tinted:
        diffuse = diffuse * occlusion_tint(diffuse, strength * s)
    if cold:
        diffuse = diffuse * white_balance(1 + strength * (red - 1), 1 + strength * (blue - 1))
    if dark:
        diffuse = diffuse * vignette(diffuse.shape[-2], diffuse.shape[-1], 1 + strength * (edge - 1))
    return diffuse.clamp(0, 1)


def occlusion_tint(diffuse: Tensor, s: float) -> Tensor:
    """1 - s (1 - blur(luma)) [1, H, W]."""
    luma = torch.einsum("c,chw->hw", torch.tensor(LUMA), diffuse)
    return 1 - s * (1 - blurred(luma[None]))


def white_balance(red: float, blue: float) -> Tensor:
    return torch.tensor([red, 1.0, blue]).view(3, 1, 1)


def vignette(rows: int, columns: int, edge: float) -> Tensor:
    """[H, W], 1 in the middle, `edge` in the corners, by the square of the distance."""
    y, x = ((2 * (torch.arange(n) + 0.5) / n - 1).square() for n in (rows, columns))
    return 1 - (1 - edge) * (y[:, None] + x) / 2


def blurred(x: Tensor) -> Tensor:
    """[C, H, W], a Gaussian of 23 pixels; borders are repeated."""
    reach = BLUR // 2
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / SIGMA).square())
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    x = F.pad(x[:, None], (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(x, kernel), kernel.mT)[:, 0]


def jittered(x: Tensor, rng: np.random.Generator, most: float) -> Tensor:
    """A sample whose diffuse is brighter or darker, and of more or less contrast, by up to a share `most`."""
    brightness, contrast = rng.uniform(1 - most, 1 + most, 2)
    out = x.clone()
    diffuse = x[DIFFUSE]
    middle = diffuse.mean((-2, -1), keepdim=True)
    out[DIFFUSE] = (brightness * (middle + contrast * (diffuse - middle))).clamp(0, 1)
    return out
