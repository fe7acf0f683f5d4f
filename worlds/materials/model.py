"""From three rectified views to four maps.

A shared encoder sees each view with the direction to its camera at every texel. Its coarsest features become tokens of
all views, with a place, a view and a pose each, which one transformer reads together; the decoder goes back up over
skips that are fused across views by their mean and their maximum. Any number of views fits: fused features do not
depend on it.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.checkpoint import build, load_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.materials.cameras import cameras, plane_points
from terrarium.worlds.materials.encoders import STAGES, Block, Encoder, norm
from terrarium.worlds.materials.maps import CHANNELS
from terrarium.worlds.precision import wide

KIND = "material-model"
POSE = 5  # numbers that stand for a pose
MOST_VIEWS = 8


class MaterialNet(nn.Module):
    """Maps [B, 8, H, W] of views [B, V, 3, H, W] in sRGB, rectified, with poses [B, V, 3], or None where they are
    unknown. H and W are multiples of `cell`."""

    def __init__(
        self, encoder: str, width: int, stride: int, dim: int, heads: int, depth: int, mlp_ratio: float
    ) -> None:
        super().__init__()
        self.encoder = Encoder(encoder, 3 + 3, width, stride)
        self.cell = stride * 2 ** (STAGES - 1)
        channels = self.encoder.channels
        self.transformer = Transformer(channels[-1], dim, heads, depth, mlp_ratio)
        self.fuse = nn.ModuleList([nn.Conv2d(2 * c, c, 1) for c in channels])
        self.up = nn.ModuleList([Block("plain", above + c, c) for c, above in pairwise(channels)])
        last = channels[0] // 2 if stride == 1 else width
        self.last = nn.Sequential(nn.Conv2d(channels[0] + 6, last, 3, padding=1), norm(last), nn.SiLU())
        self.heads = nn.Conv2d(last, CHANNELS, 3, padding=1)
        nn.init.zeros_(self.heads.weight)
        assert self.heads.bias is not None
        nn.init.zeros_(self.heads.bias)

    def forward(self, views: Tensor, poses: Tensor | None) -> Tensor:
        batch, count, _, height, width = views.shape
        if height % self.cell or width % self.cell or not 1 <= count <= MOST_VIEWS:
            raise ValueError(
                f"{count} views of {width} x {height}: expected 1 to {MOST_VIEWS}, sides a multiple of {self.cell}"
            )
        seen = torch.cat([views - 0.5, towards_eyes(views, poses)], dim=2)
        features = self.encoder(seen.flatten(0, 1))
        coarsest = features[-1].unflatten(0, (batch, count))
        features[-1] = self.transformer(coarsest, poses).flatten(0, 1)
        fused = [
            conv(across_views(x.unflatten(0, (batch, count)))) for conv, x in zip(self.fuse, features, strict=True)
        ]
        x = fused[-1]
        for level in reversed(range(STAGES - 1)):
            x = F.interpolate(x, fused[level].shape[-2:], mode="bilinear", align_corners=False)
            x = self.up[level](torch.cat([x, fused[level]], dim=1))
        x = F.interpolate(x, (height, width), mode="bilinear", align_corners=False) if x.shape[-1] != width else x
        pictures = torch.cat([views.mean(1), views.amin(1)], dim=1)
        return to_maps(wide(self.heads(self.last(torch.cat([x, pictures], dim=1)))), views)


class Transformer(nn.Module):
    """Tokens of all views see each other (Dosovitskiy et al. 2021, arXiv:2010.11929); [B, V, C, h, w] -> the same."""

    def __init__(self, channels: int, dim: int, heads: int, depth: int, mlp_ratio: float) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(channels, dim), nn.Linear(dim, channels)
        self.view = nn.Parameter(0.02 * torch.randn(MOST_VIEWS, dim))
        self.pose = nn.Sequential(nn.Linear(POSE, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.layers = nn.ModuleList([Layer(dim, heads, mlp_ratio) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)

    def forward(self, features: Tensor, poses: Tensor | None) -> Tensor:
        _, count, _, height, width = features.shape
        x = self.enter(features.flatten(3).mT)  # [B, V, h w, dim]
        x = x + places(height, width, x.shape[-1]).to(x) + self.view[:count, None]
        if poses is not None:
            x = x + self.pose(pose_features(poses)).unsqueeze(2)
        x = x.flatten(1, 2)
        for layer in self.layers:
            x = layer(x)
        changed = self.leave(self.norm(x)).unflatten(1, (count, height * width))
        return features + changed.mT.unflatten(-1, (height, width))


class Layer(nn.Module):
    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.heads, inner = heads, int(dim * mlp_ratio)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, inner), nn.GELU(), nn.Linear(inner, dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B, tokens, dim]; attention is computed in blocks, so memory grows with the tokens, not their square."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


def across_views(x: Tensor) -> Tensor:
    """[B, V, C, h, w] -> mean and maximum over views [B, 2 C, h, w]."""
    return torch.cat([x.mean(1), x.amax(1)], dim=1)


def to_maps(x: Tensor, views: Tensor) -> Tensor:
    """What the heads say -> maps. Zero stands for the darkest view as albedo, one half, and a flat normal."""
    darkest = views.amin(1).clamp(0.02, 0.98)
    albedo = torch.sigmoid(x[:, :3] + torch.log(darkest / (1 - darkest)))
    normal = F.normalize(torch.cat([x[:, 5:7], torch.ones_like(x[:, :1])], dim=1), dim=1)
    return torch.cat([albedo, torch.sigmoid(x[:, 3:5]), normal], dim=1)


def towards_eyes(views: Tensor, poses: Tensor | None) -> Tensor:
    """Unit vectors from each texel to each camera, [B, V, 3, H, W]; zero where poses are unknown."""
    if poses is None:
        return torch.zeros_like(views)
    eye = cameras(poses.flatten(0, 1)).eye[:, None, None]
    away = eye - plane_points(views.shape[-1]).to(views)
    return F.normalize(away, dim=-1).movedim(-1, 1).unflatten(0, views.shape[:2])


def pose_features(poses: Tensor) -> Tensor:
    """Poses [..., 3] -> [..., POSE], the same after a full turn."""
    polar, azimuth = torch.deg2rad(poses[..., 0]), torch.deg2rad(poses[..., 1])
    flat = polar.sin()
    found = [flat * azimuth.cos(), flat * azimuth.sin(), polar.cos(), 1 / poses[..., 2], torch.ones_like(polar)]
    return torch.stack(found, dim=-1)


def places(height: int, width: int, dim: int) -> Tensor:
    """Sines and cosines of rows and columns (Vaswani et al. 2017, arXiv:1706.03762), [h w, dim]; for any size."""
    quarter = dim // 4
    rate = torch.exp(-math.log(1000.0) * torch.arange(quarter) / quarter)
    rows, columns = (torch.arange(n).float()[:, None] * rate for n in (height, width))
    y, x = (torch.cat([each.sin(), each.cos()], dim=-1) for each in (rows, columns))
    both = torch.cat([y[:, None].expand(-1, width, -1), x[None].expand(height, -1, -1)], dim=-1)
    return F.pad(both.flatten(0, 1), (0, dim - 4 * quarter))


def load_model(folder: Path) -> tuple[MaterialNet, dict[str, Any]]:
    """-> model in eval mode on the default device, manifest. ValueError for any other kind of folder."""
    tensors, manifest = load_checkpoint(folder, KIND)
    full = {name: tensor.float() for name, tensor in tensors.items()}  # the shipped one is stored in bf16
    model = build(lambda: MaterialNet(**manifest["model"]), full, folder)
    return model.to(default_device()).eval().requires_grad_(False), manifest
