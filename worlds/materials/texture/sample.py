"""A texture pair as one tensor [..., 14, H, W]: the eight channels of maps.py, and after them what the staged plan
adds. A value below zero says that this is not known."""

from __future__ import annotations

import torch
from torch import Tensor

from terrarium.worlds.materials.maps import ALBEDO, METALLIC, ROUGHNESS, smaller

AO, HEIGHT, DIFFUSE, LABEL = slice(8, 9), slice(9, 10), slice(10, 13), slice(13, 14)
TARGETS = {"albedo": ALBEDO, "roughness": ROUGHNESS, "metallic": METALLIC, "ao": AO, "height": HEIGHT}
CHANNELS = 14
UNKNOWN = -1.0
METAL = 0.5  # of metalness, from which a pixel counts as metal


def target(x: Tensor, name: str) -> Tensor:
    """A map of samples [..., 14, H, W] by its head's name; `metal` is the mask."""
    if name == "metal":
        return (x[..., METALLIC, :, :] >= METAL).to(x.dtype)
    return x[..., TARGETS[name], :, :]


def scaled(x: Tensor, side: int) -> Tensor:
    """A sample [14, H, W], made smaller by area until its shorter side is at most `side`; normals are unit vectors
    again. What is unknown, and the label, are one value for the whole texture, which stays."""
    small = smaller(x, side)
    if small is not x:
        small[LABEL] = x[LABEL].max()
    return small


def cropped(x: Tensor, top: int, left: int, side: int) -> Tensor:
    return x[..., top : top + side, left : left + side]


def joined(parts: list[Tensor]) -> Tensor:
    """One sample of two halves, or of four quarters, each from another one of the same size."""
    rows, columns = (s // 2 for s in parts[0].shape[-2:])
    out = parts[0].clone()
    out[..., columns:] = parts[1][..., columns:]
    if len(parts) == 4:
        out[..., rows:, :columns] = parts[2][..., rows:, :columns]
        out[..., rows:, columns:] = parts[3][..., rows:, columns:]
    return out


def tags_of(label: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Labels [B, 1, H, W] -> (tags [B, classes]: 1 for all that occur; [B]: 1 where every pixel's class is known)."""
    found = torch.stack([(label == k).flatten(1).any(1) for k in range(classes)], dim=1)
    return found.float(), (label >= 0).flatten(1).all(1).float()
