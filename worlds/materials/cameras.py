"""Where views are taken from, and the homography between a view and the plane that it shows.

A pose is polar (0 looks straight down) and azimuth in degrees, and a distance from the plane's centre, which the
camera looks at, upright, with a field of view into which the square [-1, 1]^2 just fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.materials.brdf import unit_last

POLAR_DEG = (0.0, 40.0)
DISTANCE = (3.0, 5.0)


@dataclass(frozen=True, eq=False)
class Cameras:
    """`pose` [B, 3]: polar and azimuth in degrees, distance; `eye` [B, 3], `axes` [B, 3, 3] with right, up and forward
    as rows, `spread` [B]: tangent of half the field of view."""

    pose: Tensor
    eye: Tensor
    axes: Tensor
    spread: Tensor

    def rays(self, side: int) -> tuple[Tensor, Tensor]:
        """eye [B, 1, 1, 3] and unit directions [B, side, side, 3] through the pixels' centres, rows from the top."""
        at = pixel_centres(side).to(self.eye)
        across, up = torch.meshgrid(at, -at, indexing="xy")
        screen = torch.stack([across, up], dim=-1) * self.spread.view(-1, 1, 1, 1)
        screen = F.pad(screen, (0, 1), value=1.0)
        return self.eye[:, None, None], unit_last(screen @ self.axes[:, None])

    def project(self, points: Tensor) -> Tensor:
        """points [B, H, W, 3] -> where they are in the picture [B, H, W, 2], x right and y down, in [-1, 1]."""
        right, up, forward = ((points - self.eye[:, None, None]) @ self.axes[:, None].mT).unbind(-1)
        return torch.stack([right, -up], dim=-1) / (forward * self.spread.view(-1, 1, 1)).unsqueeze(-1)


def cameras(pose: Tensor) -> Cameras:
    """From poses [B, 3]."""
    eye = eyes(pose)
    forward = -eye / pose[:, 2:]
    right = unit_last(torch.linalg.cross(forward, pose.new_tensor([0.0, 1.0, 0.0]).expand_as(forward)))
    axes = torch.stack([right, torch.linalg.cross(right, forward), forward], dim=-2)
    corners = pose.new_tensor([[x, y, 0.0] for x in (-1, 1) for y in (-1, 1)])
    wide = Cameras(pose, eye, axes, torch.ones(len(pose)).to(pose))
    spread = wide.project(corners.expand(len(pose), 1, 4, 3)).abs().amax((1, 2, 3))
    return Cameras(pose, eye, axes, spread)


def eyes(poses: Tensor) -> Tensor:
    """Where cameras at poses [..., 3] stand, [..., 3]."""
    polar, azimuth = torch.deg2rad(poses[..., 0]), torch.deg2rad(poses[..., 1])
    towards = torch.stack([polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin(), polar.cos()], dim=-1)
    return poses[..., 2:] * towards


def poses_of_part(poses: Tensor, centre: Tensor, half: Tensor | float) -> Tensor:
    """Poses [..., 3] as a part of the plane sees them, a square around `centre` [..., 2] whose half side is `half`
    [..., 1] of the plane's: its own [-1, 1]^2. They say from where it is seen, not how the picture was framed."""
    away = (eyes(poses) - F.pad(centre, (0, 1))) / half
    distance = away.norm(dim=-1)
    around = torch.atan2(away[..., 1], away[..., 0]) % (2 * torch.pi)
    return torch.stack([torch.rad2deg((away[..., 2] / distance).acos()), torch.rad2deg(around), distance], dim=-1)


def random_poses(count: int, generator: torch.Generator) -> Tensor:
    """[count, 3], polar angles drawn so that directions are even over the cap."""
    low, high = torch.deg2rad(torch.tensor(POLAR_DEG)).cos()
    share, turn, far = torch.rand(3, count, generator=generator)
    polar = torch.rad2deg((low + (high - low) * share).clamp(-1, 1).acos())
    return torch.stack([polar, 360 * turn, DISTANCE[0] + (DISTANCE[1] - DISTANCE[0]) * far], dim=-1)


def rectify(views: Tensor, taken: Cameras, side: int) -> Tensor:
    """Pictures [B, C, h, w], texel for texel of the plane that they show -> [B, C, side, side]."""
    points = plane_points(side).to(views).expand(len(views), side, side, 3)
    return F.grid_sample(views, taken.project(points), padding_mode="border", align_corners=False)


def plane_points(side: int) -> Tensor:
    """Centres of the plane's texels, [side, side, 3]."""
    at = pixel_centres(side)
    x, y = torch.meshgrid(at, -at, indexing="xy")
    return torch.stack([x, y, torch.zeros_like(x)], dim=-1)


def pixel_centres(side: int) -> Tensor:
    return (torch.arange(side) + 0.5) * 2 / side - 1
