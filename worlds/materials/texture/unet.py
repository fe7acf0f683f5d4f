"""A UNet (Ronneberger et al. 2015, arXiv:1505.04597) with a head a map, each with its own last upsampling, and FiLM
(Perez et al. 2018, arXiv:1709.07871) at the bottleneck."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.materials.encoders import STAGES, Block, Encoder, norm


class UNet(nn.Module):
    """Pictures [B, inputs, H, W], H and W multiples of 8 -> {head: [B, channels, H, W]}, any real numbers.

    `heads`: {name: channels}. `told`: channels of what FiLM is told, none: there is no FiLM. Heads begin as zero.
    """

    def __init__(self, inputs: int, width: int, heads: Mapping[str, int], told: int | None = None) -> None:
        super().__init__()
        self.encoder = Encoder("unet", inputs, width, stride=1)
        c = self.encoder.channels
        self.film = FiLM(told, c[-1]) if told is not None else None
        self.up = nn.ModuleList([Block("plain", c[i] + c[i + 1], c[i]) for i in range(STAGES - 2, 0, -1)])
        self.heads = nn.ModuleDict({name: Head(c[1], c[0], channels) for name, channels in heads.items()})

    def forward(self, x: Tensor, told: Tensor | None = None) -> dict[str, Tensor]:
        finest, *coarser = self.encoder(x)
        x = coarser.pop()
        if self.film is not None:
            assert told is not None
            x = self.film(x, told)
        for block in self.up:
            x = block(torch.cat([doubled(x), coarser.pop()], dim=1))
        return {name: head(x, finest) for name, head in self.heads.items()}


class FiLM(nn.Module):
    """x (1 + tanh(W_g c)) + W_b c at every place; nothing for c = 0."""

    def __init__(self, told: int, channels: int) -> None:
        super().__init__()
        self.gain, self.shift = (nn.Conv2d(told, channels, 1, bias=False) for _ in range(2))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """x [B, C, h, w], c [B, told, H, W]: the mean of each place is taken."""
        c = F.interpolate(c, x.shape[-2:], mode="area")
        return x * (1 + torch.tanh(self.gain(c))) + self.shift(c)


class Head(nn.Module):
    """From half the resolution [B, C, H/2, W/2] and the finest features to a map."""

    def __init__(self, inputs: int, finest: int, outputs: int) -> None:
        super().__init__()
        inner = max(8, finest // 2)
        self.enter = nn.Conv2d(inputs, inner, 1)
        self.join = nn.Conv2d(inner + finest, inner, 3, padding=1, bias=False)
        self.norm, self.out = norm(inner), nn.Conv2d(inner, outputs, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, finest: Tensor) -> Tensor:
        x = self.join(torch.cat([doubled(self.enter(x)), finest], dim=1))
        return self.out(F.silu(self.norm(x)))


def doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
