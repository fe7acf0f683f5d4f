"""From three rectified views to four maps.

A shared encoder sees each view with the direction to its camera at every texel and what photometric stereo makes of all
views (stereo.py). Its coarsest features become tokens of all views, with a place, a view and a pose each, which one
transformer reads together; the decoder goes back up over skips that are fused across views by their mean and their
maximum. Any number of views fits: fused features do not depend on it.
"""

from __future__ import annotations

import math
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.checkpoint import build, load_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.materials.encoders import STAGES, Block, Encoder, norm
from terrarium.worlds.materials.maps import METALLIC
from terrarium.worlds.materials.stereo import Clues, clues
from terrarium.worlds.precision import wide

KIND = "material-model"
POSE = 5  # numbers that stand for a pose
SEEN = 3 + 3 + 1 + 2  # of each view: colours, direction to the camera, change, slope
PICTURES = 3 + 3 + 2 + 1  # of all views: mean and least colours, slope, deviation of the changes
OUTPUTS = 3 + 2 + 2 + 1  # albedo, roughness and metallic, normal, trust in the slope
PLACES = 8.0  # radians of the fastest wave across a picture
ROOM = 0.05  # how far metalness reaches beyond 0 and 1, where it is cut: most surfaces have exactly none
MOST_VIEWS = 8


class MaterialNet(nn.Module):
    """Maps [B, 8, H, W] of views [B, V, 3, H, W] in sRGB, rectified, with poses [B, V, 3], or None where they are
    unknown. H and W are multiples of `cell`."""

    def __init__(
        self, encoder: str, width: int, stride: int, dim: int, heads: int, depth: int, mlp_ratio: float
    ) -> None:
        super().__init__()
        self.encoder = Encoder(encoder, SEEN, width, stride)
        self.cell = stride * 2 ** (STAGES - 1)
        channels = self.encoder.channels
        self.transformer = Transformer(channels[-1], dim, heads, depth, mlp_ratio)
        self.fuse = nn.ModuleList([nn.Conv2d(2 * c, c, 1) for c in channels])
        after = "inverted" if encoder == "mobile" else "plain"
        self.up = nn.ModuleList([Block(after, above + c, c) for c, above in pairwise(channels)])
        last = channels[0] // 2 if stride == 1 else width
        self.last = nn.Sequential(nn.Conv2d(channels[0] + PICTURES, last, 3, padding=1), norm(last), nn.SiLU())
        self.heads = nn.Conv2d(last, OUTPUTS, 3, padding=1)
        nn.init.zeros_(self.heads.weight)
        assert self.heads.bias is not None
        nn.init.zeros_(self.heads.bias)

    def forward(self, views: Tensor, poses: Tensor | None) -> Tensor:
        return to_maps(*self.outputs(views, poses))

    def outputs(self, views: Tensor, poses: Tensor | None) -> tuple[Tensor, Clues]:
        """What the heads say, [B, OUTPUTS, H, W], and the clues that it is added to."""
        batch, count, _, height, width = views.shape
        if height % self.cell or width % self.cell or not 1 <= count <= MOST_VIEWS:
            raise ValueError(
                f"{count} views of {width} x {height}: expected 1 to {MOST_VIEWS}, sides a multiple of {self.cell}"
            )
        clue = clues(views, poses)
        slope = clue.slope.unsqueeze(1).expand(-1, count, -1, -1, -1)
        seen = torch.cat([views - 0.5, clue.towards, clue.change, slope], dim=2)
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
        changes = clue.change.square().mean(1).sqrt()
        pictures = torch.cat([views.mean(1), views.amin(1), clue.slope, changes], dim=1)
        return wide(self.heads(self.last(torch.cat([x, pictures], dim=1)))), clue


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


def to_maps(x: Tensor, clue: Clues) -> Tensor:
    """What the heads say -> maps. Zero stands for the albedo and half the slope of the clues, and for one half."""
    least = clue.albedo.clamp(0.02, 0.98)
    albedo = torch.sigmoid(x[:, :3] + torch.log(least / (1 - least)))
    metallic = ((1 + 2 * ROOM) * torch.sigmoid(x[:, METALLIC]) - ROOM).clamp(0, 1)
    slope = x[:, 5:7] + torch.sigmoid(x[:, 7:8]) * clue.slope
    normal = F.normalize(torch.cat([slope, torch.ones_like(x[:, :1])], dim=1), dim=1)
    return torch.cat([albedo, torch.sigmoid(x[:, 3:4]), metallic, normal], dim=1)


def pose_features(poses: Tensor) -> Tensor:
    """Poses [..., 3] -> [..., POSE], the same after a full turn."""
    polar, azimuth = torch.deg2rad(poses[..., 0]), torch.deg2rad(poses[..., 1])
    flat = polar.sin()
    found = [flat * azimuth.cos(), flat * azimuth.sin(), polar.cos(), 1 / poses[..., 2], torch.ones_like(polar)]
    return torch.stack(found, dim=-1)


def places(height: int, width: int, dim: int) -> Tensor:
    """Sines and cosines of rows and columns (Vaswani et al. 2017, arXiv:1706.03762), [h w, dim]; they run over the same
    range in pictures of every size."""
    quarter = dim // 4
    rate = PLACES * torch.exp(-math.log(1000.0) * torch.arange(quarter) / quarter)
    rows, columns = (((torch.arange(n) + 0.5) / n)[:, None] * rate for n in (height, width))
    y, x = (torch.cat([each.sin(), each.cos()], dim=-1) for each in (rows, columns))
    both = torch.cat([y[:, None].expand(-1, width, -1), x[None].expand(height, -1, -1)], dim=-1)
    return F.pad(both.flatten(0, 1), (0, dim - 4 * quarter))


def shipped_model() -> Path:
    """The checkpoint that comes with the project."""
    return Path(str(files("terrarium.worlds.materials") / "shipped"))


def load_model(folder: Path) -> tuple[MaterialNet, dict[str, Any]]:
    """-> model in eval mode on the default device, manifest; `shipped` is the one that comes with the project.
    ValueError for any other kind of folder."""
    folder = shipped_model() if str(folder) == "shipped" else folder
    tensors, manifest = load_checkpoint(folder, KIND)
    full = {name: tensor.float() for name, tensor in tensors.items()}  # the shipped one is stored in bf16
    model = build(lambda: MaterialNet(**manifest["model"]), full, folder)
    return model.to(default_device()).eval().requires_grad_(False), manifest
