"""Encoders that all views go through, four stages each: a UNet's, a ResNet's (He et al. 2015, arXiv:1512.03385) or one
of inverted bottlenecks, as MobileNetV2 has them (Sandler et al. 2018, arXiv:1801.04381).

Group norms (Wu and He 2018, arXiv:1803.08494) in place of batch norms: views of a few materials make a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

STAGES = 4


@dataclass(frozen=True)
class Design:
    """Blocks in each stage; a bottleneck's output is four times as wide as the stage's width."""

    blocks: tuple[int, int, int, int]
    block: str  # plain, basic, bottleneck or inverted


DESIGNS = {
    "mobile": Design((1, 2, 2, 2), "inverted"),
    "unet": Design((1, 1, 1, 1), "plain"),
    "resnet18": Design((2, 2, 2, 2), "basic"),
    "resnet34": Design((3, 4, 6, 3), "basic"),
    "resnet50": Design((3, 4, 6, 3), "bottleneck"),
    "resnet101": Design((3, 4, 23, 3), "bottleneck"),
    "resnet152": Design((3, 8, 36, 3), "bottleneck"),
}
EXPANDED = 4  # channels in the middle of an inverted block, for each of its output
WIDER = {"plain": 1, "inverted": 1, "basic": 1, "bottleneck": 4}


class Encoder(nn.Module):
    """Pictures [B, C, H, W] -> features of the four stages, finest first, [B, channels[i], H / (stride 2^i), ...]."""

    def __init__(self, name: str, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        design = DESIGNS[name]
        self.stride = stride
        self.channels = [width * 2**i * WIDER[design.block] for i in range(STAGES)]
        self.stem = nn.Conv2d(inputs, width, 3, stride=stride, padding=1)
        stages, before = [], width
        for i, (count, after) in enumerate(zip(design.blocks, self.channels, strict=True)):
            first = Block(design.block, before, after, stride=1 if i == 0 else 2)
            stages.append(nn.Sequential(first, *(Block(design.block, after, after) for _ in range(count - 1))))
            before = after
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x, found = self.stem(x), []
        for stage in self.stages:
            found.append(x := stage(x))
        return found


class Block(nn.Module):
    """plain: two convolutions; basic: the same with a way around; bottleneck: 1x1, 3x3, 1x1 with a way around;
    inverted: the same, wide in the middle, where each channel goes by itself."""

    def __init__(self, kind: str, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        inner = after // WIDER[kind]
        if kind == "bottleneck":
            self.body = nn.Sequential(
                *(nn.Conv2d(before, inner, 1, bias=False), norm(inner), nn.SiLU()),
                *(nn.Conv2d(inner, inner, 3, stride, 1, bias=False), norm(inner), nn.SiLU()),
                *(nn.Conv2d(inner, after, 1, bias=False), norm(after)),
            )
        elif kind == "inverted":
            inner = EXPANDED * after
            self.body = nn.Sequential(
                *(nn.Conv2d(before, inner, 1, bias=False), norm(inner), nn.SiLU()),
                *(nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), norm(inner), nn.SiLU()),
                *(nn.Conv2d(inner, after, 1, bias=False), norm(after)),
            )
        else:
            self.body = nn.Sequential(
                *(nn.Conv2d(before, after, 3, stride, 1, bias=False), norm(after), nn.SiLU()),
                *(nn.Conv2d(after, after, 3, 1, 1, bias=False), norm(after)),
            )
        self.around: nn.Module | None = None
        if kind != "plain":
            same = before == after and stride == 1
            self.around = nn.Identity() if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return F.silu(y if self.around is None else y + self.around(x))


def norm(channels: int) -> nn.GroupNorm:
    """Groups of 8 channels, or one where the width is no multiple of 8."""
    return nn.GroupNorm(channels // 8 if channels % 8 == 0 else 1, channels)
