"""The discriminator that the painter is trained against: is this a frame of the world?

It sees pixels, the frozen tokenizer's features at two scales, and how much neighbouring pixels differ (which tells soft
from sharp before any filter has been learned). It answers for each cell, for each 2 x 2 cells, and for the picture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from terrarium.worlds.precision import wide
from terrarium.worlds.world_model.fits import DOWN
from terrarium.worlds.world_model.tokenizer import Tokenizer

WIDTHS = (96, 128, 64)  # of the cells, of 2 x 2 cells, of 4 x 4
WEIGHTS = (2 / 7, 4 / 7, 1 / 7)  # of the three answers
GLOBAL = 4  # cells a side that the answer for the picture is read from
SLOPE = 0.2  # of LeakyReLU

Answers = list[torch.Tensor]  # logits [N, 1, h, w], [N, 1, h / 2, w / 2], [N, 1, 1, 1]


class Discriminator(nn.Module):
    """`tokenizer` is used, not held: its weights belong to the world model."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.features = [tokenizer.encoder]  # in a list: no submodule, no weights of ours
        c, (a, b, d) = tokenizer.config.channels, WIDTHS
        seen = 3 * DOWN**2 + 4 * c + 2 * c + 3
        self.look = nn.Conv2d(seen, a, 3, padding=1)
        self.fine = Block(a)
        self.down = nn.Conv2d(a, b, 3, stride=2, padding=1)
        self.coarse = Block(b)
        self.far = nn.Conv2d(b, d, 3, stride=2, padding=1)
        self.answers = nn.ModuleList([nn.Conv2d(a, 1, 3, padding=1), nn.Conv2d(b, 1, 3, padding=1)])
        self.whole = nn.Linear(d * GLOBAL**2, 1)

    def forward(self, pictures: torch.Tensor) -> Answers:
        """[N, 3, H, W] in [-.5, .5] -> logits, high where real."""
        x = self.fine(leaky(self.look(self.see(pictures))))
        y = self.coarse(leaky(self.down(leaky(x))))
        z = F.adaptive_avg_pool2d(leaky(self.far(leaky(y))), GLOBAL)
        fine, coarse = (wide(out(leaky(part))) for out, part in zip(self.answers, (x, y), strict=True))
        return [fine, coarse, wide(self.whole(z.flatten(1)))[:, :, None, None]]

    def see(self, pictures: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] -> what is known of each cell, [N, seen, h, w]."""
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        encoder = self.features[0]
        half = encoder[:2](pictures)
        cells = encoder[2:5](half)
        parts = [F.pixel_unshuffle(pictures, DOWN), F.pixel_unshuffle(half, 2), cells, roughness(pictures)]
        return torch.cat([p.to(cells.dtype) for p in parts], dim=1).contiguous(memory_format=torch.channels_last)


def roughness(pictures: torch.Tensor) -> torch.Tensor:
    """[N, 3, H, W] -> mean |dx|, |dy| and |Laplacian| of each cell [N, 3, h, w]."""
    x = F.pad(wide(pictures), (1, 1, 1, 1), mode="replicate")
    middle = x[:, :, 1:-1, 1:-1]
    right, below = x[:, :, 1:-1, 2:] - middle, x[:, :, 2:, 1:-1] - middle
    laplacian = x[:, :, 1:-1, 2:] + x[:, :, 1:-1, :-2] + x[:, :, 2:, 1:-1] + x[:, :, :-2, 1:-1] - 4 * middle
    means = [part.abs().mean(dim=1, keepdim=True) for part in (right, below, laplacian)]
    return F.avg_pool2d(torch.cat(means, dim=1), DOWN)


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(leaky(self.conv1(leaky(x))))


def leaky(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, SLOPE)
