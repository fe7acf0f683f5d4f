"""The painter: redraws the composed picture before it is shown and fed back.

What comes into view is drawn by a small head that was trained against a truth that nobody can know, and what is
stretched or sampled many times goes soft. The painter, a U-Net, is trained against a discriminator on long rollouts of
its own (train_painter.py), so that frame 500 looks like some frame of the world, if not like the true one.

    1/2: unshuffle -> conv ------------------------------ + -> block -> conv -> binomial filter -> shuffle, added
    1/4:               \\-> conv, stride 2 ------- + -> block -/
    1/8:                        \\-> conv, stride 2 -> block -/

Shapes as in dynamics.py: H x W the frame's pixels.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from terrarium.worlds.precision import wide

CLUES = 3  # mask, known, fresh
SHUFFLE = 2  # pixels a cell of the finest level
NEAR_ZERO = 0.1  # of their usual size, where weights should do little at first


class Painter(nn.Module):
    """`channels` at half the frame's resolution, twice as many at a quarter, 8/3 at an eighth."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = [channels, 2 * channels, 8 * channels // 3]
        colours = 3 * SHUFFLE**2
        self.look = nn.Conv2d((3 + CLUES) * SHUFFLE**2, c[0], 3, padding=1)
        self.down = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(c)])
        self.up = nn.ModuleList([nn.Conv2d(b, a, 3, padding=1) for a, b in pairwise(c)])
        self.blocks = nn.ModuleList([Block(n) for n in c])
        for conv in (self.look, *self.down, *self.up):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        self.out = nn.Conv2d(c[0], colours, 3, padding=1)
        with torch.no_grad():
            for p in self.out.parameters():  # at the start it leaves everything as it is
                p.zero_()

    def forward(self, picture: torch.Tensor, clues: torch.Tensor) -> torch.Tensor:
        """picture [N, 3, H, W] in [-.5, .5], clues [N, 3, H, W] in [0, 1] -> picture [N, 3, H, W], not clamped.

        The clues are a `Prediction`'s mask, known and fresh. H and W are multiples of 4; where they are none of 8, the
        coarsest level is cut to size.
        """
        x = torch.cat([picture, clues], dim=1)
        x = F.pixel_unshuffle(x, SHUFFLE).contiguous(memory_format=torch.channels_last)
        x = F.silu(self.look(x))
        skips = []
        for down in self.down:
            skips.append(x)
            x = F.silu(down(x))
        x = self.blocks[-1](x)
        for up, block, skip in zip(reversed(self.up), list(self.blocks)[-2::-1], reversed(skips), strict=True):
            wider = F.interpolate(x, scale_factor=2)[:, :, : skip.shape[2], : skip.shape[3]]
            x = block(skip + up(wider))
        return wide(picture) + binomial(F.pixel_shuffle(wide(self.out(F.silu(x))), SHUFFLE))


def binomial(x: torch.Tensor) -> torch.Tensor:
    """[N, 3, H, W] filtered by [1 2 1] / 4 each way: what alternates from pixel to pixel, as pixel shuffles draw it, is
    gone. Not by a padded convolution: Inductor (torch 2.13) cannot fuse a replicating pad with the pixel shuffle."""
    for d in (2, 3):
        n = x.shape[d]
        before = torch.cat([x.narrow(d, 0, 1), x.narrow(d, 0, n - 1)], dim=d)
        after = torch.cat([x.narrow(d, 1, n - 1), x.narrow(d, n - 1, 1)], dim=d)
        x = (before + 2 * x + after) / 4
    return x


class Block(nn.Module):
    """A residual block without a norm, near the identity at the start."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            for conv in (self.conv1, self.conv2):
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            self.conv2.weight.mul_(NEAR_ZERO)
            nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))
