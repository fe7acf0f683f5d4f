"""What a material is: maps of one size over a square tile, and how they turn with the picture.

The four maps that models predict are one tensor, [..., 8, H, W]: albedo in sRGB, roughness, metallic, all in [0, 1],
and unit normals in tangent space, x to the right, y up the picture (OpenGL's convention), z out of the surface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

ALBEDO, ROUGHNESS, METALLIC, NORMAL = slice(0, 3), slice(3, 4), slice(4, 5), slice(5, 8)
MAPS = {"albedo": ALBEDO, "roughness": ROUGHNESS, "metallic": METALLIC, "normal": NORMAL}
CHANNELS = 8


@dataclass(frozen=True, eq=False)
class Material:
    """`maps` float32 [8, H, W] as above; `ao` and `height` [H, W] in [0, 1]; `classes` uint8 [H, W], an index into
    procedural.CLASSES. `relief` is the height of 1 in widths of the tile."""

    name: str
    maps: np.ndarray
    ao: np.ndarray
    height: np.ndarray
    classes: np.ndarray
    relief: float


def normals_of(height: np.ndarray, relief: float) -> np.ndarray:
    """Unit normals float32 [3, H, W] of a height field [H, W] that repeats, by central differences."""
    rows, columns = height.shape
    dx = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) * (0.5 * columns * relief)
    down = (np.roll(height, -1, 0) - np.roll(height, 1, 0)) * (0.5 * rows * relief)
    normal = np.stack([-dx, down, np.ones_like(height)])
    return (normal / np.linalg.norm(normal, axis=0)).astype(np.float32)


def unit(normal: Tensor, dim: int = -3) -> Tensor:
    return normal / normal.norm(dim=dim, keepdim=True).clamp(min=1e-6)


def smaller(maps: Tensor, side: int) -> Tensor:
    """Maps [C, H, W], the eight and any channels after them, by area until the shorter side is at most `side`; normals
    are unit vectors again."""
    shortest = min(maps.shape[-2:])
    if shortest <= side:
        return maps
    small = F.interpolate(maps[None], [round(s * side / shortest) for s in maps.shape[-2:]], mode="area")[0]
    small[NORMAL] = unit(small[NORMAL])
    return small


def to_pixels(maps: Tensor) -> Tensor:
    """Maps [..., 8, H, W] as pictures store them, normals moved to [0, 1]."""
    return torch.cat([maps[..., :5, :, :], 0.5 + 0.5 * maps[..., NORMAL, :, :]], dim=-3)


def flip_x(maps: Tensor) -> Tensor:
    """Mirrors left and right: normals' x changes its sign."""
    return _signed(maps.flip(-1), -1.0, 1.0)


def flip_y(maps: Tensor) -> Tensor:
    """Mirrors top and bottom: normals' y changes its sign."""
    return _signed(maps.flip(-2), 1.0, -1.0)


def turn(maps: Tensor) -> Tensor:
    """A quarter turn counter-clockwise, of the normals' vectors too: (x, y) -> (-y, x)."""
    turned = maps.rot90(1, (-2, -1))
    x, y, z = turned[..., NORMAL, :, :].unbind(-3)
    normal = torch.stack([-y, x, z], dim=-3)
    return torch.cat([turned[..., :5, :, :], normal, turned[..., CHANNELS:, :, :]], dim=-3)


def _signed(maps: Tensor, x: float, y: float) -> Tensor:
    signs = maps.new_ones(maps.shape[-3], 1, 1)
    signs[NORMAL, 0, 0] = maps.new_tensor([x, y, 1])
    return maps * signs


SYMMETRIES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda m: m,
    turn,
    lambda m: turn(turn(m)),
    lambda m: turn(turn(turn(m))),
    flip_x,
    flip_y,
    lambda m: turn(flip_x(m)),
    lambda m: turn(flip_y(m)),
)
"""The eight of the square. Apply one before a material is rendered: pictures of it are then right by themselves.
Channels after the eight turn along."""
