"""Pictures of materials on shapes, differentiable in the maps, the lights and the environment.

World coordinates: z up. The plane is the square [-1, 1]^2 at z = 0, texels' rows from y = 1 down, and the floor goes on
all around it; sphere and cube have radius 1. Maps repeat where a shape shows more than one tile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.materials.brdf import Environment, Surface, image_light, point_light, unit_last
from terrarium.worlds.materials.cameras import Cameras
from terrarium.worlds.materials.colour import srgb_to_linear
from terrarium.worlds.materials.maps import ALBEDO, METALLIC, NORMAL, ROUGHNESS, unit

Shape = Literal["floor", "plane", "sphere", "cube"]


@dataclass(frozen=True, eq=False)
class Lights:
    """N point lights for each picture: `position` [B, N, 3] in world coordinates, `intensity` [B, N, 3] in W/sr; and
    what comes from all around, if anything."""

    position: Tensor
    intensity: Tensor
    environment: Environment | None = None


@dataclass(frozen=True, eq=False)
class Hits:
    """Where rays meet a shape: `position` and `to_eye` [B, H, W, 3], `frame` [B, H, W, 3, 3] with tangent, bitangent
    and normal as rows, `uv` [B, H, W, 2] in tiles from the upper left corner, `there` bool [B, H, W, 1]."""

    position: Tensor
    to_eye: Tensor
    frame: Tensor
    uv: Tensor
    there: Tensor


def render(maps: Tensor, shape: Shape, cameras: Cameras, lights: Lights, side: int, tiles: float = 1.0) -> Tensor:
    """Radiance [B, 3, side, side] of maps [B, 8, H, W], `tiles` of them along a side of the plane or of the cube, and
    twice as many around the sphere. Black where the shape is not."""
    hits = HITS[shape](*cameras.rays(side))
    sampled = sample_wrapped(maps, hits.uv * tiles)
    seen = shade(sampled, hits, lights) * hits.there
    return seen.movedim(-1, 1)


def shade(maps: Tensor, hits: Hits, lights: Lights) -> Tensor:
    """Radiance [B, H, W, 3] of maps [B, 8, H, W] that lie on the hits."""
    last = maps.movedim(1, -1)
    normal = unit(maps[:, NORMAL], dim=1).movedim(1, -1)
    surface = Surface(
        srgb_to_linear(last[..., ALBEDO]),
        last[..., ROUGHNESS],
        last[..., METALLIC],
        unit_last((normal.unsqueeze(-1) * hits.frame).sum(-2)),
    )
    seen = torch.zeros_like(hits.position)
    for n in range(lights.position.shape[1]):
        light, intensity = (x[:, n, None, None] for x in (lights.position, lights.intensity))
        seen = seen + point_light(surface, hits.position, hits.to_eye, light, intensity)
    return seen if lights.environment is None else seen + image_light(surface, hits.to_eye, lights.environment)


def sample_wrapped(maps: Tensor, uv: Tensor) -> Tensor:
    """maps [B, C, H, W] at uv [B, h, w, 2], bilinear, repeating -> [B, C, h, w]."""
    height, width = maps.shape[-2:]
    padded = F.pad(maps, (1, 1, 1, 1), mode="circular")
    size = uv.new_tensor([width, height])
    at = 2 * (uv.remainder(1) * size + 1) / (size + 2) - 1
    return F.grid_sample(padded, at, padding_mode="border", align_corners=False)


def hit_floor(eye: Tensor, ray: Tensor) -> Hits:
    """The plane without an end; eye [B, 1, 1, 3], rays [B, H, W, 3]."""
    down = torch.where(ray[..., 2:] < -1e-6, ray[..., 2:], -torch.ones_like(ray[..., 2:]))
    position = eye - eye[..., 2:] / down * ray
    uv = torch.stack([0.5 + 0.5 * position[..., 0], 0.5 - 0.5 * position[..., 1]], dim=-1)
    frame = torch.eye(3, dtype=ray.dtype, device=ray.device).expand(*ray.shape, 3)
    return Hits(position, unit_last(eye - position), frame, uv, ray[..., 2:] < -1e-6)


def hit_plane(eye: Tensor, ray: Tensor) -> Hits:
    found = hit_floor(eye, ray)
    return replace(found, there=found.there & (found.position[..., :2].abs() <= 1).all(-1, keepdim=True))


def hit_sphere(eye: Tensor, ray: Tensor) -> Hits:
    along = -(eye * ray).sum(-1, keepdim=True)
    left = along * along - (eye * eye).sum(-1, keepdim=True) + 1
    position = eye + (along - left.clamp(min=1e-12).sqrt()) * ray
    normal = unit_last(position)
    x, y, z = normal.unbind(-1)
    east = unit_last(torch.stack([-y, x, torch.zeros_like(x)], dim=-1) + 1e-9)
    frame = torch.stack([east, torch.linalg.cross(normal, east), normal], dim=-2)
    uv = torch.stack([torch.atan2(y, x) / torch.pi, torch.acos(z.clamp(-0.999999, 0.999999)) / torch.pi], dim=-1)
    return Hits(position, -ray, frame, uv, left > 0)


def hit_cube(eye: Tensor, ray: Tensor) -> Hits:
    """By slabs: the face that a ray enters last."""
    safe = torch.where(ray.abs() < 1e-9, torch.full_like(ray, 1e-9), ray)
    enters, leaves = (-safe.sign() - eye) / safe, (safe.sign() - eye) / safe
    near, axis = enters.max(-1, keepdim=True)
    position = eye + near * ray
    sign = -ray.gather(-1, axis).sign()
    normal = torch.zeros_like(ray).scatter(-1, axis, sign)
    up = torch.where(axis == 2, ray.new_tensor([0.0, 1.0, 0.0]), ray.new_tensor([0.0, 0.0, 1.0]))
    right = torch.linalg.cross(up, normal)
    across = (position * right).sum(-1, keepdim=True)
    upward = (position * up).sum(-1, keepdim=True)
    uv = torch.cat([0.5 + 0.5 * across, 0.5 - 0.5 * upward], dim=-1)
    there = (near < leaves.min(-1, keepdim=True).values) & (near > 0)
    return Hits(position, -ray, torch.stack([right, up, normal], dim=-2), uv, there)


HITS = {"floor": hit_floor, "plane": hit_plane, "sphere": hit_sphere, "cube": hit_cube}
