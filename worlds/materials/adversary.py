"""PatchGAN (Isola et al. 2017, arXiv:1611.07004): is each patch of these maps that of a surface, given its picture?"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.materials.encoders import norm
from terrarium.worlds.materials.maps import CHANNELS
from terrarium.worlds.materials.model import MaterialNet
from terrarium.worlds.precision import wide

GanLoss = Literal["hinge", "bce"]


class PatchGAN(nn.Module):
    """Logits [B, 1, h, w], high where real, of maps [B, 8, H, W] and the views [B, V, 3, H, W] that they are of.

    `layers` halve the picture and two more read it, all of 4 x 4: a logit sees 142 pixels a side with 4 layers and 574
    with 6. There is no sigmoid at the end.
    """

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(layers + 1)]
        strides = [2] * (layers - 1) + [1]
        parts: list[nn.Module] = [nn.Conv2d(CHANNELS + 3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for (before, after), stride in zip(pairwise(widths), strides, strict=True):
            parts += [nn.Conv2d(before, after, 4, stride, 1, bias=False), norm(after), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*parts, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, maps: Tensor, views: Tensor) -> Tensor:
        return wide(self.body(torch.cat([maps, views.mean(1)], dim=1)))


class Adversaries(nn.Module):
    """Who are trained against each other."""

    def __init__(self, generator: MaterialNet, critic: PatchGAN) -> None:
        super().__init__()
        self.generator, self.critic = generator, critic


def critic_loss(kind: GanLoss, real: Tensor, fake: Tensor) -> Tensor:
    """hinge: Lim and Ye 2017, arXiv:1705.02894; bce: Goodfellow et al. 2014, arXiv:1406.2661."""
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(kind: GanLoss, fake: Tensor) -> Tensor:
    return -fake.mean() if kind == "hinge" else F.softplus(-fake).mean()
