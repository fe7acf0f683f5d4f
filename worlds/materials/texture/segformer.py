"""SegFormer (Xie et al. 2021, arXiv:2105.15203) with any number of input channels: a hierarchical transformer without
places, and a decoder of linear layers. Group norm in the decoder in place of batch norm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.materials.encoders import norm

MLP = 4  # times as wide inside


@dataclass(frozen=True)
class Design:
    """Of four stages at 1/4, 1/8, 1/16 and 1/32 of the resolution: channels, layers, heads, and by how much keys and
    values are reduced along each side."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    decoder: int
    reductions: tuple[int, int, int, int] = (8, 4, 2, 1)


DESIGNS = {
    "tiny": Design((16, 24, 32, 48), (1, 1, 1, 1), (1, 1, 2, 2), 32),
    "b0": Design((32, 64, 160, 256), (2, 2, 2, 2), (1, 2, 5, 8), 256),
    "b2": Design((64, 128, 320, 512), (3, 4, 6, 3), (1, 2, 5, 8), 768),
}
CELL = 32


class SegFormer(nn.Module):
    """Pictures [B, inputs, H, W], H and W multiples of 32 -> logits [B, classes, H/4, W/4]."""

    def __init__(self, name: str, inputs: int, classes: int) -> None:
        super().__init__()
        design = DESIGNS[name]
        before = (inputs, *design.widths[:3])
        self.stages = nn.ModuleList(
            Stage(before[i], design.widths[i], design.depths[i], design.heads[i], design.reductions[i], first=i == 0)
            for i in range(4)
        )
        self.decoder = Decoder(design.widths, design.decoder, classes)

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for stage in self.stages:
            found.append(x := stage(x))
        return self.decoder(found)


class Stage(nn.Module):
    """Overlapping patches, then layers; [B, C, H, W] -> [B, width, H/4 or H/2, ...]."""

    def __init__(self, before: int, width: int, depth: int, heads: int, reduction: int, *, first: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(before, width, 7, 4, 3) if first else nn.Conv2d(before, width, 3, 2, 1)
        self.enter = nn.LayerNorm(width)
        self.layers = nn.ModuleList(Layer(width, heads, reduction) for _ in range(depth))
        self.leave = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        size = (x.shape[-2], x.shape[-1])
        x = self.enter(x.flatten(2).mT)
        for layer in self.layers:
            x = layer(x, size)
        return picture(self.leave(x), size)


class Layer(nn.Module):
    """Attention to keys of reduced resolution, and an MLP with a depthwise convolution, which knows places."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.reduce = nn.Conv2d(width, width, reduction, reduction) if reduction > 1 else None
        self.reduced = nn.LayerNorm(width) if reduction > 1 else None
        self.wide, self.narrow = nn.Linear(width, MLP * width), nn.Linear(MLP * width, width)
        self.around = nn.Conv2d(MLP * width, MLP * width, 3, padding=1, groups=MLP * width)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """[B, H W, C]"""
        x = x + self.attend(self.norm1(x), size)
        inner = self.around(picture(self.wide(self.norm2(x)), size)).flatten(2).mT
        return x + self.narrow(F.gelu(inner))

    def attend(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        seen = x
        if self.reduce is not None and self.reduced is not None:
            seen = self.reduced(self.reduce(picture(x, size)).flatten(2).mT)
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(seen).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Decoder(nn.Module):
    """Of the four stages' features."""

    def __init__(self, widths: tuple[int, ...], width: int, classes: int) -> None:
        super().__init__()
        self.enter = nn.ModuleList(nn.Conv2d(w, width, 1) for w in widths)
        self.fuse, self.norm = nn.Conv2d(4 * width, width, 1, bias=False), norm(width)
        self.out = nn.Conv2d(width, classes, 1)

    def forward(self, found: list[Tensor]) -> Tensor:
        size = found[0].shape[-2:]
        each = [
            F.interpolate(layer(x), size, mode="bilinear", align_corners=False)
            for layer, x in zip(self.enter, found, strict=True)
        ]
        return self.out(F.relu(self.norm(self.fuse(torch.cat(each[::-1], dim=1)))))


def picture(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[B, H W, C] -> [B, C, H, W]"""
    return x.mT.unflatten(-1, size)
