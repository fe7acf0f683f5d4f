"""DIAMOND's U-Net (Alonso et al. 2024, arXiv:2405.12399; sizes from its published configuration).

Every level has residual blocks whose group norms are scaled and shifted by a condition; the descent halves the picture,
the ascent gets what each block of the descent gave. Attention is in the middle alone. Second convolutions begin at
zero, so a new block passes its input through.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

GROUP = 32  # channels that are normalised together
HEAD = 8  # channels of an attention head


class UNet(nn.Module):
    """`channels` of each level, the finest first; `blocks` in each; `condition` is the width of what it is told."""

    def __init__(self, channels: tuple[int, ...], blocks: int, condition: int) -> None:
        super().__init__()
        down, up = [], []
        for outer, c in zip((channels[0], *channels), channels, strict=False):
            descent = [ResBlock(outer if i == 0 else c, c, condition) for i in range(blocks)]
            ascent = [ResBlock(2 * c, c, condition) for _ in range(blocks)] + [ResBlock(c + outer, outer, condition)]
            down.append(nn.ModuleList(descent))
            up.append(nn.ModuleList(ascent))
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(reversed(up))
        self.shrink = nn.ModuleList([nn.Identity(), *(nn.Conv2d(c, c, 3, stride=2, padding=1) for c in channels[:-1])])
        self.grow = nn.ModuleList([nn.Identity(), *(Double(c) for c in reversed(channels[:-1]))])
        self.middle = nn.ModuleList([ResBlock(channels[-1], channels[-1], condition, attend=True) for _ in range(2)])

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """x [B, C, H, W], both sides a multiple of 2^(levels - 1), condition [B, D] -> [B, C, H, W]."""
        skips = []
        for shrink, blocks in zip(self.shrink, self.down, strict=True):
            x = shrink(x)
            skips.append(x)
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, condition)
                skips.append(x)
        for block in self.middle:
            x = block(x, condition)
        for grow, blocks in zip(self.grow, self.up, strict=True):
            x = grow(x)
            for block in blocks:  # type: ignore[attr-defined]
                x = block(torch.cat([x, skips.pop()], dim=1), condition)
        return x


class ResBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, condition: int, *, attend: bool = False) -> None:
        super().__init__()
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.norm1, self.conv1 = ToldNorm(inputs, condition), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = ToldNorm(outputs, condition), nn.Conv2d(outputs, outputs, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        self.attention = Attention(outputs) if attend else nn.Identity()

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.silu(self.norm1(x, condition)))
        y = self.conv2(F.silu(self.norm2(y, condition)))
        return self.attention(self.skip(x) + y)


class ToldNorm(nn.Module):
    """Adaptive group norm: scale and shift come from the condition."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = group_norm(channels, affine=False)
        self.affine = nn.Linear(condition, 2 * channels)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        scale, shift = self.affine(condition)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(x), 1 + scale)


class Attention(nn.Module):
    """Self-attention over all cells, as a residual that begins at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD)
        self.norm = group_norm(channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).transpose(3, 4).unbind(1)
        seen = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(seen.transpose(2, 3).reshape(b, c, h, w))


class Double(nn.Module):
    """Twice as high and wide."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


def group_norm(channels: int, *, affine: bool = True) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // GROUP), channels, affine=affine)
